"""DIEN in PyTorch, as fast as a good user of it would have it; the words are those of torch_din.py.

The extractor is nn.GRU; of the evolution all input projections are one product, and a step a few operations
on the whole batch, sequences padded to the longest. The auxiliary net's first layer is split, so that the
states' part is computed once for events and negatives. The loss is that of the clicks; the auxiliary one,
a mean over pairs of events, is minimized with it.

    loop      the evolution as a loop in Python
    script    by torch.jit.script
    +compile  torch.compile of all"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from torch_din import Batches, FirstState, Layers, compete, options


def augru(gates, attention, U, h):
    """gates (T, B, 3 H): W x + b of u, r and n; attention (T, B, 1), 0 on padding. The last state."""
    for gx, a in zip(gates.unbind(0), attention.unbind(0)):
        x_u, x_r, x_n = gx.chunk(3, 1)
        h_u, h_r, h_n = torch.mm(h, U).chunk(3, 1)
        n = torch.tanh(torch.addcmul(x_n, torch.sigmoid(x_r + h_r), h_n))
        h = torch.lerp(h, n, a * torch.sigmoid(x_u + h_u))
    return h


class DIEN(nn.Module):
    """logits (B) and the auxiliary loss, from q (B, D), events and negatives (T, B, D), valid (T, B)."""

    def __init__(self, D, H, net, mlp):
        super().__init__()
        self.extractor = nn.GRU(D, H)
        self.score = nn.Parameter(torch.zeros(D, H))
        self.inputs = nn.Linear(H, 3 * H)
        self.recurrent = nn.Parameter(torch.zeros(3 * H, H))
        self.net = nn.ModuleList(nn.Linear(a, b) for a, b in zip(net, net[1:] + [1]))
        self.mlp = Layers(mlp, True)
        self.evolve = augru

    def contrast(self, states_part, x):
        W = self.net[0].weight
        y = torch.sigmoid(states_part + F.linear(x, W[:, -x.shape[-1]:]))
        for linear in self.net[1:-1]:
            y = torch.sigmoid(linear(y))
        return self.net[-1](y).squeeze(2)

    def forward(self, q, events, negatives, valid):
        states = self.extractor(events)[0]
        scores = (states * (q @ self.score)).sum(2).masked_fill(~valid, -math.inf)
        attention = torch.softmax(scores, 0).unsqueeze(2)
        last = self.evolve(self.inputs(states), attention, self.recurrent.t(), torch.zeros_like(states[0]))
        before = states[:-1]
        part = F.linear(before, self.net[0].weight[:, : before.shape[-1]], self.net[0].bias)
        pairs = F.softplus(-self.contrast(part, events[1:])) + F.softplus(self.contrast(part, negatives[1:]))
        valid = valid[1:].float()
        return self.mlp(torch.cat([q, last], -1)).squeeze(1), (pairs * valid).sum() / valid.sum()


class Contender:
    def __init__(self, first, fields, lr, rows_lr):
        self.first, self.fields = first, len(fields)
        H, D = first.tensor("attention.weight").shape[1], first.tensor("attention.weight").shape[0]
        self.net = DIEN(D, H, first.widths("auxiliary"), first.widths("mlp"))
        self.tables = nn.ModuleList(nn.Embedding(*rows.shape, sparse=True) for rows in first.rows)
        self.rules = [torch.optim.SGD(self.net.parameters(), lr=lr, fused=True),
                      torch.optim.SGD(self.tables.parameters(), lr=rows_lr)]

    @torch.no_grad()
    def fill(self):
        """nn.GRU has the gates r, z = 1 - u, n, and two biases."""
        first, net = self.first, self.net
        for ours, theirs in (("input.weight", "weight_ih_l0"), ("recurrent.weight", "weight_hh_l0"),
                             ("bias", "bias_ih_l0")):
            u, r, n = first.tensor("extractor." + ours).chunk(3)
            getattr(net.extractor, theirs).copy_(torch.cat([r, -u, n]))
        net.extractor.bias_hh_l0.zero_()
        net.extractor.bias_hh_l0.requires_grad_(False)
        net.score.copy_(first.tensor("attention.weight"))
        net.inputs.weight.copy_(first.tensor("evolution.input.weight"))
        net.inputs.bias.copy_(first.tensor("evolution.bias"))
        net.recurrent.copy_(first.tensor("evolution.recurrent.weight"))
        for i, linear in enumerate(net.net):
            name = f"auxiliary.{i}" if i < len(net.net) - 1 else "auxiliary.output"
            linear.weight.copy_(first.tensor(name + ".weight"))
            linear.bias.copy_(first.tensor(name + ".bias"))
        first.fill_layers(net.mlp, "mlp", "output")
        for table, rows in zip(self.tables, first.rows):
            table.weight.copy_(rows)

    def begin(self, form):
        name, *ways = form.split("+")
        self.fill()
        self.net.evolve = torch.jit.script(augru) if name == "script" else augru
        torch.compiler.reset()
        self.forward = torch.compile(self.net) if "compile" in ways else self.net

    def embed(self, ids):
        return torch.cat([table(i) for table, i in zip(self.tables, ids)], -1)

    def step(self, batch):
        candidate, events, valid, _, label = batch
        for rule in self.rules:
            rule.zero_grad()
        events = [e.t() for e in events]
        valid = torch.ones_like(events[0], dtype=torch.bool) if valid is None else valid.t() > 0
        logits, auxiliary = self.forward(self.embed(candidate), self.embed(events[: self.fields]),
                                         self.embed(events[self.fields:]), valid)
        loss = F.binary_cross_entropy_with_logits(logits, label)
        (loss + auxiliary).backward()
        for rule in self.rules:
            rule.step()
        return loss.item()


if __name__ == "__main__":
    o = options()
    more = [f"negative_{f}" for f in o.fields]
    batches = Batches(o.data, o.fields, o.batch, max(o.batches, o.steps), more)
    compete(Contender(FirstState(o.first, o.fields), o.fields, o.lr, o.rows_lr), batches, o)
