"""An independent Base in PyTorch (double precision, autograd) that trains on the same shards from the
same first states as `dips train`, and compares every tensor of the last checkpoints.

    torch_base.py DATA RUNS STEPS BATCH TOLERANCE

RUNS has the runs NAME-first and NAME-last of each variant below. Written from the equations (Zhou et al.
2018, sections 4.2 and 5.3; an event that is older by a half-life weighs half): each sample's history is
pooled alone, so that nothing is padded or masked. Prints each variant's largest difference, relative to
the largest number of its tensor."""
import sys

import numpy as np
import torch
import torch.nn.functional as F

from torch_files import read_checkpoint, read_shards

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

DATA, RUNS = sys.argv[1:3]
STEPS, BATCH, TOLERANCE = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
LR, ROWS_LR, HALF_LIFE = 0.3, 0.5, 86400
TABLES = ["goods", "cate", "user"]
VARIANTS = {"sum": "dice", "mean": "batch_norm", "decay": "prelu", "decay_normalized": "sigmoid"}


def state(run, step):
    return read_checkpoint(f"{RUNS}/{run}/checkpoints/step-{step:012d}")


def read_samples():
    samples = []
    for s in read_shards(DATA + "/train-*.safetensors"):
        o = s["history.offsets"].astype(np.int64)
        for i in range(len(s["label"])):
            h = slice(o[i], o[i + 1])
            samples.append({"label": float(s["label"][i]), "user": int(s["user"][i]), "goods": int(s["goods"][i]),
                            "cate": int(s["cate"][i]), "history.goods": s["history.goods"][h].tolist(),
                            "history.cate": s["history.cate"][h].tolist(),
                            "age": torch.tensor(float(s["time"][i]) - s["history.time"][h].astype(np.float64))})
    return samples


class Model:
    def __init__(self, pool, between, dense, rows):
        self.pool, self.between = pool, between
        self.moving = {n: torch.tensor(x, dtype=torch.float64) for n, x in dense.items() if n.endswith((".mean", ".var"))}
        self.w = {n: torch.tensor(x, dtype=torch.float64).requires_grad_() for n, x in dense.items() if n not in self.moving}
        self.rows = {t: torch.tensor(rows[t + ".weight"], dtype=torch.float64).requires_grad_() for t in TABLES}
        self.at = {t: {int(i): k for k, i in enumerate(rows[t + ".ids"])} for t in TABLES}

    def embed(self, table, ids):
        return self.rows[table][[self.at[table][i] for i in ids]]

    def pooled(self, s):
        events = torch.cat([self.embed("goods", s["history.goods"]), self.embed("cate", s["history.cate"])], 1)
        if len(events) == 0:
            return torch.zeros(events.shape[1])
        if self.pool == "sum":
            return events.sum(0)
        if self.pool == "mean":
            return events.mean(0)
        weights = 0.5 ** (s["age"] / HALF_LIFE)
        if self.pool == "decay_normalized":
            weights = weights / weights.sum()
        return weights @ events

    def moments(self, x, name):
        """Of the batch; they move the moving ones, of which .var is biased too."""
        mean, var = x.mean(0), x.var(0, unbiased=False)
        for part, new in ("mean", mean), ("var", var):
            self.moving[f"{name}.{part}"] = 0.99 * self.moving[f"{name}.{part}"] + 0.01 * new.detach()
        return mean, var

    def activated(self, x, name):
        if self.between == "sigmoid":
            return torch.sigmoid(x)
        if self.between == "prelu":
            return torch.where(x > 0, x, self.w[name + ".alpha"] * x)
        if self.between == "dice":
            mean, var = self.moments(x, name)
            p = torch.sigmoid((x - mean) / torch.sqrt(var + 0.01))
            return p * x + (1 - p) * self.w[name + ".alpha"] * x
        mean, var = self.moments(x, name + ".norm")
        x = (x - mean) / torch.sqrt(var + 1e-5) * self.w[name + ".norm.gamma"] + self.w[name + ".norm.beta"]
        return torch.relu(x)

    def logits(self, batch):
        x = torch.cat([self.embed("user", [s["user"] for s in batch]), self.embed("goods", [s["goods"] for s in batch]),
                       self.embed("cate", [s["cate"] for s in batch]), torch.stack([self.pooled(s) for s in batch])], 1)
        for name in "mlp.0", "mlp.1":
            x = self.activated(x @ self.w[name + ".weight"].T + self.w[name + ".bias"], name)
        return (x @ self.w["output.weight"].T + self.w["output.bias"])[:, 0]

    def step(self, batch):
        F.binary_cross_entropy_with_logits(self.logits(batch), torch.tensor([s["label"] for s in batch])).backward()
        with torch.no_grad():
            for x, lr in [(w, LR) for w in self.w.values()] + [(r, ROWS_LR) for r in self.rows.values()]:
                x -= lr * x.grad
                x.grad = None


def difference(got, want):
    return float(np.abs(got.reshape(want.shape) - want).max() / max(np.abs(want).max(), 0.01))


samples = read_samples()
worst = 0.0
for variant, between in VARIANTS.items():
    model = Model(variant, between, *state(variant + "-first", 0))
    for t in range(STEPS):
        model.step(samples[t * BATCH : (t + 1) * BATCH])
    dense, rows = state(variant + "-last", STEPS)
    wanted = model.w | model.moving
    assert set(dense) == set(wanted), set(dense) ^ set(wanted)
    offs = {n: difference(dense[n], w.detach().numpy()) for n, w in wanted.items()}
    for t in TABLES:
        at = [model.at[t][int(i)] for i in rows[t + ".ids"]]
        offs[t] = difference(rows[t + ".weight"], model.rows[t].detach().numpy()[at])
    name = max(offs, key=offs.get)
    worst = max(worst, offs[name])
    print(f"{variant:16s} {len(offs)} tensors, largest difference {offs[name]:.2e}, of {name}")
print(f"allowed {TOLERANCE:.0e}")
sys.exit(not worst <= TOLERANCE)
