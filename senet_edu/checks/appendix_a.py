"""Exercises of appendix A: sizes of maps, and what is taken for what."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from senet_edu.checks.verdicts import Case, Mistake, Verdict, diagnose, seeded

LAYERS = ((7, 2, 3), (3, 2, 1), (3, 1, 1), (3, 2, 1), (3, 2, 1), (3, 2, 1))  # kernel, stride, padding
Size = Callable[[int, int, int, int], float]

# A.1


def map_sizes(my_map_sizes: Any) -> Verdict:
    """Exercise A.1: sides of the maps after conv1, the max pooling and stages 2 to 5: ⌊(n + 2p − k)/s⌋ + 1 each."""
    cases = [Case({"side": side}) for side in (28, 224, 32, 65, 97)]
    right = "Each of the six layers starts from the one before, also where a side is odd."
    return diagnose("A.1", my_map_sizes, cases, sizes, size_mistakes(), right)


def side_after(n: int, kernel: int, stride: int, padding: int) -> float:
    return (n + 2 * padding - kernel) // stride + 1


def sizes(side: float, layers: tuple[tuple[int, int, int], ...] = LAYERS, size: Size = side_after) -> list[float]:
    """Sides after each layer in turn, with an exchangeable list of layers and formula."""
    found = []
    for layer in layers:
        side = size(side, *layer)  # type: ignore[arg-type]
        found.append(side)
    return found


def size_mistakes() -> list[Mistake]:
    def formula(says: str, size: Size) -> Mistake:
        return Mistake(says, lambda side: sizes(side, size=size))

    def strides(says: str, *chosen: int) -> Mistake:
        layers = tuple((k, s, p) for (k, _, p), s in zip(LAYERS, chosen, strict=True))
        return Mistake(says, lambda side: sizes(side, layers))

    return [
        formula("halves are rounded down: with padding a side of 7 becomes 4, not 3", lambda n, k, s, p: n // s),
        formula("sides are not rounded: a map has a whole number of rows", lambda n, k, s, p: n / s),
        formula("the fraction is not rounded down before 1 is added", lambda n, k, s, p: (n + 2 * p - k) / s + 1),
        formula("the + 1 is missing: the kernel's first place counts too", lambda n, k, s, p: (n + 2 * p - k) // s),
        formula("the padding is missing: p rows on each side", lambda n, k, s, p: (n - k) // s + 1),
        formula(
            "the padding is added once; there is a border on both sides, 2p", lambda n, k, s, p: (n + p - k) // s + 1
        ),
        formula("rounded up where the formula rounds down", lambda n, k, s, p: math.ceil((n + 2 * p - k) / s) + 1),
        strides("stage 2 halves too; the max pooling before it has done that", 2, 2, 2, 2, 2, 2),
        strides("the max pooling keeps the size here; its stride is 2", 2, 1, 1, 2, 2, 2),
        strides("the first convolution keeps the size here; its stride is 2", 1, 2, 1, 2, 2, 2),
        strides("conv1 and the max pooling keep the size here: that is the stem for CIFAR-10", 1, 1, 1, 2, 2, 2),
        strides("stage 5 keeps the size here; it halves as stages 3 and 4 do", 2, 2, 1, 2, 2, 1),
        strides("no stage halves here; stages 3, 4 and 5 do", 2, 2, 1, 1, 1, 1),
        Mistake("the image itself is listed too; begin after conv1", lambda side: [side, *sizes(side)]),
        Mistake("stage 5 is missing", lambda side: sizes(side)[:-1]),
        Mistake("only the last side is returned; return all six", lambda side: sizes(side)[-1]),
        Mistake("the list runs backwards; conv1 comes first", lambda side: sizes(side)[::-1]),
    ]


# A.2


def confusion(my_confusion: Any) -> Verdict:
    """Exercise A.2: how often class i (row) was taken for class j (column), int [classes, classes]."""
    generator = seeded(61)

    def drawn(n: int, classes: int) -> Case:
        labels, predictions = (torch.randint(classes - 1, (n,), generator=generator, device="cpu") for _ in range(2))
        return Case(
            {"labels": labels, "predictions": predictions, "classes": classes}, f"{n} images, {classes} classes"
        )

    cases = [drawn(40, 4), drawn(90, 6), drawn(3, 5)]  # the last class never occurs
    right = "Every image is counted once, and classes that never occur have their row and column."
    return diagnose("A.2", my_confusion, cases, counted, confusion_mistakes(), right)


def counted(labels: Tensor, predictions: Tensor, classes: int) -> Tensor:
    return torch.bincount(labels * classes + predictions, minlength=classes**2).reshape(classes, classes)


def confusion_mistakes() -> list[Mistake]:
    def of(says: str, change: Callable[[Tensor], Tensor]) -> Mistake:
        return Mistake(says, lambda labels, predictions, classes: change(counted(labels, predictions, classes)))

    def cut(labels: Tensor, predictions: Tensor, classes: int) -> Tensor:
        seen = int(torch.cat([labels, predictions]).max()) + 1
        return counted(labels, predictions, classes)[:seen, :seen]

    return [
        of(
            "repeated pairs are counted once: m[labels, predictions] += 1 adds to each place once; "
            "use a loop, bincount or index_put_ with accumulate=True",
            lambda m: m.clamp(max=1),
        ),
        of("rows and columns have changed places: a row is the true class", lambda m: m.T),
        of("shares in place of counts: leave the rows as they are", lambda m: m / m.sum(1, keepdim=True)),
        of("shares in place of counts: leave the rows as they are", lambda m: m / m.sum(1, keepdim=True).clamp(min=1)),
        of("shares of all images in place of counts", lambda m: m / m.sum()),
        of("shares of a column in place of counts", lambda m: m / m.sum(0)),
        of("shares of a column in place of counts", lambda m: m / m.sum(0).clamp(min=1)),
        of(
            "only mistakes are counted; images that are recognised belong on the diagonal",
            lambda m: m - m.diag().diag(),
        ),
        of(
            "only the recognised images are counted; the mistakes belong beside the diagonal", lambda m: m.diag().diag()
        ),
        of("only the diagonal is returned: return the whole table", lambda m: m.diag()),
        of("only the images of each class are counted; they divide by what they are taken for", lambda m: m.sum(1)),
        of("the table is flat: reshape it to [classes, classes]", lambda m: m.flatten()),
        of("counting starts at 1", lambda m: m + 1),
        of("every image is counted twice", lambda m: 2 * m),
        of("the table is the sum with its mirror image: count (true, predicted) only", lambda m: m + m.T),
        Mistake("a class that does not occur has no row: the table is [classes, classes]", cut),
    ]
