"""An independent DSTN in PyTorch (double precision, autograd), written from the equations (Ouyang
et al. 2019) sample by sample, not from dips' sources.

    torch_dstn.py data FOLDER
        write a shard of samples with lists of 0 to 5 auxiliary ads of three kinds
    torch_dstn.py compare MODE DATA FIRST LAST STEPS BATCH TOLERANCE
        train from the checkpoint FIRST as `dips train` did, with plain SGD, and compare every
        tensor with the checkpoint LAST
"""
import json
import struct
import sys

import numpy as np

from torch_files import DTYPES, read, read_checkpoint

KINDS = {"contextual": "above", "clicked": "clicked", "unclicked": "unclicked"}  # sequence of each kind
LR = 0.1


def write(path, tensors):
    tensors = dict(sorted(tensors.items(), key=lambda t: -t[1].itemsize))  # widest first
    head, at = {}, 0
    for name, x in tensors.items():
        dtype = next(k for k, v in DTYPES.items() if np.dtype(v) == x.dtype)
        head[name] = {"dtype": dtype, "shape": list(x.shape), "data_offsets": [at, at + x.nbytes]}
        at += x.nbytes
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(x.tobytes() for x in tensors.values()))


def make_data(folder, n=600):
    r = np.random.default_rng(5)
    item = lambda k: r.integers(1, 40, k).astype("<u8")
    tensors = {"label": r.integers(0, 2, n).astype("<f4"), "user": r.integers(0, 25, n).astype("<u8"), "item": item(n)}
    tensors["cate"] = tensors["item"] % 7
    for sequence in KINDS.values():
        lengths = r.integers(0, 6, n) * (r.random(n) < 0.8)
        tensors[sequence + ".offsets"] = np.concatenate([[0], np.cumsum(lengths)]).astype("<u8")
        tensors[sequence + ".item"] = item(int(lengths.sum()))
        tensors[sequence + ".cate"] = tensors[sequence + ".item"] % 7
    write(folder + "/train-0.safetensors", tensors)


def compare(mode, data, first, last, steps, batch, tolerance):
    import torch

    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    d = read(data + "/train-0.safetensors")
    dense, rows = read_checkpoint(first)
    weights = {n: torch.tensor(x, dtype=torch.float64).requires_grad_() for n, x in dense.items()}
    table = {t: torch.tensor(rows[t + ".weight"], dtype=torch.float64).requires_grad_() for t in ("user", "item", "cate")}
    index = {t: {int(i): k for k, i in enumerate(rows[t + ".ids"])} for t in table}

    def look_up(name, ids):
        return table[name][[index[name][int(i)] for i in ids]]

    def layer(x, name):
        return weights[name + ".weight"] @ x + weights[name + ".bias"]

    def score(x, kind):  # h^T relu(W x + b1) + b2
        return layer(torch.relu(layer(x, kind + ".0")), kind + ".output")[0]

    def aggregate(target, ads, kind):
        if len(ads) == 0 or mode == "pool":
            return ads.sum(0)
        if mode == "self":
            alpha = torch.softmax(torch.stack([score(x, kind) for x in ads]), 0)
        else:
            alpha = torch.stack([torch.exp(torch.clamp(score(torch.cat([target, x]), kind), -20, 20)) for x in ads])
        return sum(a * x for a, x in zip(alpha, ads))

    def logit(i):
        target = torch.cat([look_up("user", d["user"][i : i + 1])[0], look_up("item", d["item"][i : i + 1])[0],
                            look_up("cate", d["cate"][i : i + 1])[0]])
        parts = [target]
        for kind, sequence in KINDS.items():
            span = slice(int(d[sequence + ".offsets"][i]), int(d[sequence + ".offsets"][i + 1]))
            ads = torch.cat([look_up("item", d[sequence + ".item"][span]), look_up("cate", d[sequence + ".cate"][span])], 1)
            parts.append(aggregate(target, ads, kind))
        x = torch.cat(parts)
        for l in ("mlp.0", "mlp.1"):
            z = layer(x, l)
            x = torch.where(z > 0, z, weights[l + ".alpha"] * z)
        return layer(x, "output")[0]

    everything = list(weights.values()) + list(table.values())
    for step in range(steps):
        chosen = range(step * batch, (step + 1) * batch)
        z = torch.stack([logit(i) for i in chosen])
        y = torch.tensor(d["label"][chosen.start : chosen.stop], dtype=torch.float64)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
        for w, g in zip(everything, torch.autograd.grad(loss, everything)):
            w.data -= LR * g
    dense, rows = read_checkpoint(last)
    assert set(dense) == set(weights), set(dense) ^ set(weights)
    worst = 0
    for name, w in weights.items():  # what softmax takes no notice of stays near 0
        worst = max(worst, np.abs(dense[name] - w.detach().numpy()).max() / max(np.abs(dense[name]).max(), 1e-3))
    for t, w in table.items():
        at = [index[t][int(i)] for i in rows[t + ".ids"]]
        worst = max(worst, np.abs(rows[t + ".weight"] - w.detach().numpy()[at]).max() / np.abs(rows[t + ".weight"]).max())
    print(f"{mode}: loss {loss.item():.6f}, largest difference {worst:.2e}, allowed {tolerance:.0e}")
    return not worst <= tolerance


if sys.argv[1] == "data":
    make_data(sys.argv[2])
else:
    sys.exit(compare(*sys.argv[2:6], int(sys.argv[6]), int(sys.argv[7]), float(sys.argv[8])))
