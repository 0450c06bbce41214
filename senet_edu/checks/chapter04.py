"""Exercises of chapter 04: a residual unit with its SE block in any of the five places, and what each place weighs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from senet_edu import blocks
from senet_edu.checks.verdicts import Case, Mistake, Verdict, counts, diagnose, normal, numbers, same, seeded
from senet_edu.placement import PLACEMENTS

Function = Callable[[Tensor], Tensor]
Units = Sequence[tuple[int, int, int]]  # channels of a bottleneck unit: of its input, of its 3×3, of its output

# 4.1


def residual_unit(my_unit: Any) -> Verdict:
    """Exercise 4.1, tables 14 and 15: a bottleneck unit with the block `se` at `placement`, from x [N, C, H, W]."""
    generator = seeded(41)
    parts = {name: layer(generator) for name in ("conv1", "conv2", "conv3", "skip")}
    w1, w2 = normal(generator, 3, 6), 3 * normal(generator, 6, 3)
    parts["se"] = lambda u: blocks.scale(u, blocks.excite(blocks.squeeze(u), w1, w2))
    x = normal(generator, 2, 6, 5, 4)
    cases = [Case({"x": x, **parts, "placement": p}, label=f"placement {p!r}") for p in PLACEMENTS]
    right = "All five places: the skip has its projection in each, and only identity gates it."
    return diagnose("4.1", my_unit, cases, unit, unit_mistakes(), right, difference=which_place)


def layer(generator: torch.Generator) -> Function:
    """A 1×1 convolution with six channels at both ends, so that a block in the wrong place still fits."""
    return partial(F.conv2d, weight=normal(generator, 6, 6, 1, 1), bias=normal(generator, 6))


def unit(
    x: Tensor,
    conv1: Function,
    conv2: Function,
    conv3: Function,
    skip: Function,
    se: Function,
    placement: str,
    end: Callable[[Tensor, Function], Tensor] = lambda u, post: post(torch.relu(u)),
    both: bool = False,
    early: bool = False,
    add: Callable[[Tensor, Tensor], Tensor] = torch.add,
) -> Tensor:
    """The unit, with exchangeable parts: its end, whether pre serves `both`, whether identity is `early`, the sum."""

    def at(place: str) -> Function:
        return se if placement == place else lambda u: u

    shared = at("pre")(x) if both else x
    u = shared if both else at("pre")(x)
    u = torch.relu(conv1(u))
    u = at("3x3")(torch.relu(conv2(u)))
    u = at("standard")(conv3(u))
    way = skip(at("identity")(shared)) if early else at("identity")(skip(shared))
    return end(add(u, way), at("post"))


def unit_mistakes() -> list[Mistake]:
    def changed(says: str, **parts: Any) -> Mistake:
        return Mistake(says, partial(unit, **parts))

    def without(says: str, **parts: Function) -> Mistake:
        def gives(x: Tensor, *layers: Function, **rest: Any) -> Tensor:
            named = dict(zip(("conv1", "conv2", "conv3", "skip", "se", "placement"), layers, strict=False))
            return unit(x, **{**named, **rest, **parts})

        return Mistake(says, gives)

    return [
        without("the block is never called: se(…) is missing", se=lambda u: u),
        *[
            Mistake(f"`placement` is not looked at: it is {p!r} every time", partial(at_one_place, place=p))
            for p in PLACEMENTS
        ],
        changed("post stands after the ReLU, not between the sum and it", end=lambda u, post: torch.relu(post(u))),
        changed("pre gates the skip too; it is on the branch's input only", both=True),
        changed("identity stands after the projection: se(skip(x)), not skip(se(x))", early=True),
        changed("the last ReLU, after the sum, is missing", end=lambda u, post: post(u)),
        without("the skip is x itself: its projection skip(x) is missing", skip=lambda x: x),
        changed("the skip is not added to the branch", add=lambda u, way: u),
        changed("the branch is multiplied by the skip; they are added", add=torch.mul),
    ]


def at_one_place(
    x: Tensor, conv1: Function, conv2: Function, conv3: Function, skip: Function, se: Function, _: str, place: str
) -> Tensor:
    return unit(x, conv1, conv2, conv3, skip, se, place)


def which_place(case: Case, got: Tensor, want: Tensor) -> str:
    """Another place that gives these numbers, if there is one."""
    found = [p for p in PLACEMENTS if same(got, numbers(unit(**{**case.arguments, "placement": p})))]
    if found:
        return f"the block stands where {found[0]!r} has it"
    if same(got, numbers(unit(**{**case.arguments, "se": lambda u: u}))):
        return "the block is not called"
    return "the output is not that of a block in any of the five places"


# 4.2


def placement_weights(my_placement_weights: Any) -> Verdict:
    """Exercise 4.2, eq. 5 for any place: weights that SE adds to bottleneck units, without biases."""
    units = [(64, 64, 256), (256, 64, 256), (256, 128, 512)]
    cases = [
        Case({"units": units, "placement": p, "reduction": r}, label=f"placement {p!r}, r = {r}")
        for p in PLACEMENTS
        for r in (16, 6)  # 6 divides no width: 10.67, 42.67, 85.33
    ]
    right = "Each place's own width, two layers a block, and a hidden layer of a whole number of units."
    return diagnose("4.2", my_placement_weights, cases, weights_at, place_mistakes(), right, difference=counts)


def width_at(placement: str, c_in: int, width: int, c_out: int) -> int:
    return {"pre": c_in, "3x3": width}.get(placement, c_out)


def weights_at(
    units: Units,
    placement: str,
    reduction: int,
    at: Callable[[str, int, int, int], int] = width_at,
    block: Callable[[int, int], float] = lambda c, r: 2 * c * (c // r),
) -> float:
    """Weights that SE adds, with an exchangeable width and an exchangeable block."""
    return sum(block(at(placement, *channels), reduction) for channels in units)


def place_mistakes() -> list[Mistake]:
    def width(says: str, **wrong: int) -> Mistake:
        """`wrong`: which of a unit's three widths a place is given."""

        def at(placement: str, *channels: int) -> int:
            name = placement.replace("3x3", "middle")
            return channels[wrong[name]] if name in wrong else width_at(placement, *channels)

        return Mistake(says, partial(weights_at, at=at))

    def block(says: str, of: Callable[[int, int], float]) -> Mistake:
        return Mistake(says, partial(weights_at, block=of))

    return [
        width("the unit's output width everywhere; pre has the input's and 3x3 the 3×3's", pre=2, middle=2),
        width("pre stands before the unit: its C is the width of the input", pre=2),
        width("3x3 stands after the 3×3 convolution: its C is that convolution's width", middle=2),
        width("identity stands after the projection: its C is the width of the output", identity=0),
        width("post stands after the sum: its C is the width of the output", post=0),
        width("the unit's input width everywhere", pre=0, middle=0, standard=0, identity=0, post=0),
        width("the 3×3's width everywhere", pre=1, middle=1, standard=1, identity=1, post=1),
        block("the factor 2 is missing: there are two layers, W₁ and W₂", lambda c, r: c * (c // r)),
        block("C/r is not rounded down: a layer has a whole number of units, C // r", lambda c, r: 2 * c * c / r),
        block("biases are counted; here the layers have none", lambda c, r: 2 * c * (c // r) + c + c // r),
        block("the weights are added where each C should be squared", lambda c, r: 2 * c // r),
        block("r is a divisor of the hidden width: it is multiplied", lambda c, r: 2 * c * c * r),
        Mistake("only the first unit is counted", lambda units, *rest: weights_at(units[:1], *rest)),
        Mistake("only the last unit is counted", lambda units, *rest: weights_at(units[-1:], *rest)),
        Mistake("the last unit is left out", lambda units, *rest: weights_at(units[:-1], *rest)),
    ]
