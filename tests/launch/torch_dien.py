"""An independent DIEN in PyTorch (double precision, autograd) that trains on the same shards from the
same first states as `dips train`, and compares every tensor of the last checkpoints.

    torch_dien.py DATA RUNS STEPS BATCH TOLERANCE

RUNS has the runs NAME-first and NAME-last of each variant below. Written from the equations (Zhou et al.
2019): the extractor is PyTorch's own GRU over packed sequences, whose gate z = 1 - u and whose weights
are those of dips by -W_u; of the evolution each sample goes alone, an event at a time. Prints each
variant's largest difference, relative to the largest number of its tensor."""
import json
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from torch_files import read_checkpoint, read_shards

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

DATA, RUNS = sys.argv[1:3]
STEPS, BATCH, TOLERANCE = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
LR, ROWS_LR = 0.3, 0.5
TABLES = ["goods", "cate", "user"]
VARIANTS = {  # name: evolution, auxiliary, mean over, its weight, attention
    "augru": ("augru", "mlp", "samples", 1, "bilinear"),
    "augru_code": ("augru_code", "mlp", "events", 0.5, "bilinear"),
    "agru": ("agru", "dot", "samples", 1, "bilinear"),
    "aigru": ("aigru", "none", "samples", 1, "bilinear"),
    "sum": ("none", "mlp", "samples", 1, "mlp"),
    "wide": ("augru", "mlp", "events", 1, "bilinear"),
}


def state(run, step):
    return read_checkpoint(f"{RUNS}/{run}/checkpoints/step-{step:012d}")


class Model:
    def __init__(self, variant, dense, rows):
        self.evolution, self.auxiliary, self.mean_over, self.alpha, self.score = VARIANTS[variant]
        self.w = {n: torch.tensor(x, dtype=torch.float64).requires_grad_() for n, x in dense.items()}
        self.rows = {t: torch.tensor(rows[t + ".weight"], dtype=torch.float64).requires_grad_() for t in TABLES}
        self.index = {t: {int(i): k for k, i in enumerate(rows[t + ".ids"])} for t in TABLES}

    def embed(self, sample, *columns):
        """(events, dims) of columns like history.negative_goods, side by side."""
        return torch.cat([self.rows[c.split("_")[-1].split(".")[-1]][
            [self.index[c.split("_")[-1].split(".")[-1]][int(i)] for i in sample[c]]] for c in columns], 1)

    def layer(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def cell(self, x, h, name, gate, reset_first):
        """h' of one event; gate makes e of u."""
        W, U, b = (self.w[f"{name}.{p}"].chunk(3) for p in ("input.weight", "recurrent.weight", "bias"))
        u = torch.sigmoid(W[0] @ x + U[0] @ h + b[0])
        r = torch.sigmoid(W[1] @ x + U[1] @ h + b[1])
        n = torch.tanh(W[2] @ x + b[2] + (U[2] @ (r * h) if reset_first else r * (U[2] @ h)))
        e = gate(u)
        return (1 - e) * h + e * n

    def extract(self, histories):
        """The states of each history."""
        W, U, b = (self.w[f"extractor.{p}"].chunk(3) for p in ("input.weight", "recurrent.weight", "bias"))
        H = U[0].shape[1]
        if self.evolution == "augru_code":
            states = []
            for x in histories:
                h, all_h = torch.zeros(H), []
                for x_t in x:
                    h = self.cell(x_t, h, "extractor", lambda u: u, True)
                    all_h.append(h)
                states.append(torch.stack(all_h) if all_h else torch.zeros(0, H))
            return states
        net = torch.nn.GRU(W[0].shape[1], H, batch_first=True)
        theirs = {"weight_ih_l0": torch.cat([W[1], -W[0], W[2]]), "weight_hh_l0": torch.cat([U[1], -U[0], U[2]]),
                  "bias_ih_l0": torch.cat([b[1], -b[0], b[2]]), "bias_hh_l0": torch.zeros(3 * H)}
        packed = pack_sequence([x for x in histories if len(x)], enforce_sorted=False)
        padded, lengths = pad_packed_sequence(torch.func.functional_call(net, theirs, (packed,))[0], batch_first=True)
        found = iter(zip(padded, lengths))
        return [(lambda y, n: y[:n])(*next(found)) if len(x) else torch.zeros(0, H) for x in histories]

    def attend(self, q, h):
        if self.score == "bilinear":
            s = h @ (self.w["attention.weight"].T @ q)
        else:
            a = self.layer(q, "attention.query")
            q = torch.where(a > 0, a, self.w["attention.query.alpha"] * a).expand_as(h)
            x = torch.cat([q, h, q - h, q * h], 1)
            for i in (0, 1):
                x = torch.sigmoid(self.layer(x, f"attention.{i}"))
            s = self.layer(x, "attention.output")[:, 0] / math.sqrt(h.shape[1])
        return torch.softmax(s, 0)

    def evolve(self, a, states):
        if self.evolution == "none":
            return a @ states
        h = torch.zeros(states.shape[1])
        for a_t, x in zip(a, states):
            gate = {"augru": lambda u: a_t * u, "agru": lambda u: a_t.expand_as(u), "aigru": lambda u: u,
                    "augru_code": lambda u: 1 - (1 - a_t) * (1 - u)}[self.evolution]
            h = self.cell(a_t * x if self.evolution == "aigru" else x, h, "evolution", gate,
                          self.evolution == "augru_code")
        return h

    def contrast(self, h, x):
        """z of each pair of rows."""
        if self.auxiliary == "dot":
            return (h * x).sum(1)
        y = torch.cat([h, x], 1)
        for i in range(sum(n.startswith("auxiliary.") and n.endswith(".weight") for n in self.w) - 1):
            y = torch.sigmoid(self.layer(y, f"auxiliary.{i}"))
        return self.layer(y, "auxiliary.output")[:, 0]

    def losses(self, batch):
        """The mean loss of clicks, and the auxiliary one."""
        events = [self.embed(x, "history.goods", "history.cate") for x in batch]
        states = self.extract(events)
        logits, pairs = [], []
        for sample, k, h in zip(batch, events, states):
            q = self.embed(sample, "goods", "cate")[0]
            interest = self.evolve(self.attend(q, h), h)
            y = torch.cat([self.embed(sample, "user")[0], q, interest])
            for i in (0, 1):
                y = self.layer(y, f"mlp.{i}")
                y = torch.where(y > 0, y, self.w[f"mlp.{i}.alpha"] * y)
            logits.append(self.layer(y, "output")[0])
            if self.auxiliary != "none" and len(k) > 1:
                no = self.embed(sample, "history.negative_goods", "history.negative_cate")
                pairs.append(F.softplus(-self.contrast(h[:-1], k[1:])) + F.softplus(self.contrast(h[:-1], no[1:])))
        target = F.binary_cross_entropy_with_logits(torch.stack(logits), torch.tensor([x["label"] for x in batch]))
        if not pairs:
            return target, torch.zeros(())
        pairs = torch.cat(pairs)
        return target, self.alpha * pairs.sum() / (len(pairs) if self.mean_over == "events" else len(batch))

    def train(self, samples):
        seen = []
        for step in range(STEPS):
            target, auxiliary = self.losses(samples[step * BATCH : (step + 1) * BATCH])
            seen.append((target.item(), auxiliary.item()))
            (target + auxiliary).backward()
            with torch.no_grad():
                for x, lr in [(x, LR) for x in self.w.values()] + [(x, ROWS_LR) for x in self.rows.values()]:
                    if x.grad is not None:
                        x -= lr * x.grad
                        x.grad = None
        return seen


def samples_of():
    samples = []
    for s in read_shards(DATA + "/train-*.safetensors"):
        o = s["history.offsets"].astype(np.int64)
        for i in range(len(s["label"])):
            x = {name: s[name][o[i] : o[i + 1]] for name in s if name.startswith("history.") and name[8:] != "offsets"}
            x |= {t: s[t][i : i + 1] for t in TABLES} | {"label": float(s["label"][i])}
            samples.append(x)
    return samples[: STEPS * BATCH]


def off(got, want):
    want = want.detach().numpy().reshape(got.shape)
    return float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-3))  # softmax leaves some at 0


worst, samples = 0.0, samples_of()
for name in VARIANTS:
    model = Model(name, *state(name + "-first", 0))
    seen = model.train(samples)
    dense, rows = state(name + "-last", STEPS)
    differences = {n: off(dense[n], x) for n, x in model.w.items()}
    for t in TABLES:
        at = [model.index[t][int(i)] for i in rows[t + ".ids"]]
        differences[t] = off(rows[t + ".weight"], model.rows[t][at])
    lines = [x for x in map(json.loads, open(f"{RUNS}/{name}-last/metrics.jsonl")) if x["event"] == "step"]
    differences["loss"] = max(abs(x["loss"] - target) for x, (target, _) in zip(lines, seen))
    if VARIANTS[name][1] != "none":
        differences["auxiliary"] = max(abs(x["auxiliary"] - y) / y for x, (_, y) in zip(lines, seen))
    most = max(differences, key=differences.get)
    worst = max(worst, differences[most])
    print(f"{name:12s} {len(differences)} tensors, furthest {most}: {differences[most]:.1e}")
print(f"largest difference {worst:.1e}, allowed {TOLERANCE:.0e}")
sys.exit(not worst <= TOLERANCE)
