"""DIN in PyTorch, as fast as a good user of it would have it, on the shards and from the first state of
a run of dips: how many samples/s it trains, and the losses of its steps.

    torch_din.py DATA FIRST --fields goods,cate --batch 1024 [options]

DATA is a folder of dips prepare synthetic, FIRST the checkpoint of step 0. The candidate and each event
are the fields' embeddings side by side; widths, weights and rows are those of FIRST, the activation unit
has Dice where FIRST has an alpha for it and the sigmoid where not. Every form begins at FIRST and takes
the batches in the order of the data; they lie ready in memory as tensors.

A form says how the activation unit's first layer is computed, and after + what else is done:

    concat    [q, k, q-k, q*k] W + b, as the paper draws it; histories padded to the longest
    split     [k, q*k] [Wk - Wd; Wp] + (q (Wq + Wd) + b), the same number with half of the arithmetic
    bmm       k ((Wk - Wd) + diag(q) Wp) + (q (Wq + Wd) + b), a product for each sample: a quarter
    ragged    concat without padding: the events of all samples in one list
    raggedsplit   split without padding
    +compile  torch.compile
    +amp      products in bf16 (torch.autocast)

Prints a line of JSON about PyTorch, and one for each form."""
import argparse
import glob
import json
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.numpy import load_file

DICE_EPS = 1e-8


class Dice(nn.Module):
    """y = p x + (1 - p) alpha x, p = sigmoid of x normalized by the moments of the rows that are not
    padding (valid: (rows) 1 or 0; None: all are real). Zhou et al. 2018, section 5.3."""

    def __init__(self, width):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(width))

    def forward(self, x, valid=None):
        if valid is None:
            normal = F.batch_norm(x, None, None, training=True, eps=DICE_EPS)
        else:
            count = valid.sum()
            mean = (valid @ x) / count
            inv = torch.rsqrt((valid @ (x * x)) / count - mean * mean + DICE_EPS)
            normal = torch.addcmul(-mean * inv, x, inv)
        return x * torch.addcmul(self.alpha, torch.sigmoid(normal), 1 - self.alpha)


class Sigmoid(nn.Module):
    def forward(self, x, valid=None):
        return torch.sigmoid(x)


class Layers(nn.Module):
    """Linear layers of these widths with an activation behind each, and one number at the end."""

    def __init__(self, widths, dice):
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.activation = nn.ModuleList(Dice(b) if dice else Sigmoid() for b in widths[1:])
        self.output = nn.Linear(widths[-1], 1)

    def forward(self, x, valid=None, first=None):
        """first: what the first linear layer gives, where it is known."""
        for i, (linear, activation) in enumerate(zip(self.linear, self.activation)):
            x = activation(first if i == 0 and first is not None else linear(x), valid)
        return self.output(x)


class DIN(nn.Module):
    """logits (B) from candidates q (B, D) and events k: (B, T, D) and valid (B, T), None without padding;
    or (events, D) and owner (events), the sample of each."""

    def __init__(self, attention, mlp, dice):
        super().__init__()
        self.attention = Layers(attention, dice)
        self.mlp = Layers(mlp, True)
        self.form = "concat"

    def first_layer(self, q, k, owner):
        """(events, units) of the activation unit's first layer before its activation."""
        linear, D = self.attention.linear[0], q.shape[-1]
        opposite = q[owner] if owner is not None else q.unsqueeze(1).expand_as(k)
        if self.form in ("concat", "ragged"):
            pairs = torch.cat([opposite, k, opposite - k, opposite * k], -1)
            return linear(pairs.view(-1, 4 * D))
        W_q, W_k, W_d, W_p = linear.weight.split(D, 1)
        rest = F.linear(q, W_q + W_d, linear.bias)  # of the candidate alone
        if self.form == "bmm":
            W = (W_k - W_d).t() + q.unsqueeze(2) * W_p.t()  # (B, D, units)
            return torch.baddbmm(rest.unsqueeze(1), k, W).flatten(0, 1)
        z = F.linear(torch.cat([k, opposite * k], -1), torch.cat([W_k - W_d, W_p], 1))
        return z + rest[owner] if owner is not None else (z + rest.unsqueeze(1)).flatten(0, 1)

    def forward(self, q, k, valid, owner):
        weight = self.attention(None, None if valid is None else valid.flatten(), self.first_layer(q, k, owner))
        if owner is not None:
            interest = torch.zeros_like(q).index_add(0, owner, weight.to(k.dtype) * k)
        else:
            weight = weight.view(k.shape[:2]) if valid is None else weight.view(k.shape[:2]) * valid
            interest = torch.bmm(weight.unsqueeze(1).to(k.dtype), k).squeeze(1)
        return self.mlp(torch.cat([q, interest], -1)).squeeze(1).float()


# ---- the first state, and the data


class FirstState:
    def __init__(self, folder, fields):
        self.dense = load_file(folder + "/dense.safetensors")
        self.rows = [self.table(folder, field) for field in fields]
        self.dice = "attention.0.alpha" in self.dense

    @staticmethod
    def table(folder, field):
        """(ids, dim): a row for every id up to the highest."""
        shards = [load_file(p) for p in glob.glob(folder + "/shard-*.safetensors")]
        ids = np.concatenate([s[field + ".ids"] for s in shards]).astype(np.int64)
        weight = np.concatenate([s[field + ".weight"] for s in shards])
        table = torch.zeros(int(ids.max()) + 1, weight.shape[1])
        table[torch.from_numpy(ids)] = torch.from_numpy(weight)
        return table

    def tensor(self, name):
        return torch.from_numpy(self.dense[name])

    def widths(self, name):
        widths = [self.dense[name + ".0.weight"].shape[1]]
        while f"{name}.{len(widths) - 1}.weight" in self.dense:
            widths.append(self.dense[f"{name}.{len(widths) - 1}.weight"].shape[0])
        return widths

    @torch.no_grad()
    def fill_layers(self, layers, name, output):
        for i, linear in enumerate(layers.linear):
            linear.weight.copy_(self.tensor(f"{name}.{i}.weight"))
            linear.bias.copy_(self.tensor(f"{name}.{i}.bias"))
            if isinstance(layers.activation[i], Dice):
                layers.activation[i].alpha.copy_(self.tensor(f"{name}.{i}.alpha"))
        layers.output.weight.copy_(self.tensor(output + ".weight"))
        layers.output.bias.copy_(self.tensor(output + ".bias"))

    @torch.no_grad()
    def fill(self, net, tables):
        self.fill_layers(net.attention, "attention", "attention.output")
        self.fill_layers(net.mlp, "mlp", "output")
        for table, rows in zip(tables, self.rows):
            table.weight.copy_(rows)


def ids_of(x):
    return torch.from_numpy(x.astype(np.int64))


class Batches:
    """The first `steps` batches of the data as tensors, for a form: item t is step t's. Events have the
    fields, then the columns in more."""

    def __init__(self, folder, fields, size, steps, more=()):
        shards, samples = [], 0
        for path in sorted(glob.glob(folder + "/train-*.safetensors")):
            if samples < size * steps:
                shards.append(load_file(path))
                samples += len(shards[-1]["label"])

        def column(name):
            return np.concatenate([s[name] for s in shards])

        lengths = np.concatenate([np.diff(s["history.offsets"].astype(np.int64)) for s in shards])
        self.size, self.steps = size, min(steps, samples // size)
        self.label = torch.from_numpy(column("label"))
        self.candidate = [ids_of(column(f)) for f in fields]
        self.events = [ids_of(column("history." + f)) for f in [*fields, *more]]
        self.offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]))
        self.longest, self.equal = int(lengths.max()), bool(lengths.min() == lengths.max())

    def padded(self, t):
        begin, end = t * self.size, (t + 1) * self.size
        starts = self.offsets[begin:end].unsqueeze(1)
        valid = torch.arange(self.longest) < self.offsets[begin + 1 : end + 1].unsqueeze(1) - starts
        at = torch.where(valid, starts + torch.arange(self.longest), 0)
        events = [torch.where(valid, e[at], 0) for e in self.events]
        return events, None if self.equal else valid.float(), None

    def ragged(self, t):
        offsets = self.offsets[t * self.size : (t + 1) * self.size + 1]
        owner = torch.repeat_interleave(torch.arange(self.size), offsets.diff())
        return [e[offsets[0] : offsets[-1]] for e in self.events], None, owner

    def ready(self, form):
        make = self.ragged if form.startswith("ragged") else self.padded
        at = [slice(t * self.size, (t + 1) * self.size) for t in range(self.steps)]
        return [([c[s] for c in self.candidate], *make(t), self.label[s]) for t, s in enumerate(at)]


# ---- training


class Contender:
    def __init__(self, first, fields, lr, rows_lr):
        self.first = first
        self.net = DIN(first.widths("attention"), first.widths("mlp"), first.dice)
        self.tables = nn.ModuleList(nn.Embedding(*rows.shape, sparse=True) for rows in first.rows)
        self.rules = [torch.optim.SGD(self.net.parameters(), lr=lr, fused=True),
                      torch.optim.SGD(self.tables.parameters(), lr=rows_lr)]

    def begin(self, form):
        name, *ways = form.split("+")
        self.first.fill(self.net, self.tables)
        self.net.form = name
        torch.compiler.reset()
        dynamic = name.startswith("ragged")
        self.forward = torch.compile(self.net, dynamic=dynamic) if "compile" in ways else self.net
        self.amp = "amp" in ways

    def step(self, batch):
        candidate, events, valid, owner, label = batch
        for rule in self.rules:
            rule.zero_grad()
        q = torch.cat([table(ids) for table, ids in zip(self.tables, candidate)], -1)
        k = torch.cat([table(ids) for table, ids in zip(self.tables, events)], -1)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.amp):
            logits = self.forward(q, k, valid, owner)
        loss = F.binary_cross_entropy_with_logits(logits, label)
        loss.backward()
        for rule in self.rules:
            rule.step()
        return loss.item()


def sgemm_rate():
    """GFLOP/s of a large product: the best of three."""
    n = 2048
    a, best = torch.rand(n, n), 0.0
    for _ in range(3):
        begin = time.perf_counter()
        torch.mm(a, a)
        best = max(best, 2e-9 * n**3 / (time.perf_counter() - begin))
    return best


WARM_UP = 3  # steps that do not count


def run(contender, form, batches, seconds, steps):
    """Steps for these seconds, and these at least; each batch once, then again from the first. Spans are
    the seconds of each step, those of the warm-up among them."""
    ready = batches.ready(form.split("+")[0])
    contender.begin(form)
    losses, spans = [], []
    while len(losses) < max(steps, WARM_UP + 2) or sum(spans[WARM_UP:]) < seconds:
        began = time.perf_counter()
        losses.append(contender.step(ready[len(losses) % len(ready)]))
        spans.append(time.perf_counter() - began)
    return {"form": form, "spans": spans, "losses": losses[: len(ready)], "sgemm": sgemm_rate()}


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("first")
    parser.add_argument("--fields", required=True)
    parser.add_argument("--forms", default="concat")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--rows-lr", type=float, required=True)
    parser.add_argument("--threads", type=int, default=0, help="0: as PyTorch chooses")
    parser.add_argument("--seconds", type=float, default=3, help="to time each form")
    parser.add_argument("--steps", type=int, default=0, help="at least, of each form")
    parser.add_argument("--batches", type=int, default=100, help="to hold ready")
    o = parser.parse_args()
    o.fields = o.fields.split(",")
    o.forms = o.forms.split(",")
    if o.threads:
        torch.set_num_threads(o.threads)
    return o


def compete(contender, batches, o):
    """Each form in turn; prints their lines."""
    blas = "MKL" if torch.backends.mkl.is_available() else "no MKL"
    onednn = "oneDNN" if torch.backends.mkldnn.is_available() else "no oneDNN"
    print(json.dumps({"torch": torch.__version__, "blas": f"{blas}, {onednn}",
                      "threads": torch.get_num_threads()}), flush=True)
    for form in o.forms:
        print(json.dumps(run(contender, form, batches, o.seconds, o.steps)), flush=True)


if __name__ == "__main__":
    o = options()
    batches = Batches(o.data, o.fields, o.batch, max(o.batches, o.steps))
    compete(Contender(FirstState(o.first, o.fields), o.fields, o.lr, o.rows_lr), batches, o)
