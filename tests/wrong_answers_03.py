"""What readers write in chapter 03: adds its exercises to the tables of `wrong_answers`."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn
from wrong_answers import RIGHT, STUBS, WRONG

from senet_edu.blocks import SEBlock

# ------------------------------------------------------------------------------------------- 3.1 se_weights


def se_weights_by_counting(channels, reduction, bias):
    return sum(p.numel() for p in SEBlock(channels, reduction, bias=bias).parameters())


def se_weights_layers(channels, reduction, bias=True):
    hidden = max(1, channels // reduction)
    layers = nn.Linear(channels, hidden, bias), nn.Linear(hidden, channels, bias)
    return sum(p.numel() for layer in layers for p in layer.parameters())


def se_weights_steps(channels, reduction, bias):
    hidden = channels // reduction
    if hidden == 0:
        hidden = 1
    total = channels * hidden
    total += hidden * channels
    if bias:
        total += hidden
        total += channels
    return total


def se_weights_without_return(channels, reduction, bias):
    hidden = max(channels // reduction, 1)
    print(2 * channels * hidden + bias * (hidden + channels), end="")


RIGHT["se_weights"] = {
    "formula": lambda c, r, bias: 2 * c * max(c // r, 1) + bias * (max(c // r, 1) + c),
    "counted": se_weights_by_counting,
    "layers": se_weights_layers,
    "steps": se_weights_steps,
    "tensor": lambda c, r, bias: torch.tensor(se_weights_steps(c, r, bias)),
    "numpy": lambda c, r, bias: np.int64(se_weights_steps(c, r, bias)),
}
WRONG["se_weights"] = [
    (lambda c, r, bias: 2 * c * max(c // r, 1), "the biases are forgotten"),
    (lambda c, r, bias: 2 * c * max(c // r, 1) + max(c // r, 1) + c, "although bias=False"),
    (lambda c, r, bias: 2 * c * max(c // r, 1) + bias * 2 * c, "2C biases"),
    (lambda c, r, bias: 2 * (c + bias) * max(c // r, 1), "2C/r biases"),
    (lambda c, r, bias: 2 * c * max(c // r, 1) + bias * c, "b₁ of the first layer"),
    (lambda c, r, bias: 2 * c * max(c // r, 1) + bias * max(c // r, 1), "b₂ of the second layer"),
    (lambda c, r, bias: 2 * c * max(c // r, 1) + 2 * bias, "one for each of its outputs"),
    (lambda c, r, bias: c * max(c // r, 1) + bias * (max(c // r, 1) + c), "factor 2 is missing"),
    (lambda c, r, bias: c * max(c // r, 1) + bias * max(c // r, 1), "only the first layer"),
    (lambda c, r, bias: c * max(c // r, 1) + bias * c, "only the second layer"),
    (lambda c, r, bias: c * max(c // r, 1), "one layer without biases"),
    (lambda c, r, bias: 2 * c * c * r + bias * (c * r + c), "C times r"),
    (lambda c, r, bias: 2 * c * c / r + bias * (c / r + c), "not rounded down"),
    (lambda c, r, bias: 2 * c**2 / r, "The biases are missing too"),
    (lambda c, r, bias: 2 * c * c // r + bias * (c // r + c), "before anything is multiplied"),
    (lambda c, r, bias: 2 * c * (c // r) + bias * (c // r + c), "C // r is 0"),
    (
        lambda c, r, bias: sum(p.numel() for p in nn.Linear(c, c // r, bias).parameters()) * 2,
        "it gives 520 instead of 580",
    ),
    (lambda c, r, bias: 2 * c * math.ceil(c / r) + bias * (math.ceil(c / r) + c), "rounded up"),
    (lambda c, r, bias: 2 * c * max(1, round(c / r)) + bias * (max(1, round(c / r)) + c), "to the nearest"),
    (lambda c, r, bias: 2 * c * r + bias * (r + c), "r stands for the hidden width"),
    (lambda c, r, bias: 2 * c * c + bias * 2 * c, "the reduction is forgotten"),
    (lambda c, r, bias: 2 * max(c // r, 1) + bias * (max(c // r, 1) + c), "C is there once"),
    (lambda c, r, bias: (2 * c * max(c // r, 1), c), "should have the shape [] and has [2]"),
    (lambda c, r, bias: f"{2 * c * c // r} weights", "a str that cannot be read"),
    (lambda c, r: 2 * c * c // r, "stopped with TypeError"),
    (lambda c, r, bias: sum(p.numel() for p in SEBlock(c, r).parametres()), "no attribute 'parametres'"),
    (2 * 64 * 4, "without calling it"),
]
STUBS["se_weights"] = [se_weights_without_return]

# ---------------------------------------------------------------------------------------- 3.2 added_weights


def added_weights_loop(stages, reduction):
    total = 0
    for channels, blocks in stages:
        for _ in range(blocks):
            total += 2 * channels * (channels // reduction)
    return total


def added_weights_returns_early(stages, reduction):
    total = 0
    for channels, blocks in stages:
        total += 2 / reduction * blocks * channels**2
        return total


def added_weights_overwrites(stages, reduction):
    for channels, blocks in stages:
        total = 2 / reduction * blocks * channels**2
    return total


def added_weights_empties(stages, reduction):
    total = 0
    while stages:
        channels, blocks = stages.pop()
        total += 2 * blocks * channels**2
    return total / reduction


RIGHT["added_weights"] = {
    "sum": lambda stages, r: 2 / r * sum(n * c**2 for c, n in stages),
    "loop": added_weights_loop,
    "tensor": lambda stages, r: (2 / r) * (torch.tensor(stages)[:, 0] ** 2 * torch.tensor(stages)[:, 1]).sum(),
    "numpy": lambda stages, r: 2 * np.dot([c * c for c, _ in stages], [n for _, n in stages]) // r,
    "empties its list": added_weights_empties,
}
WRONG["added_weights"] = [
    (lambda stages, r: 2 / r * sum(n * c for c, n in stages), "the square is missing"),
    (lambda stages, r: 2 / r * sum(c**2 for c, n in stages), "N_s is forgotten"),
    (lambda stages, r: 2 / r * sum((n * c) ** 2 for c, n in stages), "N_s is squared too"),
    (lambda stages, r: 2 / r * sum(n * c**2 for n, c in stages), "changed places"),
    (lambda stages, r: 2 / r * sum(n * c * 2 for c, n in stages), "2C is not C²"),
    (lambda stages, r: sum(n * c**2 for c, n in stages) / r, "factor 2 is missing"),
    (lambda stages, r: 2 * r * sum(n * c**2 for c, n in stages), "multiplied by r"),
    (lambda stages, r: sum(n * c**2 for c, n in stages) / 2 / r, "1/(2r)"),
    (lambda stages, r: 2 * sum(n * (c / r) ** 2 for c, n in stages), "r is squared"),
    (lambda stages, r: 2 * sum(n * c**2 for c, n in stages), "r is forgotten"),
    (lambda stages, r: 2 / r * sum(n * c for c, n in stages) ** 2, "the sum is squared"),
    (lambda stages, r: 2 / r * sum(c for c, n in stages) ** 2, "the sum of the widths is squared"),
    (added_weights_returns_early, "is the `return` inside the loop?"),
    (added_weights_overwrites, "in place of += in the loop?"),
    (lambda stages, r: 2 / r * sum(n * c**2 for c, n in stages[:-1]), "the last stage is missing"),
    (lambda stages, r: 2 / r * np.mean([n * c**2 for c, n in stages]), "the mean over stages"),
    (lambda stages, r: sum(2 * n * c * (c // r) + n * (c + c // r) for c, n in stages), "biases are counted"),
    (lambda stages, r: 2 / r * sum(n * c**3 for c, n in stages), "instead of 87,040"),
    (lambda stages, r: [2 / r * n * c**2 for c, n in stages], "should have the shape [] and has [4]"),
    (lambda stages, r: sum(stages) * 2 / r, "stopped with TypeError"),
    (lambda stages, r: sum(n * c**2 for c, n in stages.items()), "has no attribute 'items'"),
]
STUBS["added_weights"] = []

# ---------------------------------------------------------------------------------------- 3.3 multiply_adds


def multiply_adds_counted(channels, height, width, reduction):
    from torch.utils.flop_counter import FlopCounterMode

    found = []
    convolution = nn.Conv2d(channels, channels, 3, padding=1, device="meta")
    maps = torch.empty(1, channels, height, width, device="meta")
    hidden = channels // reduction
    layers = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)).to("meta")
    for model, x in ((nn.Sequential(convolution, convolution), maps), (layers, maps.mean((2, 3)))):
        with FlopCounterMode(display=False) as counter:
            model(x)
        found.append(counter.get_total_flops() // 2)
    return found


def arithmetic(c, h, w, r):
    return 18 * c**2 * h * w, 2 * c**2 // r


RIGHT["multiply_adds"] = {
    "formula": arithmetic,
    "counted": multiply_adds_counted,
    "tensor": lambda c, h, w, r: torch.tensor([2 * 3 * 3 * c * c * h * w, 2 * c * (c // r)]),
    "numpy": lambda c, h, w, r: np.array([2 * c * c * 9 * h * w, c * c / r + c / r * c]),
    "list": lambda c, h, w, r: [sum(c * c * 3**2 * h * w for _ in range(2)), sum([c * (c // r), (c // r) * c])],
}
WRONG["multiply_adds"] = [
    (lambda c, h, w, r: (2 * c**2 // r, 18 * c**2 * h * w), "changed places"),
    (lambda c, h, w, r: (36 * c**2 * h * w, 4 * c**2 // r), "a multiply-add is one"),
    (lambda c, h, w, r: (9 * c**2 * h * w, c**2 // r), "one convolution and one layer"),
    (lambda c, h, w, r: (9 * c**2 * h * w, 2 * c**2 // r), "one convolution is counted"),
    (lambda c, h, w, r: (2 * 3 * c**2 * h * w, 2 * c**2 // r), "9 weights, not 3"),
    (lambda c, h, w, r: (2 * c**2 * h * w, 2 * c**2 // r), "the kernel is forgotten"),
    (lambda c, h, w, r: (18 * c * h * w, 2 * c**2 // r), "input channels are forgotten"),
    (lambda c, h, w, r: (18 * c**2, 2 * c**2 // r), "the positions are forgotten"),
    (lambda c, h, w, r: (18 * c**2 * h**2, 2 * c**2 // r), "H² stands for H·W"),
    (lambda c, h, w, r: (18 * c**2 * (h - 2) * (w - 2), 2 * c**2 // r), "no zeros stood around"),
    (lambda c, h, w, r: (18 * c**2 * h * w, c**2 // r), "one SE layer is counted"),
    (lambda c, h, w, r: (18 * c**2 * h * w, 2 * c**2 // r * h * w), "they see z, once an image"),
    (lambda c, h, w, r: (18 * c**2 * h * w, 2 * c**2 * r), "multiplied by r"),
    (lambda c, h, w, r: (18 * c**2 * h * w, 2 * c**2), "r is forgotten"),
    (lambda c, h, w, r: (18 * c**2 * h * w, 2 * (c // r) ** 2), "r is squared"),
    (lambda c, h, w, r: (18 * c**2 * h * w, 2 * c**2 // r + c // r + c), "the biases are counted"),
    (lambda c, h, w, r: (18 * c**2 * h * w, 2 * c**2 // r + c * h * w), "products of the scale"),
    (lambda c, h, w, r: (18 * c**2 * h * w, 18 * c**2 * h * w + 2 * c**2 // r), "asked is SE's alone"),
    (lambda c, h, w, r: 2 * c**2 / r / (18 * c**2 * h * w), "the ratio of the two"),
    (lambda c, h, w, r: 18 * c**2 * h * w + 2 * c**2 / r, "the sum of the two"),
    (lambda c, h, w, r: (18 * c**2 * h * w, 2 * c**2 // r + 1000), "the SE layers have 512 multiply-adds"),
    (lambda c, h, w, r: (18 * c**2 * h * w,), "should have the shape [2] and has [1]"),
    (lambda c, h, w: 18 * c**2 * h * w, "stopped with TypeError"),
]
STUBS["multiply_adds"] = []

# --------------------------------------------------------------------------------------------- 3.4 se_bytes


def se_bytes_from_tensors(n, channels, height, width, bytes_per_number):
    u = torch.empty(n, channels, height, width, dtype={2: torch.float16, 4: torch.float32}[bytes_per_number])
    squeeze, scale = u.nbytes, 2 * u.nbytes
    return squeeze + scale


RIGHT["se_bytes"] = {
    "product": lambda n, c, h, w, b: 3 * n * c * h * w * b,
    "tensors": se_bytes_from_tensors,
    "prod": lambda *sizes: 3 * math.prod(sizes),
    "tensor": lambda *sizes: 3 * torch.tensor(sizes).prod(),
}
WRONG["se_bytes"] = [
    (lambda n, c, h, w, b: 2 * n * c * h * w * b, "two passes"),
    (lambda n, c, h, w, b: n * c * h * w * b, "one pass"),
    (lambda n, c, h, w, b: 4 * n * c * h * w * b, "the squeeze writes z only"),
    (lambda n, c, h, w, b: (3 * h * w + 2) * n * c * b, "z and s are counted too"),
    (lambda n, c, h, w, b: 3 * n * c * h * w * b + n * c * b, "z or s is counted too"),
    (lambda n, c, h, w, b: n * c * (h * w + 1) * b, "the scale is missing"),
    (lambda n, c, h, w, b: n * c * (2 * h * w + 1) * b, "the squeeze is missing"),
    (lambda n, c, h, w, b: 3 * n * c * h * w, "numbers, not bytes"),
    (lambda n, c, h, w, b: 3 * n * c * h * w * b * 8, "bits, not bytes"),
    (lambda n, c, h, w, b: 3 * n * c * h * w * 4, "4 bytes a number"),
    (lambda n, c, h, w, b: 3 * c * h * w * b, "the batch is forgotten"),
    (lambda n, c, h, w, b: 3 * n * h * w * b, "the channels are forgotten"),
    (lambda n, c, h, w, b: 3 * n * c * b, "the positions are forgotten"),
    (lambda n, c, h, w, b: 3 * n * c * h * h * b, "H² stands for H·W"),
    (lambda n, c, h, w, b: 3 * n * c * h * w // b, "divided by bytes_per_number"),
    (lambda n, c, h, w, b: 3 * n * c * h * w * b / 1e6, "megabytes"),
    (lambda n, c, h, w, b: 5 * n * c * h * w * b, "it gives 1,310,720 instead of 786,432"),
    (lambda n, c, h, w: 3 * n * c * h * w * 4, "stopped with TypeError"),
]
STUBS["se_bytes"] = []
