"""Plots that any chapter draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from senet_edu.figures.page import COLOURS, canvas, colours


def bars(groups: Mapping[str, Sequence[float]], labels: Sequence[str], ylabel: str) -> Figure:
    """Grouped bars: a group's name to its heights, one a label."""
    figure, axis = canvas(1, 1, (9, 2.8))
    width = 0.8 / len(groups)
    for i, ((name, heights), colour) in enumerate(zip(groups.items(), colours(groups), strict=True)):
        axis.bar([x + i * width for x in range(len(labels))], heights, width, color=colour, label=name)
    axis.set_xticks([x + width * (len(groups) - 1) / 2 for x in range(len(labels))], labels)
    axis.set_ylabel(ylabel)
    figure.legend(loc="outside upper right", frameon=False, ncols=len(groups))
    return figure


def lines(values: Mapping[str, tuple[Sequence[float], Sequence[float]]], xlabel: str, ylabel: str) -> Figure:
    """Curves: a name to its x and y."""
    figure, axis = canvas(1, 1, (7, 2.6))
    for (name, (x, y)), colour in zip(values.items(), colours(values), strict=True):
        axis.plot(x, y, color=colour, label=name)
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    axis.legend(frameon=False)
    return figure


def dots(groups: Mapping[str, Sequence[float]], ylabel: str, marks: Mapping[str, float]) -> Figure:
    """A dot for each run, a column a group; `marks`: the name of a horizontal line to its height."""
    figure, axis = canvas(1, 1, (7, 3))
    for x, (values, colour) in enumerate(zip(groups.values(), colours(groups), strict=True)):
        middle = (len(values) - 1) / 2
        places = [x + 0.3 * (i - middle) / max(1, len(values)) for i in range(len(values))]
        axis.plot(places, list(values), "o", color=colour, markersize=8)
    for name, height in marks.items():
        axis.axhline(height, color="black", linewidth=1, linestyle="--")
        axis.text(len(groups) - 0.45, height, name, va="center", fontsize=9)
    axis.set_xticks(range(len(groups)), list(groups))
    axis.set_xlim(-0.5, len(groups) - 0.5)
    axis.set_ylabel(ylabel)
    return figure


def line_panels(
    curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    xlabel: str,
    ylabel: str,
    shared: bool = False,
    width: float = 3.3,
) -> Figure:
    """A panel for each group of curves, `width` inches each: its name to names of curves, their x and y.

    Each panel has a scale of its own, or all one that is `shared`.
    """
    figure, axes = canvas(1, len(curves), (width * len(curves), 3), squeeze=False, sharey=shared)
    for (title, group), axis in zip(curves.items(), axes[0], strict=True):
        for (name, (x, y)), colour in zip(group.items(), colours(group), strict=True):
            axis.plot(x, y, "o-", color=colour, markersize=4, label=name)
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(xlabel)
    axes[0, 0].set_ylabel(ylabel)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    return figure


def squares(
    images: Tensor, places: Mapping[str, tuple[int, int, int]], titles: Sequence[str], size: float = 2.2
) -> Figure:
    """Images uint8 [n, 3, H, W] in a row, each with the same squares drawn on it.

    Args:
        images: the pictures.
        places: a square's name to the row and column of its middle pixel and its side, an odd number of pixels.
        titles: one an image.
        size: inches an image.
    """
    from matplotlib.patches import Rectangle

    figure, axes = canvas(1, len(images), (size * len(images), size + 0.6), squeeze=False)
    for image, title, axis in zip(images, titles, axes[0], strict=True):
        axis.imshow(image.permute(1, 2, 0).numpy(), interpolation="nearest")
        axis.set_title(title, fontsize=10)
        axis.set(xticks=[], yticks=[])
        for (name, (row, column, side)), colour in zip(places.items(), colours(places), strict=True):
            corner = (column - side / 2, row - side / 2)  # pixel centres lie on whole numbers
            axis.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=2, label=name))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(places), frameon=False)
    return figure


def feature_maps(rows: Mapping[str, Tensor], titles: Sequence[str]) -> Figure:
    """Maps as grey pictures: a row a tensor [k, H, W], all on one scale, a column a channel."""
    figure, axes = canvas(len(rows), len(titles), (1.25 * len(titles) + 0.6, 1.35 * len(rows)), squeeze=False)
    low = min(float(maps.min()) for maps in rows.values())
    high = max(float(maps.max()) for maps in rows.values())
    for title, axis in zip(titles, axes[0], strict=True):
        axis.set_title(title, fontsize=9)
    for (name, maps), line in zip(rows.items(), axes, strict=True):
        for axis, picture in zip(line, maps, strict=True):
            axis.imshow(picture.numpy(), cmap="cividis", vmin=low, vmax=high, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=9)
    return figure


def where_and_which(image: Tensor, where: Tensor, which: Tensor) -> Figure:
    """Two kinds of attention on the three colour channels of a picture.

    Rows: the picture; each channel times one map of weights; each channel times one number of its own. Columns: the
    weights, the channels, the picture that they make.

    Args:
        image: [3, H, W], 0 to 1.
        where: a weight a position [H, W], 0 to 1.
        which: a weight a channel [3], 0 to 1.
    """
    channels = ("red", "green", "blue")
    rows = {
        "the picture": image,
        "where": image * where,  # [3, H, W] * [H, W]
        "which": image * which[:, None, None],  # [3, H, W] * [3, 1, 1]
    }
    figure, axes = canvas(3, 5, (9, 5.6), squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for title, axis in zip(("weights", *channels, "together"), axes[0], strict=True):
        axis.set_title(title, fontsize=10)
    for (name, picture), line in zip(rows.items(), axes, strict=True):
        for axis, channel in zip(line[1:4], picture, strict=True):
            axis.imshow(channel.numpy(), cmap="gray", vmin=0, vmax=1)
        line[4].imshow(picture.permute(1, 2, 0).numpy())
        line[0].set_ylabel(name, fontsize=10)
    axes[0, 0].text(0.5, 0.5, "none", ha="center", va="center", transform=axes[0, 0].transAxes)
    axes[1, 0].imshow(where.numpy(), cmap="gray", vmin=0, vmax=1)
    axes[2, 0].bar(channels, which.numpy(), color=COLOURS[0])
    axes[2, 0].set(ylim=(0, 1), xticks=range(3), xticklabels=["r", "g", "b"], yticks=[0, 1])
    for axis in (axes[0, 0], axes[2, 0]):
        axis.set_box_aspect(image.shape[1] / image.shape[2])
    return figure
