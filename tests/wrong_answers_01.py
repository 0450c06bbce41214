"""Chapter 01's part of the corpus in `wrong_answers`: importing it adds them."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from wrong_answers import RIGHT, STUBS, WRONG

# ------------------------------------------------------------------------------------------ 1.1 convolution


def convolution_loops(x, v):
    channels, height, width = x.shape
    u = torch.zeros(height - 2, width - 2)
    for s in range(channels):
        for a in range(3):
            for b in range(3):
                u += v[s, a, b] * x[s, a : a + height - 2, b : b + width - 2]
    return u


def convolution_pixels(x, v):
    height, width = x.shape[1] - 2, x.shape[2] - 2
    return [[float((v * x[:, i : i + 3, j : j + 3]).sum()) for j in range(width)] for i in range(height)]


def convolution_layer(x, v):
    layer = nn.Conv2d(len(x), 1, 3, bias=False)
    layer.weight.data = v[None]
    return layer(x[None])


def patches(x):
    return x.unfold(1, 3, 1).unfold(2, 3, 1)  # [C', H - 2, W - 2, 3, 3]


def convolution_shifts(weight, size=2, first=0):
    """The loop over nine offsets with weight(v, a, b) [C'] for each."""

    def my_convolution(x, v):
        h, w = x.shape[1] - 2, x.shape[2] - 2
        parts = [
            weight(v, a, b)[:, None, None] * x[:, a : a + h, b : b + w]
            for a in range(first, size + 1)
            for b in range(first, size + 1)
        ]
        return sum(parts).sum(0)

    return my_convolution


def convolution_overwritten(x, v):
    h, w = x.shape[1] - 2, x.shape[2] - 2
    for s in range(len(x)):
        for a in range(3):
            for b in range(3):
                u = v[s, a, b] * x[s, a : a + h, b : b + w]
    return u


def convolution_last_channel(x, v):
    for s in range(len(x)):
        u = F.conv2d(x[None, s : s + 1], v[None, s : s + 1])[0, 0]
    return u


def convolution_large_slices(result):
    """Slices as large as the picture, into a result of the size result(height, width)."""

    def my_convolution(x, v):
        channels, height, width = x.shape
        u = torch.zeros(*result(height, width))
        for s in range(channels):
            for a in range(3):
                for b in range(3):
                    u += v[s, a, b] * x[s, a : a + height, b : b + width]
        return u

    return my_convolution


def convolution_padded(x, v):
    return F.conv2d(x[None], v[None], padding=1)[0, 0]


def convolution_in_place(x, v):
    x *= 1.5
    return convolution_loops(x, v)


RIGHT["convolution"] = {
    "loops": convolution_loops,
    "pixel by pixel": convolution_pixels,
    "shifts": convolution_shifts(lambda v, a, b: v[:, a, b]),
    "einsum": lambda x, v: torch.einsum("chwab,cab->hw", patches(x), v),
    "conv2d": lambda x, v: F.conv2d(x[None], v[None]),
    "layer": convolution_layer,
    "one channel at a time": lambda x, v: sum(F.conv2d(x[None, s : s + 1], v[None, s : s + 1]) for s in range(len(x))),
    "numpy": lambda x, v: np.einsum("chwab,cab->hw", patches(x).numpy(), v.numpy()),
}
WRONG["convolution"] = [
    (convolution_shifts(lambda v, a, b: v[:, 2 - a, 2 - b]), "the kernel is turned round"),
    (convolution_shifts(lambda v, a, b: v[:, b, a]), "rows and columns of the kernel"),
    (lambda x, v: (patches(x) * v[:, None, None]).sum((-2, -1)), "not summed over the input channels"),
    (lambda x, v: torch.einsum("chwab,cab->chw", patches(x), v).mean(0), "the mean over the input channels"),
    (lambda x, v: torch.einsum("chwab,cab->chw", patches(x), v).max(0).values, "the maximum over the input channels"),
    (lambda x, v: F.conv2d(x[None, :1], v[None, :1])[0, 0], "only the first channel"),
    (convolution_last_channel, "only the last channel is left"),
    (lambda x, v: convolution_loops(x[:-1], v[:-1]), "the last channel is not in the sum"),
    (convolution_overwritten, "only the last product is left"),
    (convolution_shifts(lambda v, a, b: v[0, a, b].repeat(len(v))), "one kernel, v[0], serves all channels"),
    (lambda x, v: F.conv2d(x.sum(0)[None, None], v.sum(0)[None, None]), "added before they are filtered"),
    (lambda x, v: convolution_loops(x.flip(0), v), "in reverse order"),
    (lambda x, v: (patches(x) * v[:, None, None]).mean((-2, -1)).sum(0), "divided by the nine positions"),
    (lambda x, v: (patches(x) * v[:, None, None]).mean((0, -2, -1)), "the number of all products"),
    (convolution_shifts(lambda v, a, b: v[:, 1, 1] * (a == b == 1)), "only the kernel's middle"),
    (lambda x, v: F.relu(convolution_loops(x, v)), "a ReLU is applied"),
    (convolution_padded, "zeros were put around the picture"),
    (convolution_shifts(lambda v, a, b: v[:, a, b], size=1), "the largest difference is at ["),
    (convolution_shifts(lambda v, a, b: v[:, a, b], size=3), "IndexError"),
    (convolution_large_slices(lambda h, w: (h - 2, w - 2)), "a slice of x is not as large as the result"),
    (convolution_large_slices(lambda h, w: (h, w)), "a slice of x is not as large as the result"),
    (lambda x, v: F.conv2d(x, v), "stopped with RuntimeError"),
    (lambda x, v: convolution_loops(x, v)[:, :-1], "should have the shape [4, 6] and has [4, 5]"),
    (convolution_in_place, "changes its argument x in place"),
]
STUBS["convolution"] = []

# -------------------------------------------------------------------------------------- 1.2 receptive_field


def field_forward(kernels, strides):
    size, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        size += (kernel - 1) * step
        step *= stride
    return size


def field_backward(kernels, strides):
    size = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        size = (size - 1) * stride + kernel
    return size


def field_seen(kernels, strides):
    """From what a line of ones hands back to its pixels."""
    x = torch.ones(1, 1, 301, requires_grad=True)
    u = x
    for kernel, stride in zip(kernels, strides, strict=True):
        u = F.conv1d(u, torch.ones(1, 1, kernel), stride=stride)
    u[0, 0, u.shape[-1] // 2].backward()
    return int((x.grad != 0).sum())


def field_early(kernels, strides):
    size, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        step *= stride
        size += (kernel - 1) * step
    return size


def field_backward_early(kernels, strides):
    size = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        size = (size - 1 + kernel - 1) * stride + 1
    return size


def field_previous_only(kernels, strides):
    size, before = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        size += (kernel - 1) * before
        before = stride
    return size


def field_added_steps(kernels, strides):
    size, step = 1, 1
    for i, kernel in enumerate(kernels):
        size += (kernel - 1) * step
        step = sum(strides[: i + 1])
    return size


RIGHT["receptive_field"] = {
    "forward": field_forward,
    "backward": field_backward,
    "formula": lambda k, t: 1 + sum((k[i] - 1) * math.prod(t[:i]) for i in range(len(k))),
    "numpy": lambda k, t: 1 + ((np.array(k) - 1) * np.cumprod([1, *t[:-1]])).sum(),
    "gradient": field_seen,
}
WRONG["receptive_field"] = [
    (lambda k, t: sum(k), "the kernel sizes are summed"),
    (lambda k, t: math.prod(k), "the kernel sizes are multiplied"),
    (lambda k, t: field_forward(k, t) - 1, "the 1 is missing"),
    (lambda k, t: 1 + sum(kernel - 1 for kernel in k), "the strides are not used"),
    (field_early, "multiplied in too early"),
    (field_backward_early, "multiplied in too early"),
    (field_previous_only, "only the stride of the layer before"),
    (lambda k, t: 1 + sum((a - 1) * b for a, b in zip(k, t, strict=True)), "only the layer's own stride"),
    (field_added_steps, "they multiply"),
    (lambda k, t: 1 + sum(a - 1 for a in k) * math.prod(t), "all strides are multiplied in for every layer"),
    (lambda k, t: field_forward(k[::-1], t[::-1]), "the strides after a layer"),
    (lambda k, t: 1 + sum((k[i] - 1) * math.prod(t[i + 1 :]) for i in range(len(k))), "the strides after a layer"),
    (lambda k, t: 1 + sum(k[i] * math.prod(t[:i]) for i in range(len(k))), "each layer adds k times"),
    (lambda k, t: sum(k[i] * math.prod(t[:i]) for i in range(len(k))), "each layer adds k times"),
    (lambda k, t: k[-1], "only the last kernel"),
    (lambda k, t: max(k), "only the largest kernel"),
    (lambda k, t: field_forward(k, t) ** 2, "the number of pixels in it"),
    (lambda k, t: field_forward(k, t) // 2, "the reach to one side"),
    (lambda k, t: 1 + sum(2 * math.prod(t[:i]) for i in range(len(k))), "every kernel counts as 3"),
    (lambda k, t: 7, "it gives 7 instead of"),
    (lambda k, t: (field_forward(k, t),) * 2, "should have the shape [] and has [2]"),
    (lambda k, t: k[3], "IndexError"),
]
STUBS["receptive_field"] = []

# ----------------------------------------------------------------------------------------- 1.3 colour_gates


def gates_steep(z):
    blue = torch.sigmoid(20 * (z[:, 1] - z[:, 0]))
    return torch.stack([blue, 1 - blue], dim=1)


def gates_loop(z):
    return [[1.0, 0.0] if blue > red else [0.0, 1.0] for red, blue in z.tolist()]


def gates_excited(z):
    w1 = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    w2 = torch.tensor([[-30.0, 30.0], [30.0, -30.0]])
    return torch.sigmoid(torch.relu(z @ w1.T) @ w2.T)


def gates_of(horizontal, vertical):
    """A stack of two functions of red and blue."""
    return lambda z: torch.stack([horizontal(z[:, 0], z[:, 1]), vertical(z[:, 0], z[:, 1])], dim=1)


RIGHT["colour_gates"] = {
    "steep": gates_steep,
    "gentle": lambda z: torch.sigmoid(z.flip(1) - z),
    "softmax": lambda z: torch.softmax(10 * z, dim=1).flip(1),
    "loop": gates_loop,
    "where": gates_of(lambda r, b: (b > r).float(), lambda r, b: (r > b).float()),
    "two layers, as in an SE block": gates_excited,
    "share": lambda z: z.flip(1) / z.sum(1, keepdim=True),
    "numpy": lambda z: (z.numpy()[:, ::-1] > z.numpy()).astype(float),
}
WRONG["colour_gates"] = [
    (lambda z: torch.softmax(10 * z, dim=1), "the classes are exchanged"),
    (lambda z: z / z.sum(1, keepdim=True), "the classes are exchanged"),
    (lambda z: torch.full_like(z, 0.5), "all gates are ½"),
    (torch.ones_like, "no gate crosses ½"),
    (torch.zeros_like, "no gate crosses ½"),
    (lambda z: torch.sigmoid(z) + 0.1, "no gate crosses ½"),
    (lambda z: (z[:, 1:] > z[:, :1]).float().expand(-1, 2), "both gates move together"),
    (gates_of(lambda r, b: (r > b).float(), lambda r, b: (r > b).float()), "both gates move together"),
    (gates_of(lambda r, b: (b > r).float(), lambda r, b: torch.ones_like(r)), "the vertical channel should close"),
    (gates_of(lambda r, b: torch.zeros_like(r), lambda r, b: (r > b).float()), "the horizontal channel should open"),
    (gates_of(lambda r, b: torch.ones_like(r), lambda r, b: (r > b).float()), "the horizontal channel should close"),
    (gates_of(lambda r, b: (b > r).float(), lambda r, b: torch.zeros_like(r)), "the vertical channel should open"),
    (lambda z: torch.sigmoid(z.flip(1)), "no gate crosses ½"),
    (gates_of(lambda r, b: 0.6 + 0.3 * b, lambda r, b: 0.4 - 0.3 * r), "no gate crosses ½"),
    (
        gates_of(lambda r, b: torch.sigmoid(b - r), lambda r, b: torch.full_like(r, 0.5)),
        "s[:, 1] stays at ½, so its channel adds nothing: vertical bars",
    ),
    (gates_of(lambda r, b: torch.full_like(r, 0.5), lambda r, b: torch.sigmoid(r - b)), "horizontal bars do not count"),
    (lambda z: 10 * (z.flip(1) - z), "A gate lies between 0 and 1"),
    (lambda z: torch.tanh(z.flip(1) - z), "A gate lies between 0 and 1"),
    (lambda z: z / 0, "yours run from"),
    (lambda z: gates_steep(z).T, "transposed"),
    (lambda z: gates_steep(z)[:, 0], "yours have the shape [6]"),
    (lambda z: gates_steep(z).mean(0), "yours have the shape [2]"),
    (lambda z: (z.flip(1) > 0.5).float(), "d should be positive for vertical bars in a frame with red 0.3"),
    (lambda z: gates_steep(z.mean(0, keepdim=True)).expand(6, 2), "no gate crosses ½"),
    (lambda z: torch.sigmoid(z @ torch.ones(3, 2)), "RuntimeError"),
    (lambda z: "open", "a str that cannot be read"),
]
STUBS["colour_gates"] = [lambda z: (..., ...), lambda z: [None, None]]
