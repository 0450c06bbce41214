"""What attention costs, in weights and in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from senet_edu.figures.page import COLOURS, canvas, colours


def overheads(groups: Mapping[str, Mapping[str, float]], xlabel: str) -> Figure:
    """What is added, in per cent on a logarithmic axis: a line a quantity, a dot a group.

    Args:
        groups: a group's name to its quantities and what is added to each, in per cent; the same quantities in all.
        xlabel: what the numbers are.

    Raises:
        ValueError: a number that is not above 0, which has no place on such an axis.
    """
    quantities = list(next(iter(groups.values())))
    figure, axis = canvas(1, 1, (9, 0.8 + 0.45 * len(quantities)))
    for (name, added), colour, marker in zip(groups.items(), colours(groups), "osD^v*", strict=False):
        if bad := [quantity for quantity, value in added.items() if not value > 0]:
            raise ValueError(f"{name} adds nothing to {', '.join(bad)}: a logarithmic axis has no 0")
        style = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 2}  # hollow: dots may coincide
        axis.plot([added[quantity] for quantity in quantities], quantities, marker, color=colour, label=name, **style)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axis.invert_yaxis()  # the first quantity on top
    axis.grid(axis="both", color="0.9")
    axis.set_xlabel(xlabel)
    figure.legend(loc="outside upper center", frameon=False, ncols=len(groups))
    return figure


def trade_off(
    panels: Sequence[tuple[str, str, Mapping[str, tuple[float, float]], float]],
    errors: Sequence[Sequence[float] | None],
) -> Figure:
    """What is gained against the weights added: a panel a source, a labelled dot a network, a dashed line without SE.

    Args:
        panels: title, label of the vertical axis, a network's label to (weights added, result), and the result of the
            plain network.
        errors: per panel, the standard error to draw at each dot, or None where it is not known.
    """
    figure, axes = canvas(1, len(panels), (4.6 * len(panels), 3.2), squeeze=False)
    for (title, ylabel, points, plain), error, axis in zip(panels, errors, axes[0], strict=True):
        x, y = zip(*points.values(), strict=True)
        axis.errorbar(x, y, yerr=error, fmt="o", color=COLOURS[0], capsize=3, label="with SE")
        axis.axhline(plain, color=COLOURS[1], linestyle="--", label="without SE")
        for label, place in points.items():
            axis.annotate(label, place, xytext=(6, 6), textcoords="offset points", fontsize=9)
        axis.set_xscale("log")
        axis.set_xticks(x, [short(weights) for weights in x])
        axis.minorticks_off()
        axis.margins(x=0.18, y=0.15)
        axis.set_xlabel("weights that SE adds")
        axis.set_ylabel(ylabel)
        axis.set_title(title, fontsize=10)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", frameon=False, ncols=2)
    return figure


def short(count: float) -> str:
    """A count in three digits: 7,130 is "7.13 k", 20,119,552 is "20.1 M"."""
    for factor, letter in ((1e6, " M"), (1e3, " k")):
        if count >= factor:
            return f"{count / factor:.3g}{letter}"
    return f"{count:.3g}"
