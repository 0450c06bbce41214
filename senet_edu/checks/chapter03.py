"""Exercises of chapter 03: weights of a block, equation 5, multiply-adds, bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from senet_edu.checks.verdicts import Case, Mistake, Verdict, counts, diagnose, number, seeded, whole

Stages = Sequence[tuple[int, int]]  # (C_s, N_s): channels, and how many blocks put out so many

# 3.1


def se_weights(my_se_weights: Any) -> Verdict:
    """Exercise 3.1: weights of one SE block: 2·C·h, and h + C biases if it has them; h = C // r, at least 1."""
    hidden = whole(seeded(31), 3, 7)
    cases = [
        weights_case(channels=16 * hidden, reduction=16, bias=False),
        weights_case(channels=64, reduction=16, bias=True),
        weights_case(channels=48, reduction=5, bias=True),  # r does not divide C: 9.6 is no width
        weights_case(channels=62, reduction=5, bias=True),  # 12.4, which rounds the other way
        weights_case(channels=8, reduction=16, bias=True),  # C // r is 0
    ]
    right = "Both layers, biases where there are any, and a hidden layer of C // r units that is never empty."
    return diagnose("3.1", my_se_weights, cases, block_weights, weights_mistakes(), right, difference=counts)


def weights_case(channels: int, reduction: int, bias: bool) -> Case:
    return Case({"channels": channels, "reduction": reduction, "bias": bias})


def hidden_width(channels: int, reduction: int) -> float:
    return max(channels // reduction, 1)


def both_biases(channels: int, hidden: float) -> float:
    return hidden + channels


def block_weights(
    channels: int,
    reduction: int,
    bias: bool,
    width: Callable[[int, int], float] = hidden_width,
    layers: float = 2,
    biases: Callable[[int, float], float] = both_biases,
) -> float:
    """Weights of a block, with an exchangeable hidden width, number of layers and number of biases."""
    hidden = width(channels, reduction)
    return layers * channels * hidden + (biases(channels, hidden) if bias else 0)


def weights_mistakes() -> list[Mistake]:
    def width(says: str, of: Callable[[int, int], float]) -> list[Mistake]:
        """Wrong widths, with biases and without: a reader may have taken two wrong turns."""
        none = Mistake(f"{says}. The biases are missing too", partial(block_weights, width=of, biases=no_biases))
        return [Mistake(says, partial(block_weights, width=of)), none]

    def biases(says: str, of: Callable[[int, float], float]) -> Mistake:
        return Mistake(says, partial(block_weights, biases=of))

    return [
        biases("the biases are forgotten: with bias=True the layers have C/r and C of them", no_biases),
        Mistake(
            "the biases are counted although bias=False",
            lambda channels, reduction, bias: block_weights(channels, reduction, True),
        ),
        biases("2C biases: the first layer has one a hidden unit, C/r", lambda c, h: 2 * c),
        biases("2C/r biases: the second layer has one a channel, C", lambda c, h: 2 * h),
        biases("the bias b₁ of the first layer is forgotten", lambda c, h: c),
        biases("the bias b₂ of the second layer is forgotten", lambda c, h: h),
        biases("2 biases: a layer has one for each of its outputs", lambda c, h: 2),
        Mistake("the factor 2 is missing: there are two layers, W₁ and W₂", partial(block_weights, layers=1)),
        Mistake(
            "only the first layer is counted; W₂ has as many weights again",
            partial(block_weights, layers=1, biases=lambda c, h: h),
        ),
        Mistake(
            "only the second layer is counted; W₁ has as many weights again",
            partial(block_weights, layers=1, biases=lambda c, h: c),
        ),
        Mistake(
            "one layer without biases; there are two layers, W₁ and W₂",
            partial(block_weights, layers=1, biases=no_biases),
        ),
        *width("C times r, where the hidden layer has C divided by r units", lambda c, r: c * r),
        *width("C/r is not rounded down: a layer has a whole number of units, C // r", lambda c, r: c / r),
        Mistake(
            "C/r is not rounded down: a layer has a whole number of units, C // r, before anything is multiplied",
            lambda channels, reduction, bias: (
                2 * channels**2 // reduction + (channels // reduction + channels if bias else 0)
            ),
        ),
        *width("C // r is 0 where r is larger than C; a block keeps at least 1 hidden unit", lambda c, r: c // r),
        *width("C/r is rounded up; the hidden width is C // r, rounded down", lambda c, r: math.ceil(c / r)),
        *width(
            "C/r is rounded to the nearest; the hidden width is C // r, rounded down", lambda c, r: max(round(c / r), 1)
        ),
        *width("r stands for the hidden width; the hidden layer has C // r units", lambda c, r: r),
        *width("the reduction is forgotten: two layers of C·C", lambda c, r: c),
        Mistake(
            "C is there once: a layer between C and C/r units has C·C/r weights",
            partial(unit_count, biases=both_biases),
        ),
        Mistake(
            "C is there once: a layer between C and C/r units has C·C/r weights, and the biases are missing",
            partial(unit_count, biases=no_biases),
        ),
    ]


def no_biases(channels: int, hidden: float) -> float:
    return 0


def unit_count(channels: int, reduction: int, bias: bool, biases: Callable[[int, float], float]) -> float:
    hidden = hidden_width(channels, reduction)
    return 2 * hidden + (biases(channels, hidden) if bias else 0)


# 3.2


def added_weights(my_added_weights: Any) -> Verdict:
    """Exercise 3.2, eq. 5: (2/r) Σ N_s C_s², from a list of pairs (C_s, N_s) and r."""
    generator = seeded(32)
    stages = [(16 * whole(generator, 3, 9), whole(generator, 2, 7)) for _ in range(3)]
    cases = [
        Case({"stages": [(64, 2), (128, 2), (256, 2), (512, 2)], "reduction": 16}, "ResNet-18, r = 16"),
        Case({"stages": [(256, 3), (512, 4), (1024, 6), (2048, 3)], "reduction": 8}, "ResNet-50, r = 8"),
        Case({"stages": stages, "reduction": 4}, f"stages = {stages}, r = 4"),
    ]
    right = "Every block of every stage, two layers of C²/r each."
    return diagnose("3.2", my_added_weights, cases, equation_5, equation_mistakes(), right, difference=counts)


def equation_5(stages: Stages, reduction: int) -> float:
    return 2 / reduction * sum(n * c**2 for c, n in stages)


def equation_mistakes() -> list[Mistake]:
    def summand(says: str, of: Callable[[int, int], float]) -> Mistake:
        return Mistake(says, lambda stages, r: 2 / r * sum(of(c, n) for c, n in stages))

    def factor(says: str, of: Callable[[int], float]) -> Mistake:
        return Mistake(says, lambda stages, r: of(r) * sum(n * c**2 for c, n in stages))

    return [
        summand("the square is missing: a layer has C·C/r weights", lambda c, n: n * c),
        summand("N_s is forgotten: a stage has several blocks", lambda c, n: c**2),
        summand("N_s is squared too: the square belongs to C_s alone", lambda c, n: (n * c) ** 2),
        summand("C_s and N_s have changed places: the pairs are (C_s, N_s)", lambda c, n: c * n**2),
        summand("2C is not C²", lambda c, n: n * 2 * c),
        factor("the factor 2 is missing: there are two layers, W₁ and W₂", lambda r: 1 / r),
        factor("multiplied by r; each layer has C·C/r weights", lambda r: 2 * r),
        factor("1/(2r) stands for 2/r", lambda r: 1 / (2 * r)),
        factor("r is squared: only one side of each layer is reduced", lambda r: 2 / r**2),
        factor("r is forgotten", lambda r: 2),
        factor("r and the factor 2 are forgotten", lambda r: 1),
        Mistake(
            "the sum is squared; each C_s is squared before the sum",
            lambda stages, r: 2 / r * sum(n * c for c, n in stages) ** 2,
        ),
        Mistake(
            "the sum of the widths is squared, and N_s forgotten; each C_s is squared before the sum",
            lambda stages, r: 2 / r * sum(c for c, _ in stages) ** 2,
        ),
        Mistake(
            "only the first stage is counted: is the `return` inside the loop?",
            lambda stages, r: equation_5(stages[:1], r),
        ),
        Mistake(
            "only the last stage is counted: = in place of += in the loop?",
            lambda stages, r: equation_5(stages[-1:], r),
        ),
        Mistake("the last stage is missing", lambda stages, r: equation_5(stages[:-1], r)),
        Mistake(
            "the mean over stages stands for their sum",
            lambda stages, r: equation_5(stages, r) / len(stages),
        ),
        Mistake(
            "biases are counted; equation 5 is for layers without them",
            lambda stages, r: equation_5(stages, r) + sum(n * (c // r + c) for c, n in stages),
        ),
    ]


# 3.3


def multiply_adds(my_multiply_adds: Any) -> Verdict:
    """Exercise 3.3: of a residual block C → C at H×W: two 3×3 convolutions, 18·C²·H·W; its SE layers, 2·C²/r."""
    generator = seeded(33)
    cases = [
        arithmetic_case(64, 32, 32, 16),
        arithmetic_case(32 * whole(generator, 3, 7), 8, 12, 8),
        arithmetic_case(256, 14, 7, 4),
    ]
    right = "A convolution uses each weight at every position, the SE layers use theirs once an image."
    return diagnose(
        "3.3", my_multiply_adds, cases, arithmetic, arithmetic_mistakes(), right, difference=wrong_arithmetic
    )


def arithmetic_case(channels: int, height: int, width: int, reduction: int) -> Case:
    return Case({"channels": channels, "height": height, "width": width, "reduction": reduction})


def arithmetic(
    c: int, h: int, w: int, r: int, convolution: float = 18.0, layers: float = 2.0, on: tuple[float, float] = (1.0, 1.0)
) -> tuple[float, float]:
    """Both counts, with exchangeable factors."""
    return convolution * c**2 * h * w * on[0], layers * c**2 / r * on[1]


def arithmetic_mistakes() -> list[Mistake]:
    def convolutions(says: str, of: Callable[[int, int, int], float]) -> Mistake:
        return Mistake(says, lambda c, h, w, r: (of(c, h, w), arithmetic(c, h, w, r)[1]))

    def layers(says: str, of: Callable[[int, int, int, int], float]) -> Mistake:
        return Mistake(says, lambda c, h, w, r: (arithmetic(c, h, w, r)[0], of(c, h, w, r)))

    return [
        Mistake("the two numbers have changed places: the convolutions come first", lambda *a: arithmetic(*a)[::-1]),
        Mistake(
            "multiplications and additions are counted apart; a multiply-add is one", partial(arithmetic, on=(2, 2))
        ),
        Mistake(
            "one convolution and one layer; the block has two of each", partial(arithmetic, convolution=9, layers=1)
        ),
        convolutions("one convolution is counted; the block has two", lambda c, h, w: 9 * c**2 * h * w),
        convolutions("a 3×3 kernel has 9 weights, not 3", lambda c, h, w: 6 * c**2 * h * w),
        convolutions(
            "the kernel is forgotten: 3×3 weights for each pair of channels", lambda c, h, w: 2 * c**2 * h * w
        ),
        convolutions(
            "the input channels are forgotten: each output channel has a 3×3 kernel for every input channel",
            lambda c, h, w: 18 * c * h * w,
        ),
        convolutions(
            "the positions are forgotten: a convolution uses each weight at all H·W of them", lambda c, h, w: 18 * c**2
        ),
        convolutions("the height stands for H·W", lambda c, h, w: 18 * c**2 * h),
        convolutions("the width stands for H·W", lambda c, h, w: 18 * c**2 * w),
        convolutions("H² stands for H·W: maps need not be square", lambda c, h, w: 18 * c**2 * h**2),
        convolutions("W² stands for H·W: maps need not be square", lambda c, h, w: 18 * c**2 * w**2),
        convolutions(
            "as if no zeros stood around the map; with padding 1 the output keeps H×W positions",
            lambda c, h, w: 18 * c**2 * (h - 2) * (w - 2),
        ),
        layers("one SE layer is counted; there are two", lambda c, h, w, r: c**2 / r),
        layers(
            "the SE layers at every position; they see z, once an image (with a gate a position it would be so)",
            lambda c, h, w, r: 2 * c**2 / r * h * w,
        ),
        layers("multiplied by r; each layer has C·C/r weights", lambda c, h, w, r: 2 * c**2 * r),
        layers("r is forgotten", lambda c, h, w, r: 2 * c**2),
        layers("C is there once: a layer has C·C/r weights", lambda c, h, w, r: 2 * c / r),
        layers("r is squared: only one side of each layer is reduced", lambda c, h, w, r: 2 * (c / r) ** 2),
        layers(
            "the biases are counted: they are added, nothing is multiplied", lambda c, h, w, r: 2 * c**2 / r + c / r + c
        ),
        layers(
            "the products of the scale are counted too; asked are the two layers",
            lambda c, h, w, r: 2 * c**2 / r + c * h * w,
        ),
        layers("both counts are added; asked is SE's alone", lambda c, h, w, r: 18 * c**2 * h * w + 2 * c**2 / r),
        Mistake("the ratio of the two is returned; asked are both counts", lambda c, h, w, r: 1 / (9 * r * h * w)),
        Mistake("the sum of the two is returned; asked are both counts", lambda *a: sum(arithmetic(*a))),
    ]


def wrong_arithmetic(case: Case, got: Tensor, expected: Tensor) -> str:
    """Which of the two counts is wrong."""
    names = ("the convolutions have", "the SE layers have")
    wrong = [i for i in range(2) if abs(got[i] - expected[i]) > 1e-4 * expected[i]]
    return " and ".join(f"{names[i]} {number(expected[i])} multiply-adds, not {number(got[i])}" for i in wrong)


# 3.4


def se_bytes(my_se_bytes: Any) -> Verdict:
    """Exercise 3.4: bytes that squeeze and scale move: U read, read again, written: 3·N·C·H·W·b (z and s left out)."""
    generator = seeded(34)
    cases = [
        bytes_case(n=1, channels=64, height=32, width=32, number=4),
        bytes_case(n=whole(generator, 5, 9), channels=48, height=8, width=12, number=2),
        bytes_case(n=32, channels=20, height=7, width=5, number=4),
    ]
    right = "Three passes over the maps: the squeeze reads them, the scale reads them again and writes them."
    return diagnose("3.4", my_se_bytes, cases, passes, bytes_mistakes(), right, difference=counts)


def bytes_case(n: int, channels: int, height: int, width: int, number: int) -> Case:
    return Case({"n": n, "channels": channels, "height": height, "width": width, "bytes_per_number": number})


def passes(n: int, c: int, h: int, w: int, b: int, times: float = 3.0, small: float = 0.0) -> float:
    """Bytes of so many passes over the maps, and of so many over z or s."""
    return (times * h * w + small) * n * c * b


def bytes_mistakes() -> list[Mistake]:
    return [
        Mistake(
            "two passes over the maps; there are three: the squeeze reads them, the scale reads them again and writes "
            "them",
            partial(passes, times=2),
        ),
        Mistake(
            "one pass over the maps; there are three: the squeeze reads them, the scale reads them again and writes "
            "them",
            partial(passes, times=1),
        ),
        Mistake("four passes over the maps; the squeeze writes z only, one number a channel", partial(passes, times=4)),
        Mistake("z and s are counted too; asked are the maps alone", partial(passes, small=2)),
        Mistake("z or s is counted too; asked are the maps alone", partial(passes, small=1)),
        Mistake("the squeeze alone, with z; the scale is missing", partial(passes, times=1, small=1)),
        Mistake("the scale alone, with s; the squeeze is missing", partial(passes, times=2, small=1)),
        Mistake("numbers, not bytes: each has bytes_per_number of them", lambda n, c, h, w, b: 3 * n * c * h * w),
        Mistake("bits, not bytes", lambda n, c, h, w, b: 24 * n * c * h * w * b),
        Mistake("4 bytes a number, whatever bytes_per_number is", lambda n, c, h, w, b: passes(n, c, h, w, 4)),
        Mistake("the batch is forgotten: every image has maps of its own", lambda n, c, h, w, b: passes(1, c, h, w, b)),
        Mistake("the channels are forgotten", lambda n, c, h, w, b: passes(n, 1, h, w, b)),
        Mistake("the positions are forgotten: a map has H·W numbers", lambda n, c, h, w, b: passes(n, c, 1, 1, b)),
        Mistake("the width is forgotten: a map has H·W numbers", lambda n, c, h, w, b: passes(n, c, h, 1, b)),
        Mistake("the height is forgotten: a map has H·W numbers", lambda n, c, h, w, b: passes(n, c, 1, w, b)),
        Mistake("H² stands for H·W: maps need not be square", lambda n, c, h, w, b: passes(n, c, h, h, b)),
        Mistake("W² stands for H·W: maps need not be square", lambda n, c, h, w, b: passes(n, c, w, w, b)),
        Mistake(
            "divided by bytes_per_number; a number takes so many bytes", lambda n, c, h, w, b: 3 * n * c * h * w / b
        ),
        Mistake("kibibytes; asked are bytes", lambda *arguments: passes(*arguments) / 1024),
        Mistake("megabytes; asked are bytes", lambda *arguments: passes(*arguments) / 1e6),
    ]
