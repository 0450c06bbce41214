"""Drawings of where an SE block stands, of what is in it and in an SK convolution, made by code: boxes and arrows.

Each function returns a matplotlib Figure; `figures.show` puts it on the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from senet_edu.figures import COLOURS, canvas
from senet_edu.placement import PLACEMENTS, Placement

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BRANCH = ("1×1, BN, ReLU", "3×3, BN, ReLU", "1×1, BN")  # of a bottleneck unit
STEPS = 7  # rows of a unit's drawing: input, three convolutions, one free for SE, the sum, ReLU; one more for post


def placements() -> Figure:
    """The five places of an SE block in a bottleneck unit (the paper's figure 5, tables 14 and 15), a panel each."""
    figure, axes = canvas(1, len(PLACEMENTS), (12, 5.2), sharey=True)
    for axis, placement in zip(axes, PLACEMENTS, strict=True):
        axis.set_title(placement, fontsize=13)
        axis.set(xlim=(-1.0, 2.3), ylim=(-STEPS - 1, 0.5))
        axis.set_axis_off()
        draw_unit(axis, placement)
    return figure


def draw_unit(axis: Any, placement: Placement) -> None:
    """One bottleneck unit: its branch at the left, its skip at the right, SE in its place."""
    branch = with_se(placement)
    text(axis, 0, 0, "x")
    for y, label in enumerate(branch, start=1):
        arrow(axis, (0, 1 - y - (0.2 if y == 1 else 0.3)), (0, 0.3 - y))
        box(axis, 0, -y, label)
    total = -STEPS + 2  # y of the sum
    arrow(axis, (0, -len(branch) - 0.3), (0, total + 0.2))
    text(axis, 0, total, "+", circle=True)

    axis.plot([0.2, 1.5, 1.5], [0, 0, total], color="black", linewidth=1.2)  # the skip
    arrow(axis, (1.5, total), (0.25, total))
    text(axis, 1.62, -1.0, "skip", ha="left")
    if placement == "identity":
        box(axis, 1.5, -2.5, "SE")

    for y, label in enumerate(["ReLU", "SE"] if placement == "post" else ["ReLU"], start=1):
        arrow(axis, (0, total + 1 - y - (0.2 if y == 1 else 0.3)), (0, total - y + 0.3))
        box(axis, 0, total - y, label)
    last = total - (2 if placement == "post" else 1)
    arrow(axis, (0, last - 0.3), (0, last - 0.8))


def with_se(placement: Placement) -> list[str]:
    """The branch from its input to the sum, with SE where the placement has it there."""
    at = {"pre": 0, "3x3": 2, "standard": 3}.get(placement)
    return [*BRANCH] if at is None else [*BRANCH[:at], "SE", *BRANCH[at:]]


def squeeze_or_not() -> Figure:
    """What is in an SE block, and in NoSqueeze (table 16): shapes at the arrows tell them apart."""
    se = [("squeeze: mean", "[C]"), ("W₁", "[C/r]"), ("ReLU", "[C/r]"), ("W₂", "[C]"), ("sigmoid", "s: [C]")]
    none = [("1×1: W₁", "[C/r, H, W]"), ("ReLU", "[C/r, H, W]"), ("1×1: W₂", "[C, H, W]"), ("sigmoid", "s: [C, H, W]")]
    figure, axes = canvas(1, 2, (8.5, 4.6), sharey=True)
    for axis, title, steps in zip(axes, ("SE", "NoSqueeze"), (se, none), strict=True):
        axis.set_title(title, fontsize=13)
        axis.set(xlim=(-1.2, 3.0), ylim=(-7.4, 0.5))
        axis.set_axis_off()
        draw_block(axis, steps)
    return figure


def draw_block(axis: Any, steps: Sequence[tuple[str, str]]) -> None:
    """The gates' way at the left, with the shape that each step puts out; U at the right, down to the product."""
    text(axis, 0, 0, "U: [C, H, W]")
    for y, (label, _) in enumerate(steps, start=1):
        arrow(axis, (0, 1 - y - 0.25), (0, 0.3 - y))
        box(axis, 0, -y, label, mark=label.startswith("squeeze"))
    product = -6.6
    arrow(axis, (0, -len(steps) - 0.3), (0, product + 0.2))
    for y, (_, shape) in enumerate(steps, start=1):
        text(axis, 0.12, -y - 0.5, shape, ha="left", size=8)
    text(axis, 0, product, "×", circle=True)
    axis.plot([0.75, 2.2, 2.2], [0, 0, product], color="black", linewidth=1.2)
    arrow(axis, (2.2, product), (0.25, product))
    arrow(axis, (0, product - 0.2), (0, product - 0.75))


def selective() -> Figure:
    """An SK convolution with two branches (figure 1 of arXiv 1903.06586): split, fuse, select."""
    figure, axis = canvas(1, 1, (7, 4.7))
    axis.set(xlim=(-3.0, 5.2), ylim=(-9.2, 0.4))
    axis.set_axis_off()
    for step, y in {"split": -1, "fuse": -3.5, "select": -6}.items():
        axis.text(-2.9, y, step, fontsize=13, weight="bold", va="center")
    text(axis, 1.5, 0, "X")
    for x, label, maps, weight in ((-0.5, "3×3", "Ũ", "a"), (3.5, "3×3, D = 2", "Û", "b")):
        arrow(axis, (1.5, -0.2), (x, -0.65))
        box(axis, x, -1, f"{label}, BN, ReLU")
        arrow(axis, (x, -1.35), (1.5, -2.0))  # to the sum
        axis.plot([x, x], [-1.35, -7.0], color="black", linewidth=1.2)  # past it, down to the product
        text(axis, x + (-0.15 if x < 1.5 else 0.15), -2.5, f"{maps}: [C, H, W]", ha="right" if x < 1.5 else "left")
        text(axis, x, -7.0, "×", circle=True)
        arrow(axis, (1.5, -6.3), (x + (0.12 if x < 1.5 else -0.12), -6.9))
        text(axis, 1.5 + (x - 1.5) * 0.78, -6.4, f"{weight}: [C]", size=9)
        arrow(axis, (x, -7.2), (1.5 + (-0.12 if x < 1.5 else 0.12), -7.9))
    text(axis, 1.5, -2.2, "+", circle=True)
    steps = (("squeeze: mean", "s: [C]"), ("W, BN, ReLU", "z: [d]"), ("A, B", "[2, C]"), ("softmax over branches", ""))
    for y, (label, shape) in enumerate(steps):
        arrow(axis, (1.5, -2.4 - y), (1.5, -2.72 - y))
        box(axis, 1.5, -3.0 - y, label, mark=label.startswith("softmax"))
        text(axis, 1.62, -3.5 - y, shape, ha="left", size=8)
    text(axis, 1.62, -2.52, "U: [C, H, W]", ha="left", size=8)
    text(axis, 1.5, -8.0, "+", circle=True)
    arrow(axis, (1.5, -8.2), (1.5, -8.7))
    text(axis, 1.5, -8.95, "V: [C, H, W]")
    return figure


def box(axis: Any, x: float, y: float, label: str, mark: bool = False) -> None:
    """A labelled box; SE, or what `mark` says, is filled."""
    filled = mark or label == "SE"
    face, colour = (COLOURS[1], "white") if filled else ("#E8EEF4", "black")
    frame = {"boxstyle": "round,pad=0.35", "facecolor": face, "edgecolor": "black", "linewidth": 0.8}
    weight = "bold" if filled else "normal"
    axis.text(x, y, label, ha="center", va="center", fontsize=9.5, color=colour, weight=weight, bbox=frame)


def text(axis: Any, x: float, y: float, label: str, ha: str = "center", circle: bool = False, size: float = 10) -> None:
    frame = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "black"} if circle else None
    axis.text(x, y, label, ha=ha, va="center", fontsize=12 if circle else size, bbox=frame)


def arrow(axis: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 1.2, "shrinkA": 0})
