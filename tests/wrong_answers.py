"""What readers write: right answers in several styles, and wrong ones with a phrase of the verdict.

Written as a reader would, not with the functions of `senet_edu.checks`.
"""

from __future__ import annotations

import copy
import math
import statistics
from typing import Any

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from senet_edu.blocks import SEBlock

RIGHT: dict[str, dict[str, Any]] = {}
WRONG: dict[str, list[tuple[Any, str]]] = {}
STUBS: dict[str, list[Any]] = {}

# ---------------------------------------------------------------------------------------------- 2.1 squeeze


def squeeze_loops(u):
    n, c, h, w = u.shape
    z = torch.zeros(n, c)
    for i in range(n):
        for j in range(c):
            total = 0.0
            for row in u[i, j]:
                for number in row:
                    total += number
            z[i, j] = total / (h * w)
    return z


def squeeze_in_place(u):
    u /= u.shape[2] * u.shape[3]
    return u.sum(dim=(2, 3))


def squeeze_without_return(u):
    u.sum(dim=(2, 3)) / u[0, 0].numel()


RIGHT["squeeze"] = {
    "sum": lambda u: u.sum(dim=(-2, -1)) / (u.shape[-2] * u.shape[-1]),
    "einsum": lambda u: torch.einsum("nchw->nc", u) / u[0, 0].numel(),
    "loops": squeeze_loops,
    "flatten": lambda u: u.flatten(2).mean(-1),
    "numpy": lambda u: u.numpy().mean(axis=(2, 3)),
    "nested list": lambda u: [[m.sum() / m.numel() for m in image] for image in u],
    "keepdim": lambda u: u.mean(dim=(2, 3), keepdim=True),
    "adaptive": lambda u: nn.AdaptiveAvgPool2d(1)(u),
}
WRONG["squeeze"] = [
    (lambda u: u.sum((2, 3)) / (u.shape[2] * u.shape[1]), "divided by H·C, as one of the source notes"),
    (lambda u: u.sum((2, 3)), "not divided by H·W"),
    (lambda u: u.mean((0, 1)), "pooled over the batch and the channels (dim=(0, 1))"),
    (lambda u: u.mean(1), "pooled over the channels (dim=(1,))"),
    (lambda u: u.mean((0, 2, 3)), "pooled over the batch and the height and the width"),
    (lambda u: u.mean((1, 2, 3)), "pooled over the channels and the height and the width"),
    (lambda u: u.sum((1, 2)) / (u.shape[2] * u.shape[3]), "pooled over the channels and the height"),
    (lambda u: u.sum((0, 1)), "over the batch and the channels"),
    (lambda u: u.mean(), "over the batch and the channels and the height and the width"),
    (lambda u: u.mean(3), "pooled over the width (dim=(3,))"),
    (lambda u: u.sum((2, 3)) / u.size(2) ** 2, "divided by H²"),
    (lambda u: u.sum((2, 3)) / u.size(3) ** 2, "divided by W²"),
    (lambda u: u.flatten(2).max(-1).values, "maximum"),
    (lambda u: u.sum((2, 3)) / u.numel() * u.size(1), "divided by N·H·W"),
    (lambda u: u.sum((2, 3)) / u[0].numel(), "divided by H·W·C"),
    (lambda u: F.avg_pool2d(u, u.size(2)).squeeze(), "F.avg_pool2d(u, u.size(2))"),
    (lambda u: u.abs().mean((2, 3)), "largest difference is at ["),
    (lambda u: u.sum((2, 3)) / 0, "the largest difference is at [0, 0]"),
    (lambda u: u.mean((2, 3))[:, :1], "should have the shape [2, 4] and has [2, 1]"),
    (lambda u: u.view(u.shape[0], -1, 7, 7).mean((2, 3)), "stopped with RuntimeError: shape"),
    (lambda u: u.mean((2, 3)) if u.size(2) == u.size(3) else u.mean((2, 3)) + 1, "It is right for u ["),
    (lambda: 3, "stopped with TypeError"),
    (lambda u: "mean", "a str that cannot be read"),
    (lambda u: {"z": u.mean((2, 3))}, "a dict that cannot be read"),
    (lambda u: [u[0], u[0, 0]], "entries differ in shape"),
    (lambda u: u.no_such_method(), "AttributeError: 'Tensor' object has no attribute 'no_such_method'"),
    (squeeze_in_place, "changes its argument u in place"),
    (torch.ones(2, 3), "without calling it"),
    (3, "without calling it"),
]
STUBS["squeeze"] = [squeeze_without_return]

# ----------------------------------------------------------------------------------------------- 2.2 excite


def excite_loops(z, w1, w2, b1, b2):
    rows = []
    for image in z:
        hidden = [max(0.0, float(row @ image + b)) for row, b in zip(w1, b1, strict=True)]
        logits = [float(row @ torch.tensor(hidden) + b) for row, b in zip(w2, b2, strict=True)]
        rows.append([1 / (1 + math.exp(-x)) for x in logits])
    return rows


def excite_with(between, after):
    def my_excite(z, w1, w2, b1, b2):
        return after(between(z @ w1.T + b1) @ w2.T + b2)

    return my_excite


def same_number(x):
    return x


RIGHT["excite"] = {
    "linear": lambda z, w1, w2, b1, b2: F.linear(F.linear(z, w1, b1).relu(), w2, b2).sigmoid(),
    "matmul": excite_with(torch.relu, torch.sigmoid),
    "einsum": lambda z, w1, w2, b1, b2: torch.sigmoid(
        torch.einsum("ch,nh->nc", w2, torch.einsum("hc,nc->nh", w1, z).add(b1).clamp(min=0)) + b2
    ),
    "loops": excite_loops,
    "exp": excite_with(lambda x: torch.maximum(x, torch.zeros(())), lambda x: 1 / (1 + (-x).exp())),
    "1×1 convolutions": lambda z, w1, w2, b1, b2: F.conv2d(
        F.conv2d(z[:, :, None, None], w1[:, :, None, None], b1).relu(), w2[:, :, None, None], b2
    ).sigmoid(),
}
WRONG["excite"] = [
    (excite_with(torch.relu, same_number), "sigmoid is missing"),
    (excite_with(same_number, torch.sigmoid), "ReLU between the layers is missing"),
    (excite_with(torch.sigmoid, torch.relu), "ReLU and sigmoid have changed places"),
    (excite_with(torch.relu, lambda x: x.softmax(1)), "softmax over the channels"),
    (excite_with(torch.relu, nn.Softmax(dim=0)), "softmax over the batch"),
    (excite_with(torch.relu, torch.tanh), "tanh in place of the sigmoid"),
    (excite_with(torch.relu, lambda x: x.sigmoid().sigmoid()), "applied twice"),
    (excite_with(torch.relu, F.hardsigmoid), "hard sigmoid"),
    (excite_with(torch.relu, lambda x: 1 / (1 + x.exp())), "1/(1 + eˣ)"),
    (excite_with(torch.tanh, torch.sigmoid), "tanh in place of the ReLU"),
    (excite_with(F.relu6, torch.sigmoid), "ReLU6"),
    (excite_with(torch.relu, torch.cos), "largest difference is at ["),
    (
        lambda z, w1, w2, b1, b2: (torch.relu(z @ w2 + b1) @ w1 + b2).sigmoid(),
        "W₁ and W₂ have changed places",
    ),
    (
        lambda z, w1, w2, b1, b2: F.linear(F.linear(z, w2, b1).relu(), w1, b2).sigmoid(),
        "W₁ [C/r, C] comes first",
    ),
    (lambda z, w1, w2, b1, b2: (torch.relu(z @ w1 + b1) @ w2 + b2).sigmoid(), "lack their transposition"),
    (lambda z, w1, w2, b1, b2: (torch.relu(z @ w1 + b1) @ w2.T + b2).sigmoid(), "W₁ lacks its transposition"),
    (lambda z, w1, w2, b1, b2: (torch.relu(z @ w1.T) @ w2.T).sigmoid(), "both biases are forgotten"),
    (lambda z, w1, w2, b1, b2: (torch.relu(z @ w1.T + b1) @ w2.T).sigmoid(), "b₂ is forgotten"),
    (lambda z, w1, w2, b1, b2: (torch.relu(z @ w1.T) @ w2.T + b2).sigmoid(), "b₁ is forgotten"),
    (lambda z, w1, w2, b1, b2: (torch.relu(z @ w1.T + b1) @ w2.T).sigmoid() + b2, "added after the sigmoid"),
    (
        lambda z, w1, w2, b1, b2: (w2 @ (w1 @ z.T + b1[:, None]).relu() + b2[:, None]).sigmoid(),
        "transposed; asked is [N, C]",
    ),
    (lambda z, w1, w2, b1, b2: z * excite_with(torch.relu, torch.sigmoid)(z, w1, w2, b1, b2), "returns z·s"),
    (lambda z, w1, w2, b1, b2: torch.relu(z @ w1.T + b1), "returns the hidden layer"),
    (lambda z, w1, w2: z, "TypeError"),
    (lambda z, w1, w2, b1, b2: torch.relu(w1 @ z + b1), "images are the rows of z, so W₁ z is z @ w1.T"),
]
STUBS["excite"] = [lambda z, w1, w2, b1, b2: torch.sigmoid(...)]

# ---------------------------------------------------------------------------------------- 2.4 gate_gradient


def gate_gradient_autograd(u, g):
    s = torch.ones(u.shape[:2], requires_grad=True)
    (u * s[:, :, None, None] * g).sum().backward()
    return s.grad


def gate_gradient_loops(u, g):
    out = torch.zeros(u.shape[:2])
    for n in range(u.shape[0]):
        for c in range(u.shape[1]):
            out[n, c] = (u[n, c] * g[n, c]).sum()
    return out


def gate_gradient_in_place(u, g):
    u *= g
    return u.sum((2, 3))


RIGHT["gate_gradient"] = {
    "sum": lambda u, g: (u * g).sum((2, 3)),
    "einsum": lambda u, g: torch.einsum("nchw,nchw->nc", u, g),
    "autograd": gate_gradient_autograd,
    "loops": gate_gradient_loops,
    "matmul": lambda u, g: u.flatten(2)[:, :, None] @ g.flatten(2)[..., None],
}
WRONG["gate_gradient"] = [
    (lambda u, g: g.sum((2, 3)), "u is forgotten"),
    (lambda u, g: u.sum((2, 3)), "g is forgotten"),
    (lambda u, g: (u * g).mean((2, 3)), "the mean over positions"),
    (lambda u, g: (u * g).sum((0, 2, 3)), "summed over the batch and the height and the width"),
    (lambda u, g: u * g, "not summed"),
    (lambda u, g: (u * g).sum((1, 2)), "summed over the channels and the height"),
    (lambda u, g: (u * g).sum(1), "summed over the channels (dim=(1,))"),
    (lambda u, g: -(u * g).sum((2, 3)), "sign"),
    (lambda u, g: u.sum((2, 3)) * g.sum((2, 3)), "product of two sums"),
    (lambda u, g: u.mean((2, 3)) * g.sum((2, 3)), "mean of u"),
    (lambda u, g: (u + g).sum((2, 3)), "chain rule multiplies"),
    (lambda u, g: (u * g).sum((2, 3)) / u.shape[0], "divided by the batch"),
    (lambda u, g: (u / g).sum((2, 3)), "largest difference"),
    (lambda u, g: u @ g, "stopped with RuntimeError"),
    (gate_gradient_in_place, "changes its argument u in place"),
]
STUBS["gate_gradient"] = []

# ---------------------------------------------------------------------------------------------- 2.3 se_block


class Linear(nn.Module):
    bias = True

    def __init__(self, channels, reduction):
        super().__init__()
        self.fc1 = nn.Linear(channels, channels // reduction, bias=self.bias)
        self.fc2 = nn.Linear(channels // reduction, channels, bias=self.bias)

    def pool(self, u):
        return u.mean((2, 3))

    def between(self, hidden):
        return torch.relu(hidden)

    def gate(self, logits):
        return torch.sigmoid(logits)

    def apply_gates(self, u, s):
        return u * s[:, :, None, None]

    def forward(self, u):
        return self.apply_gates(u, self.gate(self.fc2(self.between(self.fc1(self.pool(u))))))


class LinearWithoutBias(Linear):
    bias = False


class Sequential(nn.Module):
    def __init__(self, channel, reduction=16):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channel, channel // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channel // reduction, channel, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.fc(self.avg_pool(x).view(b, c)).view(b, c, 1, 1)
        return x * y.expand_as(x)


class Convolutions(nn.Module):
    def __init__(self, c, r):
        super().__init__()
        self.one = nn.Conv2d(c, int(c / r), 1)
        self.two = nn.Conv2d(int(c / r), c, 1)

    def forward(self, u):
        s = F.adaptive_avg_pool2d(u, 1)
        return u * self.two(self.one(s).relu()).sigmoid()


class OneBias(nn.Module):
    def __init__(self, c, r):
        super().__init__()
        self.one, self.two = nn.Linear(c, c // r, bias=False), nn.Linear(c // r, c)

    def forward(self, u):
        return torch.einsum("nchw,nc->nchw", u, self.two(self.one(u.mean((2, 3))).relu()).sigmoid())


class PlainParameters(nn.Module):
    """W₁ and W₂ as z @ W wants them, all biases after the weights."""

    def __init__(self, c, r):
        super().__init__()
        self.w1, self.w2 = nn.Parameter(torch.randn(c, c // r)), nn.Parameter(torch.randn(c // r, c))
        self.b1, self.b2 = nn.Parameter(torch.zeros(c // r)), nn.Parameter(torch.zeros(c))

    def forward(self, u):
        s = torch.sigmoid(torch.relu(u.mean((2, 3)) @ self.w1 + self.b1) @ self.w2 + self.b2)
        return u * s[..., None, None]


class MixedParameters(nn.Module):
    def __init__(self, c, r):
        super().__init__()
        self.w1, self.w2 = nn.Parameter(torch.randn(c // r, c)), nn.Parameter(torch.randn(c // r, c))

    def forward(self, u):
        s = torch.sigmoid(torch.relu(u.mean((2, 3)) @ self.w1.T) @ self.w2)
        return u * s[..., None, None]


class SecondLayerFirst(nn.Module):
    def __init__(self, c, r):
        super().__init__()
        self.up = nn.Linear(c // r, c)
        self.down = nn.Linear(c, c // r)

    def forward(self, u):
        return u * self.up(self.down(u.mean((2, 3))).relu()).sigmoid()[:, :, None, None]


def se_like(**changes):
    """`Linear` with some methods exchanged."""
    return type("MySE", (Linear,), {name: staticmethod(method) for name, method in changes.items()})


def sized(first, second, forward=Linear.forward):
    """A class whose two layers have other sizes, computed from (channels, reduction)."""

    def __init__(self, c, r):
        nn.Module.__init__(self)
        self.fc1, self.fc2 = nn.Linear(*first(c, r)), nn.Linear(*second(c, r))

    return type("MySE", (Linear,), {"__init__": __init__, "forward": forward})


def relu6_without_biases(c, r):
    two = [nn.Linear(c, c // r, bias=False), nn.ReLU6(), nn.Linear(c // r, c, bias=False), nn.Sigmoid()]
    gates = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *two)
    block = nn.Module()
    block.gates = gates
    block.forward = lambda u: u * gates(u)[:, :, None, None]
    return block


def lazy(c, r):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(c // r), nn.ReLU(), nn.LazyLinear(c))


def overriding(forward, base=Linear):
    return type("MySE", (base,), {"forward": forward})


def no_gradient(self, u):
    with torch.no_grad():
        return Linear.forward(self, u)


class LayersInAList(Linear):
    def __init__(self, c, r):
        nn.Module.__init__(self)
        self.layers = [nn.Linear(c, c // r), nn.Linear(c // r, c)]

    def forward(self, u):
        return self.apply_gates(u, self.layers[1](self.layers[0](u.mean((2, 3))).relu()).sigmoid())


class WithoutSuper(nn.Module):
    def __init__(self, c, r):
        self.fc1 = nn.Linear(c, c // r)


class NotAModule:
    def __init__(self, c, r):
        self.c = c


class FloatWidth(Linear):
    def __init__(self, c, r):
        nn.Module.__init__(self)
        self.fc1 = nn.Linear(c, c / r)


class ThreeLayers(Linear):
    def __init__(self, c, r):
        super().__init__(c, r)
        self.fc3 = nn.Linear(c, c)


class InPlace(Linear):
    def apply_gates(self, u, s):
        return u.mul_(s[:, :, None, None])


def gate_per_position(self, u):
    return u * self.fc2(self.fc1(u.movedim(1, -1)).relu()).sigmoid().movedim(-1, 1)


RIGHT["se_block"] = {
    "linear": Linear,
    "linear without bias": LinearWithoutBias,
    "sequential": Sequential,
    "1×1 convolutions": Convolutions,
    "one bias": OneBias,
    "plain parameters": PlainParameters,
    "mixed parameters": MixedParameters,
    "second layer first": SecondLayerFirst,
    "ours": SEBlock,
    "a factory": lambda c, r: SEBlock(c, r, bias=False),
}
WRONG["se_block"] = [
    (se_like(apply_gates=lambda u, s: u + s[:, :, None, None]), "the gate is added"),
    (se_like(pool=lambda u: u.mean((0, 2, 3), keepdim=False).repeat(len(u), 1)), "gate over the whole batch"),
    (se_like(gate=lambda x: x), "sigmoid is missing"),
    (se_like(between=lambda x: x), "ReLU between the layers is missing"),
    (se_like(gate=lambda x: x.softmax(-1)), "softmax over the channels"),
    (se_like(gate=lambda x: x.softmax(0)), "softmax over the batch"),
    (se_like(gate=torch.tanh), "tanh in place of the sigmoid"),
    (se_like(between=torch.sigmoid, gate=torch.relu), "changed places"),
    (se_like(between=F.relu6), "ReLU6"),
    (relu6_without_biases, "ReLU6"),
    (lazy, "A lazy layer has no size"),
    (se_like(pool=lambda u: u.amax((2, 3))), "max pooling"),
    (se_like(pool=lambda u: u.mean((1, 2))), "pooled over the channels and the height (dim=(1, 2))"),
    (se_like(pool=lambda u: u.mean((0, 1))), "pooled over the batch and the channels"),
    (se_like(pool=lambda u: u.sum((2, 3))), "not divided by H·W"),
    (se_like(pool=lambda u: F.avg_pool2d(u, u.size(2)).flatten(1)), "F.avg_pool2d(u, u.size(2))"),
    (se_like(pool=lambda u: F.avg_pool2d(u, u.size(3)).flatten(1)), "F.avg_pool2d(u, u.size(3))"),
    (se_like(apply_gates=lambda u, s: s), "returns the gates"),
    (se_like(apply_gates=lambda u, s: s[:, :, None, None]), "returns the gates"),
    (se_like(apply_gates=lambda u, s: u + u * s[:, :, None, None]), "u is added to the result"),
    (se_like(apply_gates=lambda u, s: u * s), "lack their last two axes"),
    (se_like(apply_gates=lambda u, s: u.mean((2, 3)) * s), "scales the squeezed z"),
    (se_like(apply_gates=lambda u, s: u), "returns u itself"),
    (se_like(apply_gates=lambda u, s: u / s[:, :, None, None]), "largest difference is at ["),
    (overriding(gate_per_position), "NoSqueeze"),
    (overriding(no_gradient), "No gradient reaches"),
    (overriding(lambda self, u: self.fc7(u)), "AttributeError"),
    (sized(lambda c, r: (c // r, c), lambda c, r: (c, c // r)), "W₁ is [4, 16], nn.Linear(C, C // r)"),
    (sized(lambda c, r: (c, r), lambda c, r: (r, c)), "wrong sizes"),
    (sized(lambda c, r: (c, c), lambda c, r: (c, c)), "found have the sizes [16, 16]"),
    (sized(lambda c, r: (c, c // 64), lambda c, r: (c // 64, c)), "width 0"),
    (ThreeLayers, "wrong sizes"),
    (FloatWidth, "channels // reduction"),
    (LayersInAList, "has no parameters"),
    (WithoutSuper, "super().__init__()"),
    (NotAModule, "not an nn.Module"),
    (InPlace, "changes its argument u in place"),
    (Linear(8, 2), "the class MySE"),
    (7, "without calling it"),
]


class NoInit(nn.Module):
    def forward(self, u): ...


class NothingBuilt(nn.Module):
    def __init__(self, channels, reduction):
        super().__init__()

    def forward(self, u):
        return u


class NoSuperEither(nn.Module):
    def __init__(self, channels, reduction): ...

    def forward(self, u): ...


class ForwardToCome(Linear):
    def forward(self, u): ...


class ForwardRaises(Linear):
    def forward(self, u):
        raise NotImplementedError


class ForwardFirst(nn.Module):
    def __init__(self, channels, reduction):
        super().__init__()

    def forward(self, u):
        return u * self.fc1(u.mean((2, 3)))


class InitRaises(nn.Module):
    def __init__(self, channels, reduction):
        raise NotImplementedError("your turn")


class Untouched: ...


STUBS["se_block"] = [
    lambda c, r: None,
    NoInit,
    NothingBuilt,
    NoSuperEither,
    ForwardToCome,
    ForwardRaises,
    ForwardFirst,
    InitRaises,
    Untouched,
]

# ------------------------------------------------------------------------------------- 5.2 parameter_groups


def groups_by_module(model, weight_decay):
    se = [p for m in model.modules() if isinstance(m, SEBlock) for p in m.parameters()]
    ids = set(map(id, se))
    rest = [p for p in model.parameters() if id(p) not in ids]
    return [{"params": rest, "weight_decay": weight_decay}, {"params": se, "weight_decay": 0}]


def groups_by_name(model, weight_decay):
    named = list(model.named_parameters())
    return (
        {"params": (p for n, p in named if ".se." in n), "weight_decay": 0.0},
        {"params": (p for n, p in named if ".se." not in n), "weight_decay": weight_decay},
    )


def group_a_parameter(model, weight_decay):
    for name, p in model.named_parameters():
        yield {"params": p, "weight_decay": 0.0 if ".se." in name else weight_decay}


def groups_named_with_default(model, weight_decay):
    named = dict(model.named_parameters())
    se = [(n, p) for n, p in named.items() if ".se." in n]
    rest = [(n, p) for n, p in named.items() if ".se." not in n]
    return [{"params": se}, {"params": rest, "weight_decay": weight_decay}]


def split(rule, keep=lambda n: True, decays=None):
    """Two groups by name: decay 0 where the rule says so."""

    def my_parameter_groups(model, weight_decay):
        named = [(n, p) for n, p in model.named_parameters() if keep(n)]
        free = {"params": [p for n, p in named if rule(n)], "weight_decay": 0.0}
        rest = {"params": [p for n, p in named if not rule(n)], "weight_decay": decays or weight_decay}
        return [rest, free]

    return my_parameter_groups


def is_bn(name):
    return "bn" in name or "downsample.1" in name


def groups_overlapping(model, weight_decay):
    se = [p for n, p in model.named_parameters() if ".se." in n]
    return [{"params": model.parameters(), "weight_decay": weight_decay}, {"params": se, "weight_decay": 0}]


def groups_exhausted(model, weight_decay):
    se = (p for m in model.modules() if isinstance(m, SEBlock) for p in m.parameters())
    ids = {id(p) for p in se}
    rest = [p for p in model.parameters() if id(p) not in ids]
    return [{"params": rest, "weight_decay": weight_decay}, {"params": se, "weight_decay": 0}]


def groups_with_in(model, weight_decay):
    se = [p for m in model.modules() if isinstance(m, SEBlock) for p in m.parameters()]
    rest = [p for p in model.parameters() if p not in se]
    return [{"params": rest, "weight_decay": weight_decay}, {"params": se, "weight_decay": 0}]


def se_name(name):
    return ".se." in name


RIGHT["parameter_groups"] = {
    "by module": groups_by_module,
    "by name, generators": groups_by_name,
    "one a parameter": group_a_parameter,
    "named": lambda model, decay: [{"weight_decay": 0.0, **g} for g in groups_named_with_default(model, decay)],
}
WRONG["parameter_groups"] = [
    (split(se_name, keep=lambda n: not se_name(n)), "never trained"),
    (split(se_name, keep=se_name), "only the SE parameters"),
    (groups_overlapping, "in both groups"),
    (split(lambda n: not se_name(n)), "reversed"),
    (split(lambda n: False), "every parameter has weight decay"),
    (split(lambda n: True), "no parameter has weight decay"),
    (groups_exhausted, "its generator was read before"),
    (split(lambda n: se_name(n) and n.endswith("weight")), "biases of SE blocks still have"),
    (split(lambda n: se_name(n) and n.endswith("bias")), "weights of SE blocks still have"),
    (split(lambda n: "fc1" in n), "only fc1"),
    (split(lambda n: "fc2" in n), "only fc2"),
    (split(lambda n: "fc" in n), "classifier"),
    (split(se_name, keep=lambda n: not is_bn(n)), "batch normalisation are in no group"),
    (split(lambda n: se_name(n) or is_bn(n)), "batch normalisation lost its decay too"),
    (split(lambda n: is_bn(n)), "in place of the SE blocks"),
    (split(lambda n: n.endswith("bias")), "all biases"),
    (split(se_name, decays=5e-4), "conv1.weight has weight decay 0.0005 instead of 0.01"),
    (
        split(lambda n: se_name(n) and "layer4" in n),
        "layer1.0.se.fc1.weight has weight decay 0.01 instead of 0",
    ),
    (split(se_name, keep=lambda n: "layer3" not in n), "layer3.0.conv1.weight is in no group"),
    (groups_with_in, "by id(p)"),
    (groups_named_with_default, "Each group is a dict"),
    (lambda model, decay: groups_by_module(copy.deepcopy(model), decay), "perhaps copies"),
    (lambda model, decay: groups_by_module(model, decay)[0], "list of dicts"),
    (lambda model, decay: [g["params"] for g in groups_by_module(model, decay)], "Each group is a dict"),
    (lambda model, decay: [{"params": list(model.state_dict()), "weight_decay": 0}], "holds a str where a parameter"),
    (lambda model, decay: 5, "TypeError"),
]
STUBS["parameter_groups"] = []

# --------------------------------------------------------------------------------------------- 5.1 triangle


def rate_steps(progress, peak, warmup):
    if progress <= warmup:
        return peak * progress / warmup
    return peak - peak * (progress - warmup) / (1 - warmup)


def rate_warm(after):
    """The right rise, then something else."""
    return lambda p, peak, w: peak * p / w if p < w else after(p, peak, w)


RIGHT["triangle"] = {
    "branches": rate_steps,
    "min": lambda p, peak, w: peak * min(p / w, (1 - p) / (1 - w)),
    "interp": lambda p, peak, w: np.interp(p, [0, w, 1], [0, peak, 0]),
    "tensor": lambda p, peak, w: torch.minimum(torch.tensor(p / w), torch.tensor((1 - p) / (1 - w))) * peak,
}
WRONG["triangle"] = [
    (lambda p, peak, w: peak * min(1, p / w), "never falls"),
    (lambda p, peak, w: peak * p / w, "rises on past the peak"),
    (rate_warm(lambda p, peak, w: peak * (1 - p + w)), "does not end at 0"),
    (rate_warm(lambda p, peak, w: peak * (1 - p)), "jumps down at the peak"),
    (rate_warm(lambda p, peak, w: peak * (1 + math.cos(math.pi * (p - w) / (1 - w))) / 2), "half a cosine"),
    (lambda p, peak, w: peak / 2 * (1 - math.cos(math.pi * rate_steps(p, 1, w))), "half cosines"),
    (lambda p, peak, w: peak * (1 - abs(2 * p - 1)), "the middle, whatever `warmup`"),
    (lambda p, peak, w: peak * (1 - p), "starts at the peak"),
    (rate_warm(lambda p, peak, w: peak * (2 - p / w)), "as fast as it rose, below 0"),
    (rate_warm(lambda p, peak, w: peak * max(0, 2 - p / w)), "as fast as it rose"),
    (lambda p, peak, w: peak * p / max(1, int(w)), "not a number of steps"),
    (lambda p, peak, w: rate_steps(p, peak, 1 - w), "1 − warmup"),
    (lambda p, peak, w: peak * p * w if p < w else rate_steps(p, peak, w), "multiplied by `warmup`"),
    (lambda p, peak, w: rate_steps(p, 1, w), "`peak` is not used"),
    (lambda p, peak, w: max(0.1 * peak, rate_steps(p, peak, w)), "it starts at"),
    (
        lambda p, peak, w: rate_steps(p, peak, w) if p < 0.9 else 0.3,
        "does not end at 0: at progress = 1 it is 0.3",
    ),
    (lambda p, peak, w: 1.5 * rate_steps(p, peak, w), "exceeds the peak"),
    (lambda p, peak, w: 0.9 * rate_steps(p, peak, w), "instead of"),
    (lambda p, peak, w: peak * p / int(w), "ZeroDivisionError"),
    (lambda p, peak, w: None if p > w else peak * p / w, "returns nothing"),
    (lambda p, peak, w: (p, peak), "should have the shape [21] and has [21, 2]"),
]
STUBS["triangle"] = []

# ------------------------------------------------------------------------------------ 5.3 paired_difference


def paired_statistics(se, plain):
    d = [a - b for a, b in zip(se, plain, strict=True)]
    return statistics.mean(d), statistics.stdev(d) / len(d) ** 0.5


def paired_numpy(se, plain):
    d = np.asarray(se) - np.asarray(plain)
    return d.mean(), d.std(ddof=1) / np.sqrt(len(d))


def paired_torch(se, plain):
    d = torch.tensor(se) - torch.tensor(plain)
    return torch.stack([d.mean(), d.std() / math.sqrt(len(d))])


def paired_operators(se, plain):
    d = se - plain
    return d.mean(), d.std(ddof=1) / len(d) ** 0.5


def paired_tensors(se, plain):
    d = se - plain
    return d.mean().item(), d.std(correction=1).item() / len(d) ** 0.5


def of_differences(make):
    """An answer made of the differences as an array."""
    return lambda se, plain: make(np.asarray(se) - np.asarray(plain))


def unpaired(se, plain):
    return np.mean(se) - np.mean(plain), math.sqrt((np.var(se, ddof=1) + np.var(plain, ddof=1)) / len(se))


RIGHT["paired_difference"] = {
    "statistics": paired_statistics,
    "numpy": paired_numpy,
    "torch": paired_torch,
    "arrays expected": paired_operators,
    "tensors expected": paired_tensors,
    "√(n − 1)": of_differences(lambda d: [d.mean(), d.std() / math.sqrt(len(d) - 1)]),
}
WRONG["paired_difference"] = [
    (unpaired, "unpaired"),
    (of_differences(lambda d: (d.mean(), d.std() / len(d) ** 0.5)), "ddof=1"),
    (of_differences(lambda d: (d.mean(), d.std(ddof=1))), "not yet divided by √n"),
    (of_differences(lambda d: (d.mean(), d.std(ddof=1) / len(d))), "divided by n, not by √n"),
    (of_differences(lambda d: (-d.mean(), d.std(ddof=1) / len(d) ** 0.5)), "sign is reversed"),
    (of_differences(lambda d: (abs(d).mean(), abs(d).std(ddof=1) / len(d) ** 0.5)), "absolute differences"),
    (of_differences(lambda d: (d.mean(), d.var(ddof=1))), "variance stands for"),
    (of_differences(lambda d: (d.mean(), d.var(ddof=1) / len(d))), "square root is missing"),
    (of_differences(lambda d: (d.mean(), 1.96 * d.std(ddof=1) / len(d) ** 0.5)), "95 %"),
    (of_differences(lambda d: (d.std(ddof=1) / len(d) ** 0.5, d.mean())), "changed places"),
    (lambda a, b: (np.mean(a) - np.mean(b), np.std(a, ddof=1) / len(a) ** 0.5), "that of se alone"),
    (of_differences(lambda d: (d.mean(), d.std(ddof=1) / (2 * len(d)) ** 0.5)), "a pair counts once"),
    (of_differences(lambda d: d.mean()), "only the mean comes back"),
    (of_differences(lambda d: (d.sum(), d.std(ddof=1) / len(d) ** 0.5)), "the sum of the differences"),
    (of_differences(lambda d: (d.mean(), 0.0)), "the standard error is 0 instead of"),
    (of_differences(lambda d: (np.median(d), d.std(ddof=1) / len(d) ** 0.5)), "the mean difference is"),
    (of_differences(lambda d: d[7]), "IndexError"),
    (lambda se, plain: "1 ± 0.1", "a str that cannot be read"),
    (lambda se, plain: se.average(), "'list' object has no attribute"),
]
STUBS["paired_difference"] = [lambda se, plain: (..., ...), lambda se, plain: (None, None)]

# ------------------------------------------------------------------------------------------ 7.1 class_means


def class_means_loop(gates, labels, classes):
    return torch.stack([gates[labels == k].mean(0) for k in range(classes)])


def class_means_slow(gates, labels, classes):
    total, count = [[0.0] * gates.shape[1] for _ in range(classes)], [0] * classes
    for row, k in zip(gates.tolist(), labels.tolist(), strict=True):
        count[k] += 1
        total[k] = [t + r for t, r in zip(total[k], row, strict=True)]
    return [[t / n for t in row] for row, n in zip(total, count, strict=True)]


def one_hot(labels, classes):
    return F.one_hot(labels, classes).float()


def class_means_plus(gates, labels, classes):
    out = torch.zeros(classes, gates.shape[1])
    out[labels] += gates
    return out / labels.bincount(minlength=classes)[:, None]


def class_sums(gates, labels, classes):
    return one_hot(labels, classes).T @ gates


RIGHT["class_means"] = {
    "loop": class_means_loop,
    "one-hot": lambda g, y, k: class_sums(g, y, k) / one_hot(y, k).sum(0)[:, None],
    "einsum": lambda g, y, k: torch.einsum("nk,nc->kc", one_hot(y, k) / one_hot(y, k).sum(0), g),
    "slow": class_means_slow,
    "scatter": lambda g, y, k: torch.zeros(k, g.shape[1]).scatter_reduce(
        0, y[:, None].expand_as(g), g, "mean", include_self=False
    ),
}
WRONG["class_means"] = [
    (class_sums, "not divided by the number of images"),
    (lambda g, y, k: class_sums(g, y, k) / len(g), "all images, n"),
    (lambda g, y, k: class_sums(g, y, k) / (len(g) / k), "mean class size"),
    (lambda g, y, k: class_means_loop(g, y, k).mean(1), "averaged over the channels too"),
    (lambda g, y, k: torch.stack([g[y == c].mean() for c in range(k)]), "averaged over the channels too"),
    (lambda g, y, k: class_means_loop(g, y, k).T, "transposed"),
    (
        lambda g, y, k: torch.stack([g[y == c].mean(0) for c in dict.fromkeys(y.tolist())]),
        "order of appearance",
    ),
    (lambda g, y, k: torch.stack([g[y == c].mean(0) for c in [k - 1, *range(k - 1)]]), "shifted by one"),
    (lambda g, y, k: g.mean(0).repeat(k, 1), "labels are not used"),
    (lambda g, y, k: class_means_loop(g, y, k)[y], "a row for each image"),
    (class_means_plus, "out[labels] += gates"),
    (lambda g, y, k: torch.stack([g[y == c].median(0).values for c in range(k)]), "median"),
    (lambda g, y, k: torch.stack([g[y == c].amax(0) for c in range(k)]), "largest gate"),
    (lambda g, y, k: torch.stack([g[y == c].mean(1) for c in range(k)]), "RuntimeError: stack"),
    (lambda g, y, k: [g[y == c].mean(1) for c in range(k)], "entries differ in shape"),
    (
        lambda g, y, k: torch.stack([g[y == c + 1].mean(0) for c in range(k)]),
        ": nan instead of",
    ),
]
STUBS["class_means"] = []

# ------------------------------------------------------------------------------------------ 7.2 specificity


def parts(g, y, k):
    m, m_k, n_k = (
        g.mean(0),
        class_means_loop(g, y, k),
        torch.tensor([(y == c).sum() for c in range(k)])[:, None],
    )
    return m, m_k, n_k


def specificity(g, y, k):
    m, m_k, n_k = parts(g, y, k)
    return (n_k * (m_k - m) ** 2).sum(0) / ((g - m) ** 2).sum(0)


def specificity_loop(gates, labels, classes):
    shares = []
    for column in gates.double().T:
        m, between = column.mean(), 0.0
        for k in range(classes):
            mine = column[labels == k]
            between += len(mine) * (mine.mean() - m) ** 2
        shares.append(between / ((column - m) ** 2).sum())
    return shares


def within(g, y, k):
    return ((g - class_means_loop(g, y, k)[y]) ** 2).sum(0)


def unweighted(g, y, k):
    return class_means_loop(g, y, k).var(0) / g.var(0)


def mean_of_means(g, y, k):
    _, m_k, n_k = parts(g, y, k)
    m = m_k.mean(0)
    return (n_k * (m_k - m) ** 2).sum(0) / ((g - m) ** 2).sum(0)


RIGHT["specificity"] = {
    "sums": specificity,
    "loop": specificity_loop,
    "variances": lambda g, y, k: class_means_loop(g, y, k)[y].var(0) / g.var(0),
    "one minus within": lambda g, y, k: 1 - within(g, y, k) / g.var(0) / (len(g) - 1),
    "keepdim": lambda g, y, k: class_means_loop(g, y, k)[y].var(0, keepdim=True) / g.var(0, keepdim=True),
}
WRONG["specificity"] = [
    (unweighted, "every class counts alike"),
    (lambda g, y, k: class_means_loop(g, y, k).var(0, correction=0) / g.var(0, correction=0), "counts alike"),
    (
        lambda g, y, k: ((parts(g, y, k)[1] - g.mean(0)) ** 2).sum(0) / ((g - g.mean(0)) ** 2).sum(0),
        "counts alike",
    ),
    (lambda g, y, k: within(g, y, k) / ((g - g.mean(0)) ** 2).sum(0), "share within the classes"),
    (lambda g, y, k: class_means_loop(g, y, k).var(0), "variance of the class means, not divided"),
    (lambda g, y, k: specificity(g, y, k) ** 0.5, "standard deviations"),
    (lambda g, y, k: class_means_loop(g, y, k).std(0) / g.std(0), "standard deviations, and every class"),
    (lambda g, y, k: class_means_loop(g, y, k).std(0), "standard deviation of the class means"),
    (lambda g, y, k: specificity(g, y, k) / (1 - specificity(g, y, k)), "F ratio"),
    (lambda g, y, k: specificity(g.mean(1)[:, None], y, k), "averaged over the channels first"),
    (lambda g, y, k: specificity(g, y, k).mean(), "averaged over the channels;"),
    (mean_of_means, "m is the mean of the class means"),
    (lambda g, y, k: class_means_loop(g, y, k)[y].var(0, correction=0) / g.var(0), "n − 1 in the other"),
    (lambda g, y, k: 1 / specificity(g, y, k), "upside down"),
    (lambda g, y, k: specificity(g, y, k) * ((g - g.mean(0)) ** 2).sum(0), "not divided by the total"),
    (lambda g, y, k: 2 * specificity(g, y, k), "largest difference"),
    (lambda g, y, k: specificity(g, y, k)[:-1], "should have the shape [5] and has [4]"),
    (lambda g, y, k: (g - class_means_loop(g, y, k)) ** 2, "RuntimeError"),
]
STUBS["specificity"] = []

# ---------------------------------------------------------------------------------------------- 7.3 openers


def openers_sorted(gates, channel, k):
    return sorted(range(len(gates)), key=lambda i: -float(gates[i, channel]))[:k]


def openers_loop(gates, channel, k):
    column, found = gates[:, channel].clone(), []
    for _ in range(k):
        found.append(int(column.argmax()))
        column[found[-1]] = -1
    return found


RIGHT["openers"] = {
    "topk": lambda g, c, k: g[:, c].topk(k).indices,
    "argsort": lambda g, c, k: g[:, c].argsort(descending=True)[:k],
    "sorted": openers_sorted,
    "loop": openers_loop,
    "numpy, reversed": lambda g, c, k: g[:, c].argsort().numpy()[: -k - 1 : -1],
    "numpy": lambda g, c, k: np.argsort(-g[:, c].numpy())[:k],
}
WRONG["openers"] = [
    (lambda g, c, k: g[:, c].argsort()[:k], "smallest gates"),
    (lambda g, c, k: g[:, c].topk(k).values, "asked are the numbers of the images"),
    (lambda g, c, k: g[:, c].topk(k), "topk gives values and indices"),
    (lambda g, c, k: g[c].topk(k).indices, "a row for a column"),
    (lambda g, c, k: g[:, c].argsort()[-k:], "ascending order"),
    (lambda g, c, k: sorted(openers_sorted(g, c, k)), "in order of their numbers"),
    (lambda g, c, k: g.flatten().argsort(descending=True)[:k], "the channel is not used"),
    (lambda g, c, k: g.mean(1).topk(k).indices, "mean over all channels"),
    (lambda g, c, k: g.topk(k, dim=0).indices, "all channels are ranked"),
    (lambda g, c, k: g[:, c].topk(k + 1).indices, "one image too many"),
    (lambda g, c, k: g[:, c].argsort(descending=True)[: k - 1], "one image too few"),
    (lambda g, c, k: g[:, c].argsort(descending=True)[1 : k + 1], "starts at the second"),
    (lambda g, c, k: g[:, c].argsort(descending=True), "the first k"),
    (lambda g, c, k: g[:, c - 1].topk(k).indices, "channels count from 0"),
    (lambda g, c, k: list(range(k)), "largest difference"),
    (lambda g, c, k: g[:, 100], "IndexError"),
]
STUBS["openers"] = []
