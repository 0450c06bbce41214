"""Exercises of chapter 10: a dilated kernel written out, select, what an SK unit weighs, and enlarging by pixels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from senet_edu.checks.verdicts import Case, Mistake, Verdict, counts, diagnose, normal, seeded

# 10.1


def whole_kernel(my_whole_kernel: Any) -> Verdict:
    """Exercise 10.1: the kernel [C, C', K, K] that does without dilation what weights [C, C', k, k] do with it."""
    generator = seeded(101)
    cases = [
        Case({"weight": normal(generator, 2, 4, k, k), "dilation": D}, label=f"a {k}×{k} kernel with D = {D}")
        for k, D in ((3, 2), (3, 3), (5, 2), (3, 1), (5, 3))
    ]
    right = "For 3×3 and 5×5 kernels and D = 1, 2, 3: the side is D(k - 1) + 1."
    errors = {
        "must match the existing size": "the side is not D(k - 1) + 1 (2D + 1 is right for a 3×3 only)",
        "shape mismatch": "the side is not D(k - 1) + 1 (2D + 1 is right for a 3×3 only)",
        "could not broadcast": "the side is not D(k - 1) + 1 (2D + 1 is right for a 3×3 only)",
    }
    return diagnose("10.1", my_whole_kernel, cases, spread, kernel_mistakes(), right, errors=errors)


def spread(weight: Tensor, dilation: int) -> Tensor:
    """Zeros between the weights."""
    c_out, c_in, k, _ = weight.shape
    side = dilation * (k - 1) + 1
    whole = torch.zeros(c_out, c_in, side, side)
    whole[:, :, ::dilation, ::dilation] = weight
    return whole


def kernel_mistakes() -> list[Mistake]:
    def side(weight: Tensor, dilation: int) -> int:
        return dilation * (weight.shape[-1] - 1) + 1

    def too_long(weight: Tensor, dilation: int) -> Tensor:
        return F.pad(spread(weight, dilation), (0, dilation - 1, 0, dilation - 1))

    def around(weight: Tensor, dilation: int) -> Tensor:
        return F.pad(weight, [(side(weight, dilation) - weight.shape[-1]) // 2] * 4)

    def corner(weight: Tensor, dilation: int) -> Tensor:
        beyond = side(weight, dilation) - weight.shape[-1]
        return F.pad(weight, (0, beyond, 0, beyond))

    def rows_only(weight: Tensor, dilation: int) -> Tensor:
        return spread(weight, dilation)[:, :, :, ::dilation]

    def columns_only(weight: Tensor, dilation: int) -> Tensor:
        return spread(weight, dilation)[:, :, ::dilation]

    def repeated(weight: Tensor, dilation: int) -> Tensor:
        return weight.repeat_interleave(dilation, dim=2).repeat_interleave(dilation, dim=3)

    def resized(weight: Tensor, dilation: int, **how: Any) -> Tensor:
        return F.interpolate(weight, side(weight, dilation), **how)

    def tiled(weight: Tensor, dilation: int) -> Tensor:
        return weight.repeat(1, 1, dilation, dilation)

    filled = "values that fill the holes; between the weights stand zeros"
    return [
        Mistake("zeros follow the last weight too; the kernel ends with a weight, so K = D(k - 1) + 1", too_long),
        Mistake("D zeros stand between neighbours; D - 1 do", lambda weight, D: spread(weight, D + 1)),
        Mistake("the zeros stand around the weights; they belong between them", around),
        Mistake("the weights stand together in a corner; zeros belong between them", corner),
        Mistake("zeros between the rows only; the columns are spread as well", rows_only),
        Mistake("zeros between the columns only; the rows are spread as well", columns_only),
        Mistake("each weight is repeated; between the weights stand zeros", repeated),
        Mistake("the kernel is repeated as a whole; its weights are to be spread", tiled),
        Mistake(f"the kernel is resized with {filled}", partial(resized, mode="nearest")),
        Mistake(f"the kernel is interpolated with {filled}", partial(resized, mode="bilinear", align_corners=True)),
        Mistake(f"the kernel is interpolated with {filled}", partial(resized, mode="bilinear")),
        Mistake("the dilation is not used", lambda weight, D: weight),
        Mistake("the kernel is turned round; convolution layers do not", lambda w, D: spread(w, D).flip(2, 3)),
        Mistake("rows and columns are swapped", lambda weight, D: spread(weight, D).mT),
        Mistake("the two channel axes are swapped", lambda weight, D: spread(weight, D).transpose(0, 1)),
        Mistake("only the zeros are there: the weights are missing", lambda w, D: torch.zeros_like(spread(w, D))),
    ]


# 10.2


def select(my_select: Any) -> Verdict:
    """Exercise 10.2, eqs 5 and 6 for M branches: V [N, C, H, W] from maps [N, M, C, H, W] and logits [N, M, C]."""
    generator = seeded(102)
    cases = [
        Case(
            {"maps": normal(generator, n, m, c, 2, 5).relu(), "logits": normal(generator, n, m, c)},
            label=f"{m} branches, maps [{n}, {m}, {c}, 2, 5]",
        )
        for n, m, c in ((3, 2, 4), (2, 3, 4), (3, 1, 2))
    ]
    right = "For one, two and three branches: a softmax over the branches, and the maps weighed by it."
    return diagnose("10.2", my_select, cases, weigh, select_mistakes(), right)


def over_branches(logits: Tensor) -> Tensor:
    return logits.softmax(dim=1)


def weigh(
    maps: Tensor,
    logits: Tensor,
    attention: Callable[[Tensor], Tensor] = over_branches,
    end: Callable[[Tensor], Tensor] = lambda weighed: weighed.sum(dim=1),
) -> Tensor:
    """V, with an exchangeable attention and an exchangeable end."""
    return end(attention(logits)[..., None, None] * maps)


def select_mistakes() -> list[Mistake]:
    def attention(says: str, of: Callable[[Tensor], Tensor]) -> Mistake:
        return Mistake(says, partial(weigh, attention=of))

    def end(says: str, of: Callable[[Tensor], Tensor]) -> Mistake:
        return Mistake(says, partial(weigh, end=of))

    def hard(logits: Tensor) -> Tensor:
        return F.one_hot(logits.argmax(dim=1), logits.shape[1]).movedim(-1, 1).to(logits.dtype)

    return [
        attention("the softmax runs over the channels; it runs over the branches, dim=1", lambda x: x.softmax(dim=2)),
        attention("the softmax runs over the images; it runs over the branches, dim=1", lambda x: x.softmax(dim=0)),
        attention(
            "the softmax runs over branches and channels together; each channel has a softmax of its own",
            lambda x: x.flatten(1).softmax(dim=1).view_as(x),
        ),
        attention("a sigmoid for each branch; then the weights of a channel do not sum to one", torch.sigmoid),
        attention("the logits themselves are the weights; the softmax is missing", lambda x: x),
        attention("a softmax of the softmax: once is enough", lambda x: x.softmax(dim=1).softmax(dim=1)),
        attention("e^logit without dividing by the sum over the branches", torch.exp),
        attention("the softmax is of minus the logits", lambda x: (-x).softmax(dim=1)),
        attention("the logits are divided by their sum; eq. 5 has powers of e", lambda x: x / x.sum(1, keepdim=True)),
        attention("the strongest branch is taken whole (argmax); eq. 6 mixes the branches", hard),
        attention("the branches' weights are in reverse order", lambda x: x.softmax(dim=1).flip(1)),
        attention("the plain sum of the maps: the attention is not used", torch.ones_like),
        attention(
            "the plain mean of the maps: the attention is not used", lambda x: torch.full_like(x, 1 / x.shape[1])
        ),
        end("the mean over branches in place of the sum (eq. 6)", lambda weighed: weighed.mean(dim=1)),
        end("the maximum over branches in place of the sum (eq. 6)", lambda weighed: weighed.amax(dim=1)),
        end("only the first branch is returned; the branches are added up (eq. 6)", lambda weighed: weighed[:, 0]),
        end("only the last branch is returned; the branches are added up (eq. 6)", lambda weighed: weighed[:, -1]),
        end("the weighed maps are returned one by one; they are added up over branches", lambda weighed: weighed),
        end("the sum runs over the channels; it runs over the branches, dim=1", lambda weighed: weighed.sum(dim=2)),
        Mistake("the attention is returned without the maps", lambda maps, logits: over_branches(logits)),
    ]


# 10.3


def sk_weights(my_sk_weights: Any) -> Verdict:
    """Exercise 10.3: weights of SK[M, G, r] with C channels in and out, without those of BN."""
    cases = [
        Case(
            {"channels": c, "branches": m, "groups": g, "reduction": r, "min_width": least},
            label=f"C = {c}, SK[{m}, {g}, {r}], L = {least}",
        )
        for c, m, g, r, least in ((128, 2, 32, 16, 32), (1024, 2, 32, 16, 32), (120, 3, 8, 7, 4), (64, 4, 1, 16, 32))
    ]
    right = "Kernels by groups, W once, a matrix for each branch, and d at least L."
    return diagnose("10.3", my_sk_weights, cases, unit_weights, weight_mistakes(), right, difference=counts)


def unit_weights(
    channels: int,
    branches: int,
    groups: int,
    reduction: int,
    min_width: int,
    width: Callable[[int, int, int], float] = lambda c, r, least: max(c // r, least),
    kernels: Callable[[int, int, int], float] = lambda c, m, g: m * 9 * c * c // g,
    attention: Callable[[int, int, float], float] = lambda c, m, d: c * d + m * c * d,
) -> float:
    """Weights of a unit, with an exchangeable d, kernels and layers of the attention."""
    d = width(channels, reduction, min_width)
    return kernels(channels, branches, groups) + attention(channels, branches, d)


def weight_mistakes() -> list[Mistake]:
    def width(says: str, of: Callable[[int, int, int], float]) -> Mistake:
        return Mistake(says, partial(unit_weights, width=of))

    def kernels(says: str, of: Callable[[int, int, int], float]) -> Mistake:
        return Mistake(says, partial(unit_weights, kernels=of))

    def attention(says: str, of: Callable[[int, int, float], float]) -> Mistake:
        return Mistake(says, partial(unit_weights, attention=of))

    return [
        width("d is C/r; it is at least L (eq. 4)", lambda c, r, least: c // r),
        width("d is the smaller of C/r and L; it is the larger (eq. 4)", lambda c, r, least: min(c // r, least)),
        width("d is L; it is C/r where that is larger (eq. 4)", lambda c, r, least: least),
        width("C/r is not rounded down: a layer has a whole number of units, C // r", lambda c, r, x: max(c / r, x)),
        kernels("the groups are not used: each filter sees C/G channels", lambda c, m, g: m * 9 * c * c),
        kernels(
            "the groups count twice: a filter sees C/G channels, and there are C filters",
            lambda c, m, g: m * 9 * c * c / g**2,
        ),
        kernels("the kernels are multiplied by G; they are divided by it", lambda c, m, g: m * 9 * c * c * g),
        kernels("the kernel of one branch only; there are M", lambda c, m, g: 9 * c * c // g),
        kernels(
            "larger branches are given more weights; a dilated 3×3 has nine for each pair of channels, at any D",
            lambda c, m, g: sum((2 * i + 3) ** 2 for i in range(m)) * c * c // g,
        ),
        kernels("the kernels have 3 weights for each pair of channels; 3×3 is 9", lambda c, m, g: m * 3 * c * c // g),
        kernels("the kernels are missing", lambda c, m, g: 0),
        kernels(
            "biases are counted; no layer has one, BN does that",
            lambda c, m, g: m * (9 * c * c // g + c),
        ),
        attention("W, A, B and so on are missing", lambda c, m, d: 0),
        attention("W is missing", lambda c, m, d: m * c * d),
        attention("A, B and so on are missing", lambda c, m, d: c * d),
        attention("A is counted once; each branch has a matrix of its own", lambda c, m, d: 2 * c * d),
        attention("W is counted for each branch; there is one, which gets their sum", lambda c, m, d: 2 * m * c * d),
        Mistake(
            "BN is counted; leave it out",
            lambda c, m, g, r, least: unit_weights(c, m, g, r, least) + 2 * m * c + 2 * max(c // r, least),
        ),
        Mistake(
            "biases are counted; no layer has one, BN does that",
            lambda c, m, g, r, least: unit_weights(c, m, g, r, least) + 2 * m * c + max(c // r, least),
        ),
        Mistake(
            "biases are counted; no layer has one, BN does that",
            lambda c, m, g, r, least: unit_weights(c, m, g, r, least) + m * c + max(c // r, least),
        ),
    ]


# 10.4


def closer(my_closer: Any) -> Verdict:
    """Exercise 10.4: the middle 1/factor of each side of images [n, 3, H, W] on all of the image, pixels repeated."""
    generator = seeded(104)

    def images(*shape: int) -> Tensor:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8, device="cpu")

    cases = [
        Case({"images": images(2, 3, 8, 12), "factor": 2}, label="images [2, 3, 8, 12], factor 2"),
        Case({"images": images(1, 3, 12, 6), "factor": 3}, label="images [1, 3, 12, 6], factor 3"),
        Case({"images": images(2, 3, 4, 6), "factor": 1}, label="images [2, 3, 4, 6], factor 1"),
    ]
    right = "The middle of each side, each pixel repeated, and factor 1 changes nothing."
    return diagnose("10.4", my_closer, cases, near, closer_mistakes(), right)


def middle(images: Tensor, factor: int, at: float = 0.5) -> Tensor:
    """The part to be enlarged; `at`: where between top left (0) and bottom right (1) it lies."""
    height, width = images.shape[-2:]
    h, w = height // factor, width // factor
    top, left = round(at * (height - h)), round(at * (width - w))
    return images[:, :, top : top + h, left : left + w]


def repeat(images: Tensor, factor: int) -> Tensor:
    return images.repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)


def near(images: Tensor, factor: int) -> Tensor:
    return repeat(middle(images, factor), factor)


def closer_mistakes() -> list[Mistake]:
    def smooth(images: Tensor, factor: int) -> Tensor:
        return F.interpolate(middle(images, factor).float(), images.shape[-2:], mode="bilinear")

    def shrunk(images: Tensor, factor: int) -> Tensor:
        return repeat(images[:, :, ::factor, ::factor], factor)

    def one_side(images: Tensor, factor: int, side: int) -> Tensor:
        """Enlarged in height (side 2) or in width (3) only."""
        length = images.shape[side] // factor
        part = images.narrow(side, (images.shape[side] - length) // 2, length)
        return part.repeat_interleave(factor, dim=side)

    def half(images: Tensor, factor: int, side: int) -> Tensor:
        return middle(images, factor).repeat_interleave(factor, dim=side)

    def framed(images: Tensor, factor: int) -> Tensor:
        kept = torch.zeros_like(images)
        middle(kept, factor).copy_(middle(images, factor))
        return kept

    return [
        Mistake("the middle is cut out and not enlarged: repeat its pixels", middle),
        Mistake("the whole image is enlarged: cut out the middle first", repeat),
        Mistake("the top left corner is enlarged, not the middle", lambda x, f: repeat(middle(x, f, 0), f)),
        Mistake("the bottom right corner is enlarged, not the middle", lambda x, f: repeat(middle(x, f, 1), f)),
        Mistake(
            "the middle is laid side by side (repeat, tile); each pixel is repeated (repeat_interleave)",
            lambda x, f: middle(x, f).repeat(1, 1, f, f),
        ),
        Mistake("pixels are interpolated between; here each is repeated as it is", smooth),
        Mistake("the pixels are made coarser, nothing is larger: cut out the middle first", shrunk),
        Mistake("every factor-th pixel is kept, the image is smaller", lambda x, f: x[:, :, ::f, ::f]),
        Mistake("only the rows are treated; the columns are, too", partial(one_side, side=2)),
        Mistake("only the columns are treated; the rows are, too", partial(one_side, side=3)),
        Mistake("pixels are repeated down only, not across", partial(half, side=2)),
        Mistake("pixels are repeated across only, not down", partial(half, side=3)),
        Mistake("what lies around the middle is made black; the middle is to fill the image", framed),
        Mistake("rows and columns are swapped", lambda x, f: near(x, f).mT),
        Mistake("the images come back as they were", lambda x, f: x),
    ]
