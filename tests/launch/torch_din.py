"""An independent DIN in PyTorch (double precision, autograd) that trains on the same shards from
the same first state as `dips train`, and compares every tensor of the two final checkpoints.

    torch_din.py DATA FIRST LAST STEPS BATCH TOLERANCE

Written from the equations (Zhou et al. 2018) and from the descriptions of the update rules, not
from dips' sources. Prints the largest difference of each tensor, relative to its largest value."""
import math
import sys

import numpy as np
import torch

from torch_files import read_checkpoint, read_shards

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

DATA, FIRST, LAST, STEPS, BATCH, TOLERANCE = sys.argv[1:4] + [int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6])]
LR, RATE, EVERY = 0.01, 0.9, 10  # dense adam; schedule: factor = RATE^(step / EVERY)
TABLES = {  # table: (rule, lr, penalty, lambda)
    "goods": ("rowwise_adagrad", 0.05, "minibatch_aware", 0.3),
    "cate": ("adam", 0.01, "none", 0),
    "user": ("adagrad", 0.05, "l2", 0.01),
}
SLOTS = [("user", "user"), ("goods", "goods"), ("cate", "cate"), ("history.goods", "goods"), ("history.cate", "cate")]

# ---- the data, and how many samples of it contain each id
shards = read_shards(DATA + "/train-*.safetensors")
samples = []
for s in shards:
    o = s["history.offsets"].astype(np.int64)
    for i in range(len(s["label"])):
        h = slice(o[i], o[i + 1])
        samples.append({"label": float(s["label"][i]), "user": s["user"][i : i + 1], "goods": s["goods"][i : i + 1],
                        "cate": s["cate"][i : i + 1], "history.goods": s["history.goods"][h],
                        "history.cate": s["history.cate"][h]})
counts = {t: {} for t in TABLES}
for x in samples:
    for t in TABLES:
        for i in {int(i) for slot, table in SLOTS if table == t for i in x[slot]}:
            counts[t][i] = counts[t].get(i, 0) + 1

# ---- the first state
dense0, rows0 = read_checkpoint(FIRST)
moving = {n: torch.tensor(v, dtype=torch.float64) for n, v in dense0.items() if n.endswith((".mean", ".var"))}
weights = {n: torch.tensor(v, dtype=torch.float64).requires_grad_() for n, v in dense0.items()
           if "@" not in n and n not in moving}
index, row, state, touched = {}, {}, {}, {}
for t in TABLES:
    index[t] = {int(i): k for k, i in enumerate(rows0[t + ".ids"])}
    row[t] = torch.tensor(rows0[t + ".weight"], dtype=torch.float64)
    n, d = row[t].shape
    state[t] = {"sum": torch.zeros(n, 1 if TABLES[t][0] == "rowwise_adagrad" else d), "m": torch.zeros(n, d),
                "v": torch.zeros(n, d), "step": torch.zeros(n, 1)}
    touched[t] = torch.zeros(n, dtype=torch.int64)
# Adam by its formula: torch.optim takes longer to load its compiler than all of this takes
m, v = ({n: torch.zeros_like(w) for n, w in weights.items()} for _ in range(2))


def adam(m, v, g, t):
    """Update the moments m and v in place; the step before it is multiplied with the rate (Kingma and Ba 2015)."""
    m.mul_(0.9).add_(0.1 * g)
    v.mul_(0.999).add_(0.001 * g * g)
    return m / (1 - 0.9**t) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)


def dice(x, name):
    mean, var = x.mean(0), x.var(0, unbiased=False)
    batch_moments[name] = (mean.detach(), var.detach())
    p = torch.sigmoid((x - mean) / torch.sqrt(var + 1e-8))
    return p * x + (1 - p) * weights[name + ".alpha"] * x


def layer(x, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def logits(batch, e):
    q = torch.cat([e["goods"][[index["goods"][int(x["goods"][0])] for x in batch]],
                   e["cate"][[index["cate"][int(x["cate"][0])] for x in batch]]], 1)
    user = e["user"][[index["user"][int(x["user"][0])] for x in batch]]
    owner = [b for b, x in enumerate(batch) for _ in x["history.goods"]]
    k = torch.cat([e["goods"][[index["goods"][int(i)] for x in batch for i in x["history.goods"]]],
                   e["cate"][[index["cate"][int(i)] for x in batch for i in x["history.cate"]]]], 1)
    qk = q[owner]
    z = torch.cat([qk, k, qk - k, qk * k], 1)
    for i in (0, 1):
        z = dice(layer(z, f"attention.{i}"), f"attention.{i}")
    w = layer(z, "attention.output")
    interest = torch.zeros(len(batch), k.shape[1]).index_add(0, torch.tensor(owner), w * k)
    z = torch.cat([user, q, interest], 1)
    for i in (0, 1):
        z = dice(layer(z, f"mlp.{i}"), f"mlp.{i}")
    return layer(z, "output")[:, 0]


for step in range(STEPS):
    epoch_steps = math.ceil(len(samples) / BATCH)
    begin = step % epoch_steps * BATCH
    batch = samples[begin : begin + BATCH]
    factor = RATE ** (step / EVERY)
    batch_moments = {}
    e = {t: row[t].clone().requires_grad_() for t in TABLES}
    y = torch.tensor([x["label"] for x in batch])
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits(batch, e), y)
    loss.backward()
    with torch.no_grad():
        for n, w in weights.items():
            w -= LR * factor * adam(m[n], v[n], w.grad, step + 1)
            w.grad = None
    for name, (mean, var) in batch_moments.items():
        moving[name + ".mean"] = 0.99 * moving[name + ".mean"] + 0.01 * mean
        moving[name + ".var"] = 0.99 * moving[name + ".var"] + 0.01 * var
    for t, (rule, lr, penalty, strength) in TABLES.items():
        ids = sorted({int(i) for x in batch for slot, table in SLOTS if table == t for i in x[slot]})
        k = torch.tensor([index[t][i] for i in ids])
        w, g, s, eta = row[t][k], e[t].grad[k], state[t], lr * factor
        if penalty == "minibatch_aware":  # DIN, eq. 7
            g = g + strength * w / torch.tensor([counts[t][i] for i in ids], dtype=torch.float64)[:, None]
        elif penalty == "l2":
            g = g + strength * w
        if rule == "rowwise_adagrad":
            s["sum"][k] += (g * g).mean(1, keepdim=True)
            w = w - eta * g / (s["sum"][k].sqrt() + 1e-8)
        elif rule == "adagrad":
            s["sum"][k] += g * g
            w = w - eta * g / (s["sum"][k].sqrt() + 1e-10)
        else:  # Adam, corrected by the row's own number of updates
            s["step"][k] += 1
            row_m, row_v = s["m"][k], s["v"][k]
            w = w - eta * adam(row_m, row_v, g, s["step"][k])
            s["m"][k], s["v"][k] = row_m, row_v
        row[t][k] = w
        touched[t][k] = step + 1

# ---- every tensor of the last checkpoint
dense1, rows1 = read_checkpoint(LAST)
worst = 0.0


def compare(name, got, want):
    global worst
    want = want.detach().numpy().reshape(got.shape).astype(np.float64)
    off = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))
    worst = max(worst, off)
    print(f"{name:30s} {str(got.shape):14s} {off:.2e}")


for name, w in weights.items():
    compare(name, dense1[name], w)
    compare(name + "@m", dense1[name + "@m"], m[name])
    compare(name + "@v", dense1[name + "@v"], v[name])
for name, m in moving.items():
    compare(name, dense1[name], m)
for t, (rule, *_) in TABLES.items():
    at = torch.tensor([index[t][int(i)] for i in rows1[t + ".ids"]])
    compare(t + ".weight", rows1[t + ".weight"], row[t][at])
    for part in ("m", "v", "step") if rule == "adam" else ("sum",):
        compare(f"{t}.@{part}", rows1[f"{t}.@{part}"], state[t][part][at])
    assert (rows1[t + ".touched"] == touched[t][at].numpy()).all(), t + ".touched"
    want = [counts[t].get(int(i), 0) for i in rows1[t + ".ids"]]
    if TABLES[t][2] == "minibatch_aware":
        assert (rows1[t + ".count"] == want).all(), t + ".count"
print(f"largest difference {worst:.2e}, allowed {TOLERANCE:.0e}")
sys.exit(not worst <= TOLERANCE)
