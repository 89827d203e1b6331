"""An independent DSIN in PyTorch (double precision, autograd) that trains on the same shards from the
same first states as `dips train`, and compares every tensor of the last checkpoints.

    torch_dsin.py DATA RUNS STEPS BATCH TOLERANCE

RUNS has the runs NAME-first and NAME-last of each variant below. Written from the equations (Feng et al.
2019): each sample goes alone and a session at a time, so that nothing is padded or masked; attention is
PyTorch's scaled_dot_product_attention, memories without peepholes are its LSTM, those with them a loop.
Prints each variant's largest difference, relative to the largest number of its tensor (0.01 at least: the
last bias in front of a softmax moves nothing and stays at rounding's size)."""
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F

from torch_files import read_checkpoint, read_shards

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

DATA, RUNS = sys.argv[1:3]
STEPS, BATCH, TOLERANCE = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
LR, ROWS_LR = 0.3, 0.5
TABLES = ["goods", "cate", "user"]
PAPER = dict(gap=1800, keep=5, max_len=10, min_len=1, encoding="bias", newest_first=False, heads=2, blinding=False,
             output=True, norm_eps=1e-6, bias=True, units=6, layers=1, peepholes=True, average=False,
             score="bilinear", softmax=True)
VARIANTS = {
    "paper": PAPER,
    "code": PAPER | dict(keep=4, max_len=4, encoding="sinusoid", newest_first=True, heads=6, blinding=True,
                         output=False, norm_eps=None, bias=False, layers=2, peepholes=False, average=True, score="mlp"),
    "plain": PAPER | dict(gap=300, keep=3, min_len=2, heads=1, norm_eps=0.1, units=5, peepholes=False, softmax=False),
}


def state(run, step):
    return read_checkpoint(f"{RUNS}/{run}/checkpoints/step-{step:012d}")


def read_samples():
    samples = []
    for s in read_shards(DATA + "/train-*.safetensors"):
        o = s["history.offsets"].astype(np.int64)
        for i in range(len(s["label"])):
            h = slice(o[i], o[i + 1])
            samples.append({"label": float(s["label"][i]), "user": int(s["user"][i]), "goods": int(s["goods"][i]),
                            "cate": int(s["cate"][i]), "events": list(zip(s["history.goods"][h].tolist(),
                            s["history.cate"][h].tolist(), s["history.time"][h].tolist()))})
    return samples


class Model:
    def __init__(self, options, dense, rows):
        self.o = options
        self.w = {n: torch.tensor(x, dtype=torch.float64).requires_grad_() for n, x in dense.items()}
        self.rows = {t: torch.tensor(rows[t + ".weight"], dtype=torch.float64).requires_grad_() for t in TABLES}
        self.at = {t: {int(i): k for k, i in enumerate(rows[t + ".ids"])} for t in TABLES}

    def row(self, table, i):
        return self.rows[table][self.at[table][i]]

    def sessions(self, events):
        """Lists of events, oldest first."""
        cut = [[]]
        for e in events:
            if cut[-1] and abs(e[2] - cut[-1][-1][2]) > self.o["gap"]:
                cut.append([])
            cut[-1].append(e)
        cut = [s for s in cut if len(s) >= self.o["min_len"]]
        return [s[-self.o["max_len"] :] for s in cut[-self.o["keep"] :]]

    def encoded(self, session, k, count):
        x = torch.stack([torch.cat([self.row("goods", g), self.row("cate", c)]) for g, c, _ in session])
        T, D = x.shape
        if self.o["encoding"] == "bias":
            number = count - 1 - k if self.o["newest_first"] else k
            return x + self.w["encoding.session"][number] + self.w["encoding.place"][:T, None] + self.w["encoding.column"]
        waves = [[(math.cos if d % 2 else math.sin)(t / 10000 ** (d // 2 * 2 / D)) for d in range(D)] for t in range(T)]
        return x + torch.tensor(waves)

    def norm(self, x, name):
        if self.o["norm_eps"] is None:
            return x
        return F.layer_norm(x, x.shape[-1:], self.w[name + ".norm.gamma"], self.w[name + ".norm.beta"], self.o["norm_eps"])

    def interest(self, x):
        """Of one session's events, (T, D)."""
        T, D = x.shape
        name, heads = "transformer.attention", self.o["heads"]
        q, k, v = ((x @ self.w[f"{name}.{p}.weight"].T).reshape(T, heads, D // heads).transpose(0, 1)
                   for p in ("query", "key", "value"))
        if self.o["blinding"] and T == 1:
            found = torch.zeros(T, D)
        else:
            seen = ~torch.eye(T, dtype=torch.bool) if self.o["blinding"] else None
            found = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=1 / math.sqrt(D))
            found = found.transpose(0, 1).reshape(T, D)
        if self.o["output"]:
            found = found @ self.w[f"{name}.output.weight"].T
        x = self.norm(x + found, name)
        name = "transformer.feed_forward"
        bias = (lambda l: self.w[f"{name}.{l}.bias"]) if self.o["bias"] else (lambda l: 0)
        made = torch.relu(x @ self.w[f"{name}.0.weight"].T + bias(0)) @ self.w[f"{name}.1.weight"].T + bias(1)
        return self.norm(x + made, name).mean(0)

    def memory(self, x, name):
        """The states after each row of x, (K, H), read from the first row on."""
        w = {p: self.w[f"{name}.{p}"] for p in ("input.weight", "recurrent.weight", "bias")}
        H = self.o["units"]
        if not self.o["peepholes"]:
            lstm = torch.nn.LSTM(x.shape[1], H)
            flat = {"weight_ih_l0": w["input.weight"], "weight_hh_l0": w["recurrent.weight"], "bias_ih_l0": w["bias"],
                    "bias_hh_l0": torch.zeros(4 * H)}
            return torch.func.functional_call(lstm, flat, (x,))[0]
        p_i, p_f, p_o = self.w[name + ".peepholes"].split(H)
        h, c, states = torch.zeros(H), torch.zeros(H), []
        for row in x:
            i, f, g, o = (w["input.weight"] @ row + w["recurrent.weight"] @ h + w["bias"]).split(H)
            new = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * torch.tanh(g)
            c, h = new, torch.sigmoid(o + p_o * new) * torch.tanh(new)
            states.append(h)
        return torch.stack(states)

    def evolved(self, x):
        directions = []
        for name, turn in ("forward", lambda y: y), ("backward", lambda y: y.flip(0)):
            y = turn(x)
            for l in range(self.o["layers"]):
                y = self.memory(y, f"lstm.{name}.{l}")
            directions.append(turn(y))
        return sum(directions) / 2 if self.o["average"] else torch.cat(directions, 1)

    def activated(self, q, x, name):
        if self.o["score"] == "bilinear":
            scores = x @ (q @ self.w[name + ".weight"])
        else:
            k = x[:, : len(q)]
            z = torch.cat([q.expand_as(k), x, q - k, q * k], 1)
            for l in (0, 1):
                z = torch.sigmoid(z @ self.w[f"{name}.{l}.weight"].T + self.w[f"{name}.{l}.bias"])
            scores = (z @ self.w[name + ".output.weight"].T + self.w[name + ".output.bias"])[:, 0]
        return (torch.softmax(scores, 0) if self.o["softmax"] else scores) @ x

    def logit(self, sample):
        q = torch.cat([self.row("goods", sample["goods"]), self.row("cate", sample["cate"])])
        cut = self.sessions(sample["events"])
        wide = self.o["units"] * (1 if self.o["average"] else 2)
        wanted, evolving = torch.zeros(len(q)), torch.zeros(wide)
        if cut:
            interests = torch.stack([self.interest(self.encoded(s, k, len(cut))) for k, s in enumerate(cut)])
            wanted = self.activated(q, interests, "attention.interest")
            evolving = self.activated(q, self.evolved(interests), "attention.evolved")
        x = torch.cat([self.row("user", sample["user"]), q, wanted, evolving])
        for l in (0, 1):
            x = self.w[f"mlp.{l}.weight"] @ x + self.w[f"mlp.{l}.bias"]
            x = torch.where(x > 0, x, self.w[f"mlp.{l}.alpha"] * x)
        return (self.w["output.weight"] @ x + self.w["output.bias"])[0]

    def step(self, batch):
        logits = torch.stack([self.logit(s) for s in batch])
        F.binary_cross_entropy_with_logits(logits, torch.tensor([s["label"] for s in batch])).backward()
        with torch.no_grad():
            for x, lr in [(w, LR) for w in self.w.values()] + [(r, ROWS_LR) for r in self.rows.values()]:
                x -= lr * x.grad
                x.grad = None


def difference(got, want):
    return float(np.abs(got.reshape(want.shape) - want).max() / max(np.abs(want).max(), 0.01))


samples = read_samples()
worst = 0.0
for variant, options in VARIANTS.items():
    model = Model(options, *state(variant + "-first", 0))
    for t in range(STEPS):
        model.step(samples[t * BATCH : (t + 1) * BATCH])
    dense, rows = state(variant + "-last", STEPS)
    assert set(dense) == set(model.w), set(dense) ^ set(model.w)
    offs = {n: difference(dense[n], w.detach().numpy()) for n, w in model.w.items()}
    for t in TABLES:
        at = [model.at[t][int(i)] for i in rows[t + ".ids"]]
        offs[t] = difference(rows[t + ".weight"], model.rows[t].detach().numpy()[at])
    name = max(offs, key=offs.get)
    worst = max(worst, offs[name])
    print(f"{variant:8s} {len(offs)} tensors, largest difference {offs[name]:.2e}, of {name}")
print(f"allowed {TOLERANCE:.0e}")
sys.exit(not worst <= TOLERANCE)
