"""Exercises of chapter 01: a convolution by hand, what a stack of them sees, and gates that solve `hue_xor`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from senet_edu.checks.verdicts import Case, Finding, Mistake, Verdict, diagnose, normal, numbers, seeded


def convolution(my_convolution: Any) -> Verdict:
    """Exercise 1.1, eq. 1: u_c = Σ_s v_c^s * x^s, x [C', H, W] and one filter v_c [C', 3, 3] to u_c [H − 2, W − 2]."""
    generator = seeded(11)
    cases = [
        Case({"x": normal(generator, channels, height, width), "v": normal(generator, channels, 3, 3)})
        for channels, height, width in ((3, 6, 8), (2, 7, 5), (4, 5, 5))
    ]
    right = "Every channel with its own kernel, summed, on wide, tall and square pictures."
    errors = {"must match": "a slice of x is not as large as the result: height is H − 2 and width is W − 2"}
    return diagnose("1.1", my_convolution, cases, convolve, convolution_mistakes(), right, errors=errors)


def convolve(x: Tensor, v: Tensor, padding: int = 0) -> Tensor:
    return F.conv2d(x[None], v[None], padding=padding)[0, 0]


def channel_by_channel(x: Tensor, v: Tensor) -> Tensor:
    """The summands v_c^s * x^s: [C', H − 2, W − 2]."""
    return F.conv2d(x[None], v[:, None], groups=len(x))[0]


def convolution_mistakes() -> list[Mistake]:
    one_kernel = "one kernel, v[0], serves all channels; channel s has its own, v[s]"
    return [
        Mistake(
            "the kernel is turned round, as the textbook's convolution does; networks do not: v[s, a, b] meets "
            "x[s, i + a, j + b]",
            lambda x, v: convolve(x, v.flip(1, 2)),
        ),
        Mistake("rows and columns of the kernel have changed places", lambda x, v: convolve(x, v.mT)),
        Mistake("not summed over the input channels", channel_by_channel),
        Mistake("the mean over the input channels; eq. 1 is their sum", lambda x, v: convolve(x, v) / len(x)),
        Mistake(
            "the maximum over the input channels; eq. 1 is their sum",
            lambda x, v: channel_by_channel(x, v).amax(dim=0),
        ),
        Mistake(
            "only the first channel is in the sum; all are, s = 0 to C' − 1",
            lambda x, v: channel_by_channel(x, v)[0],
        ),
        Mistake(
            "only the last channel is left; the channels add up, with +=",
            lambda x, v: channel_by_channel(x, v)[-1],
        ),
        Mistake(
            "the last channel is not in the sum; all are, s = 0 to C' − 1",
            lambda x, v: channel_by_channel(x, v)[:-1].sum(dim=0),
        ),
        Mistake(
            "only the last product is left; the products add up, with +=", lambda x, v: x[-1, 2:, 2:] * v[-1, 2, 2]
        ),
        Mistake(one_kernel, lambda x, v: convolve(x, v[:1].expand_as(v))),
        Mistake(
            "the channels are added before they are filtered; each has its own kernel",
            lambda x, v: convolve(x.sum(dim=0, keepdim=True), v.sum(dim=0, keepdim=True)),
        ),
        Mistake("the channels meet the kernels in reverse order", lambda x, v: convolve(x, v.flip(0))),
        Mistake("divided by the nine positions; eq. 1 has a sum", lambda x, v: convolve(x, v) / 9),
        Mistake(
            "divided by the number of all products, 9·C'; eq. 1 has a sum", lambda x, v: convolve(x, v) / (9 * len(x))
        ),
        Mistake("only the kernel's middle, v[:, 1, 1], is used", lambda x, v: convolve(x, v * middle_only())),
        Mistake("a ReLU is applied; eq. 1 has none", lambda x, v: convolve(x, v).relu()),
        Mistake(
            "zeros were put around the picture; here the kernel stays inside it", lambda x, v: convolve(x, v, padding=1)
        ),
    ]


def middle_only() -> Tensor:
    only = torch.zeros(3, 3)
    only[1, 1] = 1
    return only


def receptive_field(my_receptive_field: Any) -> Verdict:
    """Exercise 1.2: 1 + Σ_l (k_l − 1) Π_{i<l} t_i from lists of kernel sizes k and strides t, a layer each."""
    cases = [
        Case({"kernels": [3, 3, 3], "strides": [1, 1, 1]}),
        Case({"kernels": [7, 3, 5, 3], "strides": [2, 2, 1, 2]}),
        Case({"kernels": [5, 1, 3, 3], "strides": [3, 1, 2, 1]}),
    ]
    right = "With and without strides."
    return diagnose("1.2", my_receptive_field, cases, sees, receptive_field_mistakes(), right)


def sees(kernels: Sequence[int], strides: Sequence[int]) -> int:
    return 1 + added(kernels, steps_before(strides))


def steps_before(strides: Sequence[int]) -> list[int]:
    """How many pixels apart two neighbours are at the entrance of each layer."""
    return list(accumulate([1, *strides[:-1]], mul))


def added(kernels: Sequence[int], steps: Sequence[int]) -> int:
    return sum((kernel - 1) * step for kernel, step in zip(kernels, steps, strict=True))


def receptive_field_mistakes() -> list[Mistake]:
    return [
        Mistake("the 1 is missing: a layer adds k − 1 to the one pixel", lambda k, t: sees(k, t) - 1),
        Mistake("the kernel sizes are summed; a kernel of size k adds k − 1", lambda k, t: sum(k)),
        Mistake("the kernel sizes are multiplied; each adds to what was seen before", lambda k, t: prod(k)),
        Mistake(
            "the strides are not used: after a stride of t, neighbours are t pixels apart",
            lambda k, t: 1 + added(k, [1] * len(k)),
        ),
        Mistake(
            "a layer's own stride is multiplied in too early: it acts on the layers after it",
            lambda k, t: 1 + added(k, list(accumulate(t, mul))),
        ),
        Mistake(
            "only the stride of the layer before is used; all strides before it multiply",
            lambda k, t: 1 + added(k, [1, *t[:-1]]),
        ),
        Mistake("only the layer's own stride is used; the strides before it multiply", lambda k, t: 1 + added(k, t)),
        Mistake(
            "the strides before a layer are added; they multiply",
            lambda k, t: 1 + added(k, [1, *accumulate(t[:-1])]),
        ),
        Mistake(
            "all strides are multiplied in for every layer; only those before it count",
            lambda k, t: 1 + prod(t) * added(k, [1] * len(k)),
        ),
        Mistake(
            "the strides after a layer are used; those before it count",
            lambda k, t: 1 + added(k, [prod(t[i + 1 :]) for i in range(len(t))]),
        ),
        Mistake(
            "each layer adds k times the strides before it; it adds k − 1 times them",
            lambda k, t: 1 + added([kernel + 1 for kernel in k], steps_before(t)),
        ),
        Mistake(
            "each layer adds k times the strides before it; it adds k − 1 times them",
            lambda k, t: added([kernel + 1 for kernel in k], steps_before(t)),
        ),
        Mistake("only the last kernel counts; what it sees has itself seen a patch", lambda k, t: k[-1]),
        Mistake("only the largest kernel counts; the layers add up", lambda k, t: max(k)),
        Mistake("this is the number of pixels in it; asked is the length of its side", lambda k, t: sees(k, t) ** 2),
        Mistake("this is the reach to one side; asked is the whole side", lambda k, t: (sees(k, t) - 1) / 2),
        Mistake("every kernel counts as 3; each layer has its own size", lambda k, t: sees([3] * len(k), t)),
    ]


# Gates from a frame's colour. What two channels hold after pooling, (horizontal, vertical), for each motif:
POOLED = torch.tensor([[1.0, 0.01], [0.01, 1.0]])
MOTIFS = ("horizontal", "vertical")
HALF = (0.5, 0.5)


def colour_gates(my_gates: Any) -> Verdict:
    """Exercise 1.3: gates s [N, 2] of the channels (horizontal, vertical) from z [N, 2], (red, blue), for `hue_xor`.

    With them d = Σ_c (s_c − ½) ū_c must be positive for class 1, which is blue with horizontal or red with vertical
    bars, and negative for class 0.
    """
    generator = seeded(13)
    cases = [
        Case({"z": frames(generator, bright=0.8, dark=0.0)}, "frames of pure colour, z [6, 2]"),
        Case({"z": frames(generator, bright=0.6, dark=0.3)}, "frames of mixed colour, z [6, 2]"),
        Case({"z": frames(generator, bright=0.3, dark=0.05)}, "dim frames, z [6, 2]"),
    ]
    right = "Blue opens the horizontal channel, red the vertical one, and all four combinations have their class."
    return diagnose("1.3", my_gates, cases, right_gates, gate_mistakes(), right, read=signs, difference=wrong_sign)


def frames(generator: torch.Generator, bright: float, dark: float) -> Tensor:
    """z [6, 2], the larger number in a random column of each row; every colour is there."""
    blue = torch.tensor([0, 1, 0, 1, 0, 1], device="cpu")[torch.randperm(6, generator=generator, device="cpu")]
    z = torch.full((6, 2), dark, device="cpu", dtype=torch.float32)
    z[torch.arange(6), blue] = bright
    return z + 0.05 * torch.rand(6, 2, generator=generator, device="cpu", dtype=torch.float32)


def signs(gates: Callable[[Tensor], Any], z: Tensor) -> Tensor:
    """The sign of d for either motif, [N, 2], with these gates; a Finding where they are no gates."""
    s = numbers(gates(z))
    if s.shape == z.T.shape != z.shape:
        raise Finding(f"The gates are transposed: asked is [N, 2], a row an image, here {list(z.shape)}")
    if s.shape[: z.dim()] != z.shape or s.numel() != z.numel():
        raise Finding(
            f"Asked are two gates an image, [N, 2], here {list(z.shape)}; yours have the shape {list(s.shape)}"
        )
    if not bool(((s >= 0) & (s <= 1)).all()):
        raise Finding(f"A gate lies between 0 and 1; yours run from {s.min():.3g} to {s.max():.3g}")
    s = s.reshape(z.shape)
    idle = ((s - 0.5).abs() < 1e-6).all(dim=0).tolist()  # of the two gates
    if idle.count(True) == 1:
        k = idle.index(True)
        raise Finding(f"The gate s[:, {k}] stays at ½, so its channel adds nothing: {MOTIFS[k]} bars do not count")
    return torch.sign((s[:, None] - 0.5).mul(POOLED).sum(dim=-1))


def by_colour(z: Tensor, red: tuple[float, float], blue: tuple[float, float]) -> Tensor:
    """The gates (horizontal, vertical) of a red frame where red is the larger number, else those of a blue one."""
    return torch.where((z[:, :1] > z[:, 1:]), torch.tensor(red), torch.tensor(blue))


right_gates = partial(by_colour, red=(0.1, 0.9), blue=(0.9, 0.1))


def gate_mistakes() -> list[Mistake]:
    high, low = 0.9, 0.1

    def gates(says: str, red: tuple[float, float], blue: tuple[float, float]) -> Mistake:
        return Mistake(says, partial(by_colour, red=red, blue=blue))

    constant = (
        "no gate crosses ½ when the colour changes, so each channel always counts the same way: compare red with blue"
    )
    together = "both gates move together, so the colour alone decides and the bars no longer count"
    three = "three of the four combinations are right;"
    return [
        gates(
            "the classes are exchanged: blue opens the horizontal channel, s[:, 0], and red the vertical one, s[:, 1]; "
            "z[:, 0] is red and z[:, 1] blue",
            red=(high, low),
            blue=(low, high),
        ),
        gates("all gates are ½, where d is 0", red=HALF, blue=HALF),
        *[gates(constant, red=s, blue=s) for s in ((high, high), (low, low), (high, low), (low, high))],
        gates(together, red=(low, low), blue=(high, high)),
        gates(together, red=(high, high), blue=(low, low)),
        gates(f"{three} under a blue frame the vertical channel should close", red=(low, high), blue=(high, high)),
        gates(f"{three} under a blue frame the horizontal channel should open", red=(low, high), blue=(low, low)),
        gates(f"{three} under a red frame the horizontal channel should close", red=(high, high), blue=(high, low)),
        gates(f"{three} under a red frame the vertical channel should open", red=(low, low), blue=(high, low)),
    ]


def wrong_sign(case: Case, got: Tensor, expected: Tensor) -> str:
    """The first image and motif whose d has the wrong sign."""
    image, motif = (got != expected).nonzero()[0].tolist()
    red, blue = case.arguments["z"][image].tolist()
    is_ = {1: "positive", 0: "0", -1: "negative"}
    return (
        f"d should be {is_[int(expected[image, motif])]} for {MOTIFS[motif]} bars in a frame with red {red:.2f} and "
        f"blue {blue:.2f}, and is {is_[int(got[image, motif])]}"
    )
