"""Exercises 2.1, 2.2 and 2.4: squeeze, excite, the gradient of a gate. `chapter02_block` has 2.3."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from senet_edu import blocks
from senet_edu.checks.verdicts import Case, Mistake, Verdict, diagnose, normal, seeded, whole

Function = Callable[[Tensor], Tensor]
Weights = tuple[Tensor, Tensor, Tensor, Tensor]

AXES = ("the batch", "the channels", "the height", "the width")
WRONG_AXES = [axes for k in (2, 3, 1, 4) for axes in combinations(range(4), k) if axes != (2, 3)]
DIVISORS: dict[str, Callable[[int, int, int, int], int]] = {  # of N, C, H, W
    "divided by H·C, as one of the source notes prints it; a map has H·W numbers": lambda n, c, h, w: h * c,
    "divided by W·C; a map has H·W numbers": lambda n, c, h, w: w * c,
    "the sum is not divided by H·W": lambda n, c, h, w: 1,
    "divided by H², which is H·W on square maps only": lambda n, c, h, w: h * h,
    "divided by W², which is H·W on square maps only": lambda n, c, h, w: w * w,
    "divided by H only, not by H·W": lambda n, c, h, w: h,
    "divided by W only, not by H·W": lambda n, c, h, w: w,
    "divided by N·H·W; each image is squeezed for itself": lambda n, c, h, w: n * h * w,
    "divided by H·W·C; each channel is squeezed for itself": lambda n, c, h, w: h * w * c,
    "divided by N; a map has H·W numbers": lambda n, c, h, w: n,
    "divided by C; a map has H·W numbers": lambda n, c, h, w: c,
    "divided by N·C; a map has H·W numbers": lambda n, c, h, w: n * c,
    "divided by H + W, not by H·W": lambda n, c, h, w: h + w,
    "divided by the number of all elements, N·C·H·W": lambda n, c, h, w: n * c * h * w,
}


def squeeze(my_squeeze: Any) -> Verdict:
    """Exercise 2.1, eq. 2: z_c = 1/(H·W) Σ_ij u_c(i, j), u [N, C, H, W] to z [N, C], square or not."""
    generator = seeded(21)
    return diagnose(
        "2.1",
        my_squeeze,
        [Case({"u": feature_maps(generator, shape)}) for shape in map_shapes(generator)],
        blocks.squeeze,
        squeeze_mistakes(),
        "The mean of each map, on wide, tall and square maps.",
    )


def squeeze_mistakes() -> list[Mistake]:
    return [
        *[Mistake(says, partial(sum_divided, divisor=divisor)) for says, divisor in DIVISORS.items()],
        Mistake("took the maximum of each map; eq. 2 is the mean", lambda u: u.amax(dim=(2, 3))),
        Mistake("the pooling window is H×H, as in F.avg_pool2d(u, u.size(2)): square maps only", pool_high),
        Mistake("the pooling window is W×W, as in F.avg_pool2d(u, u.size(3)): square maps only", pool_wide),
        *[Mistake(over(axes, "pooled"), partial(torch.mean, dim=axes)) for axes in WRONG_AXES],
        *[Mistake(over(axes, "pooled"), partial(sum_over, axes=axes)) for axes in WRONG_AXES],
        *[Mistake(over(axes, "summed"), partial(torch.sum, dim=axes)) for axes in WRONG_AXES],
    ]


def excite(my_excite: Any) -> Verdict:
    """Exercise 2.2, eq. 3: s = σ(W₂ δ(W₁ z + b₁) + b₂), z and s [N, C], W₁ [C/r, C], W₂ [C, C/r]."""
    generator = seeded(22)
    hidden = whole(generator, 3, 4)
    cases = [
        excite_case(generator, n=4, channels=3 * hidden, hidden=hidden),
        excite_case(generator, n=5, channels=8, hidden=4),
        excite_case(generator, n=3, channels=6, hidden=6),  # r = 1: exchanged matrices fit
    ]
    right = "Both layers with their biases, the ReLU between them and the sigmoid after them."
    errors = {"cannot be multiplied": "images are the rows of z, so W₁ z is z @ w1.T, and W₂ h is h @ w2.T"}
    return diagnose("2.2", my_excite, cases, blocks.excite, excite_mistakes(), right, errors=errors)


def excite_mistakes() -> list[Mistake]:
    e = excitation
    return [
        *[Mistake(says, partial(e, delta=delta, sigma=sigma)) for says, delta, sigma in NONLINEARITIES],
        Mistake(
            "W₁ and W₂ have changed places; transposed they fit without an error: z @ W₂ is not W₁ z",
            lambda z, w1, w2, b1, b2: e(z, w2.T, w1.T, b1, b2),
        ),
        Mistake(
            "W₁ and W₂ have changed places; W₁ [C/r, C] comes first",
            lambda z, w1, w2, b1, b2: e(z, w2, w1, b1, b2),
        ),
        Mistake(
            "the matrices lack their transposition: for rows of images, W₁ z is z @ W₁.T, or F.linear(z, W₁)",
            lambda z, w1, w2, b1, b2: e(z, w1.T, w2.T, b1, b2),
        ),
        Mistake("W₁ lacks its transposition: z @ W₁.T", lambda z, w1, w2, b1, b2: e(z, w1.T, w2, b1, b2)),
        Mistake("W₂ lacks its transposition: h @ W₂.T", lambda z, w1, w2, b1, b2: e(z, w1, w2.T, b1, b2)),
        Mistake("transposed; asked is [N, C], a row for each image", lambda *arguments: e(*arguments).T),
        Mistake("both biases are forgotten", lambda z, w1, w2, b1, b2: e(z, w1, w2, None, None)),
        Mistake("the bias b₁ is forgotten", lambda z, w1, w2, b1, b2: e(z, w1, w2, None, b2)),
        Mistake("the bias b₂ is forgotten", lambda z, w1, w2, b1, b2: e(z, w1, w2, b1, None)),
        Mistake("the biases have changed places", lambda z, w1, w2, b1, b2: e(z, w1, w2, b2, b1)),
        Mistake("the bias b₁ is added after the ReLU, not before it", late_first_bias),
        Mistake(
            "the bias b₂ is added after the sigmoid, not before it",
            lambda z, w1, w2, b1, b2: e(z, w1, w2, b1, None) + b2,
        ),
        Mistake("returns z·s; only the gates s are asked", lambda z, *weights: z * e(z, *weights)),
        Mistake(
            "returns the hidden layer δ(W₁ z + b₁); W₂ and the sigmoid are still to come",
            lambda z, w1, w2, b1, b2: torch.relu(F.linear(z, w1, b1)),
        ),
    ]


def gate_gradient(my_gate_gradient: Any) -> Verdict:
    """Exercise 2.4: ∂L/∂s_c = Σ_ij g_c(i, j) u_c(i, j), [N, C], from u and g = ∂L/∂x̃ [N, C, H, W]."""
    generator = seeded(23)
    cases = [
        Case({"u": feature_maps(generator, shape), "g": feature_maps(generator, shape)})
        for shape in map_shapes(generator)
    ]
    right = "Each gate collects g·u from all positions of its own map."
    return diagnose("2.4", my_gate_gradient, cases, gradient_of_gates, gradient_mistakes(), right)


def gradient_of_gates(u: Tensor, g: Tensor) -> Tensor:
    return (g * u).sum(dim=(2, 3))


def gradient_mistakes() -> list[Mistake]:
    hw = (2, 3)
    return [
        Mistake("u is forgotten; x̃ = s u, so ∂x̃/∂s = u", lambda u, g: g.sum(hw)),
        Mistake("g is forgotten; the chain rule multiplies ∂x̃/∂s = u by g", lambda u, g: u.sum(hw)),
        Mistake("the mean over positions, where the chain rule has a sum", lambda u, g: (g * u).mean(hw)),
        Mistake(
            "not summed over the positions: one gate serves a whole map, and its gradient collects all of it",
            lambda u, g: g * u,
        ),
        Mistake("the sign is reversed", lambda u, g: -(g * u).sum(hw)),
        Mistake("the product of two sums; asked is the sum of products", lambda u, g: g.sum(hw) * u.sum(hw)),
        Mistake(
            "the product of two means; asked is the sum of products",
            lambda u, g: g.mean(hw) * u.mean(hw),
        ),
        Mistake("the mean of u stands for u: multiply before summing", lambda u, g: g.sum(hw) * u.mean(hw)),
        Mistake(
            "divided by the batch; each image has gates of its own",
            lambda u, g: (g * u).sum(hw) / len(u),
        ),
        Mistake("a sum g + u; the chain rule multiplies", lambda u, g: (g + u).sum(hw)),
        *[Mistake(over(axes, "summed"), partial(product_over, axes=axes)) for axes in WRONG_AXES],
    ]


# What answers and mistakes are made of.


def excitation(
    z: Tensor,
    w1: Tensor,
    w2: Tensor,
    b1: Tensor | None,
    b2: Tensor | None,
    delta: Function = torch.relu,
    sigma: Function = torch.sigmoid,
) -> Tensor:
    """Eq. 3 with exchangeable non-linearities."""
    return sigma(F.linear(delta(F.linear(z, w1, b1)), w2, b2))


def late_first_bias(z: Tensor, w1: Tensor, w2: Tensor, b1: Tensor, b2: Tensor) -> Tensor:
    return torch.sigmoid(F.linear(torch.relu(F.linear(z, w1)) + b1, w2, b2))


def pool_high(u: Tensor) -> Tensor:
    return F.avg_pool2d(u, u.size(2)).flatten(1)


def pool_wide(u: Tensor) -> Tensor:
    return F.avg_pool2d(u, u.size(3)).flatten(1)


def sum_divided(u: Tensor, divisor: Callable[[int, int, int, int], int]) -> Tensor:
    n, c, h, w = u.shape
    return u.sum(dim=(2, 3)) / divisor(n, c, h, w)


def sum_over(u: Tensor, axes: tuple[int, ...]) -> Tensor:
    return u.sum(dim=axes) / (u.shape[2] * u.shape[3])


def product_over(u: Tensor, g: Tensor, axes: tuple[int, ...]) -> Tensor:
    return (g * u).sum(dim=axes)


def over(axes: tuple[int, ...], verb: str) -> str:
    """ "pooled over the batch and the channels (dim=(0, 1)); …" """
    names = " and ".join(AXES[axis] for axis in axes)
    return f"{verb} over {names} (dim={axes}); it should be the height and the width, dim=(2, 3)"


def identity(x: Tensor) -> Tensor:
    return x


# (what it says, after the first layer, after the second)
NONLINEARITIES: list[tuple[str, Function, Function]] = [
    ("the sigmoid is missing, so the gates do not lie between 0 and 1", torch.relu, identity),
    ("the ReLU between the layers is missing; without it two layers are one", identity, torch.sigmoid),
    ("ReLU and sigmoid have changed places", torch.sigmoid, torch.relu),
    (
        "a softmax over the channels; with sigmoids, many channels can be open at once",
        torch.relu,
        partial(F.softmax, dim=1),
    ),
    (
        "a softmax over the batch; an image's gates do not depend on its neighbours",
        torch.relu,
        partial(F.softmax, dim=0),
    ),
    ("tanh in place of the sigmoid", torch.relu, torch.tanh),
    ("the sigmoid is applied twice", torch.relu, lambda x: torch.sigmoid(torch.sigmoid(x))),
    ("a sigmoid after both layers; a ReLU comes after the first", torch.sigmoid, torch.sigmoid),
    ("a ReLU after both layers; a sigmoid comes after the second", torch.relu, torch.relu),
    (
        "a ReLU before the sigmoid, so no gate falls below 0.5",
        torch.relu,
        lambda x: torch.sigmoid(torch.relu(x)),
    ),
    ("1/(1 + eˣ) in place of 1/(1 + e⁻ˣ): open gates are closed", torch.relu, lambda x: torch.sigmoid(-x)),
    ("a hard sigmoid, as in MobileNetV3; eq. 3 has the sigmoid", torch.relu, F.hardsigmoid),
    ("tanh in place of the ReLU", torch.tanh, torch.sigmoid),
    ("ReLU6, as in MobileNet: it cuts the hidden units off at 6", F.relu6, torch.sigmoid),
    ("ReLU and sigmoid are both missing", identity, identity),
]


def map_shapes(generator: torch.Generator) -> list[tuple[int, int, int, int]]:
    """[N, C, H, W] of wide, tall and square maps; N, C, H and W differ, and no side is twice the other."""
    n, c = (2 + i for i in torch.randperm(3, generator=generator, device="cpu")[:2].tolist())  # 2, 3 or 4
    short, long = whole(generator, 5, 6), 7
    return [(n, c, short, long), (c, n, long, short), (n, c, long, long)]


def feature_maps(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """Random maps [N, C, H, W] whose means differ from channel to channel."""
    return normal(generator, *shape) + 2 * normal(generator, *shape[:2], 1, 1)


def excite_case(generator: torch.Generator, n: int, channels: int, hidden: int) -> Case:
    z = 2 * normal(generator, n, channels)
    w1, w2, b1, b2 = random_weights(generator, z, hidden)
    return Case({"z": z, "w1": w1, "w2": w2, "b1": b1, "b2": b2})


def random_weights(generator: torch.Generator, z: Tensor, hidden: int) -> Weights:
    """W₁ [hidden, C], W₂ [C, hidden], b₁ [hidden], b₂ [C], large enough for gates far from 0.5.

    For the first image of z [N, C] the first hidden unit is on, at 9 or so: a ReLU6 would cut it off at 6.
    """
    channels = z.shape[1]
    w1 = normal(generator, hidden, channels) / channels**0.5
    w2 = 2 * normal(generator, channels, hidden) / hidden**0.5
    b1, b2 = normal(generator, hidden), normal(generator, channels)
    w1[0] = 9 * z[0] / (z[0] @ z[0])
    w2[:, 0] /= 4
    return w1, w2, b1, b2
