"""The course's pictures, in colours that colour-blind readers can tell apart, each with its description.

Every function here returns a matplotlib Figure; `show` puts it on the page.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from senet_edu.excitations import Excitations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with every common colour blindness; without yellow, and black is for "all"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def colours(things: Sized) -> tuple[str, ...]:
    """A colour for each; a ValueError when there are more than can be told apart."""
    if len(things) > len(COLOURS):
        raise ValueError(f"{len(things)} lines cannot be told apart by colour; draw at most {len(COLOURS)}")
    return COLOURS[: len(things)]


def show(figure: Figure, alt: str) -> None:
    """Put a figure on the page as one HTML element that holds the picture and its description.

    JupyterLab, Colab and the book all keep it, and screen readers read it.

    Args:
        figure: a matplotlib figure.
        alt: what the figure shows, in words.

    Raises:
        ValueError: no description.
    """
    from IPython.display import HTML, display

    display(HTML(figure_html(figure, alt)))


def figure_html(figure: Figure, alt: str) -> str:
    """The HTML that `show` puts on the page."""
    if not alt.strip():
        raise ValueError("a figure needs a description: alt says what it shows")
    picture = base64.b64encode(png(figure)).decode()
    return (
        f'<figure style="margin:0"><img src="data:image/png;base64,{picture}" alt="{html.escape(alt)}" '
        f'style="max-width:100%;background:white"></figure>'
    )


def png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as PNG, without the date and version that would change its bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def canvas(rows: int = 1, columns: int = 1, size: tuple[float, float] = (9, 3), **options: Any) -> tuple[Figure, Any]:
    """A figure and its axes, without the frame's top and right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, **options)
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def panels(
    blocks: Sequence[str], columns: int, height: float, xlabel: str, ylabel: str, **options: Any
) -> tuple[Figure, Any]:
    """A panel a block in rows of `columns`, `height` inches each, labelled at the left and below; the rest is empty."""
    rows = -(-len(blocks) // columns)
    figure, axes = canvas(rows, columns, (10, height * rows), squeeze=False, sharey=True, **options)
    for axis in axes.flat[len(blocks) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel)
    for axis in axes[-1]:
        axis.set_xlabel(xlabel)
    return figure, axes


def image_grid(images: Tensor, titles: Sequence[str] | None = None, columns: int = 10, size: float = 1.0) -> Figure:
    """Images uint8 [n, 3, H, W], or [n, 1, H, W] in grey, in rows, each under its title. `size`: inches an image."""
    images = images.expand(-1, 3, -1, -1)
    rows = -(-len(images) // columns)
    figure, axes = canvas(rows, columns, (size * columns, size * rows * (1.25 if titles else 1)), squeeze=False)
    for i, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if i < len(images):
            axis.imshow(images[i].permute(1, 2, 0).numpy(), interpolation="nearest")
            if titles:
                axis.set_title(titles[i], fontsize=9)
    return figure


def curves(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Loss and accuracy by epoch of one run or several: on the training images, and held-out ones if there were any."""
    figure, (left, right) = canvas(1, 2, (9, 3.2))
    for (name, history), colour in zip(histories.items(), colours(histories), strict=True):
        epochs = [row["epoch"] for row in history]
        left.plot(epochs, [row["loss"] for row in history], "o-", color=colour, markersize=4, label=name)
        right.plot(
            epochs,
            [100 * row["accuracy"] for row in history],
            "o:",
            color=colour,
            markersize=4,
            label=f"{name}, training",
        )
        if history and "validation_accuracy" in history[0]:
            held_out = [100 * row["validation_accuracy"] for row in history]
            right.plot(epochs, held_out, "s-", color=colour, markersize=4, label=f"{name}, not trained on")
    for axis, label in ((left, "loss on training images"), (right, "accuracy, %")):
        axis.set_xlabel("epoch")
        axis.set_ylabel(label)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend(frameon=False, fontsize=8)
    return figure


class LiveCurves:
    """Redraws loss and accuracy in place after each epoch: ``fit(..., on_epoch=LiveCurves("SE-ResNet-18"))``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.handle: Any = None

    def __call__(self, history: Sequence[Mapping[str, float]]) -> None:
        from IPython.display import HTML, display

        last = history[-1]
        alt = (
            f"Loss and accuracy of {self.name} by epoch. After epoch {last['epoch']}: loss {last['loss']:.2f}, "
            f"accuracy on training images {last['accuracy']:.0%}."
        )
        page = HTML(figure_html(curves({self.name: history}), alt))
        if self.handle is None:
            self.handle = display(page, display_id=True)
        else:
            self.handle.update(page)


def sampled_channels(channels: int, count: int = 50) -> Tensor:
    """Indices of up to `count` channels, evenly spaced over all, as the paper samples fifty."""
    return torch.linspace(0, channels - 1, min(count, channels)).round().long()


def class_gates(
    excitations: Excitations, blocks: Sequence[str], classes: Sequence[str], spread: bool = False, channels: int = 50
) -> Figure:
    """Figure 6 of the paper (with `spread`, figure 7): mean gate of each class over sampled channels, a panel a block.

    Args:
        excitations: as recorded.
        blocks: names of the blocks to draw.
        classes: names of the classes to draw; the mean over all classes is drawn with them.
        spread: shade one standard deviation over the images of a class.
        channels: how many channels to sample.
    """
    figure, axes = panels(blocks, 2, 2.5, "sampled channel", "gate")
    for name, axis in zip(blocks, axes.flat, strict=False):
        gates = excitations[name]
        which = sampled_channels(gates.mean.shape[1], channels)
        place = range(len(which))
        for label, colour in zip(classes, colours(classes), strict=True):
            k = excitations.classes.index(label)
            mean = gates.mean[k, which].numpy()
            deviation = gates.variance[k, which].sqrt().numpy()
            axis.plot(place, mean, color=colour, linewidth=1.3, label=label)
            if spread:
                axis.fill_between(place, mean - deviation, mean + deviation, color=colour, alpha=0.2, linewidth=0)
        axis.plot(
            place,
            gates.total_mean[which].numpy(),
            color="black",
            linewidth=1.6,
            linestyle=(0, (3, 1.5)),
            label="all classes",
        )
        axis.set_title(f"{name}: {len(which)} of {gates.mean.shape[1]} channels", fontsize=10)
        axis.set_ylim(0, 1)
        axis.margins(x=0.01)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    return figure


def gate_map(excitations: Excitations, blocks: Sequence[str]) -> Figure:
    """Mean gate of every class (rows) in every channel (columns), a panel a block, channels sorted by specificity."""
    figure, axes = canvas(len(blocks), 1, (10, 1.75 * len(blocks)), squeeze=False)
    for name, axis in zip(blocks, axes.flat, strict=True):
        gates = excitations[name]
        order = gates.specificity().argsort(descending=True)
        picture = axis.imshow(
            gates.mean[:, order].numpy(), vmin=0, vmax=1, cmap="cividis", aspect="auto", interpolation="nearest"
        )
        axis.set_yticks(range(len(excitations.classes)), excitations.classes, fontsize=6)
        axis.set_title(f"{name}: all {gates.mean.shape[1]} channels, the most class-specific on the left", fontsize=9)
    axes[-1, 0].set_xlabel("channels, sorted")
    figure.colorbar(picture, ax=axes, label="mean gate", shrink=0.6)
    return figure


def gate_distributions(excitations: Excitations, blocks: Sequence[str]) -> Figure:
    """How often gates take each value: all images and channels of a block together, a panel a block."""
    figure, axes = panels(blocks, 4, 2.1, "gate", "gates, %", sharex=True)
    for name, axis in zip(blocks, axes.flat, strict=False):
        gates = excitations[name]
        counts = gates.histogram.sum((0, 1)).double()  # [BINS]
        share = (100 * counts / counts.sum()).numpy()  # percent
        low, high = gates.span.tolist()
        width = (high - low) / len(share)
        axis.bar(
            [low + width * (i + 0.5) for i in range(len(share))], share, width, color=COLOURS[0], edgecolor="white"
        )
        axis.axvline(0.5, color=COLOURS[1], linewidth=1, linestyle="--")
        axis.set_title(name, fontsize=10)
    return figure


def measures_by_depth(rows: Sequence[Mapping[str, Any]], keys: Mapping[str, str]) -> Figure:
    """Measures of every block in order of depth, a panel a measure. `keys`: key of the summary's rows to its label."""
    figure, axes = canvas(1, len(keys), (3.3 * len(keys), 2.8), squeeze=False)
    names = [row["block"] for row in rows]
    for (key, label), axis in zip(keys.items(), axes[0], strict=True):
        axis.plot(names, [row[key] for row in rows], "o-", color=COLOURS[0])
        axis.set_ylim(bottom=0)
        axis.set_title(label, fontsize=10)
        axis.tick_params(axis="x", rotation=60, labelsize=8)
    return figure


def class_curves(values: Mapping[str, Tensor], ylabel: str) -> Figure:
    """One number a channel, for two or more groups of images: mean and, shaded, one standard deviation over images.

    Args:
        values: a group's name to its numbers [n, C].
        ylabel: what the numbers are.
    """
    figure, axis = canvas(1, 1, (9, 2.8))
    for (label, group), colour in zip(values.items(), colours(values), strict=True):
        mean, deviation = group.mean(0).numpy(), group.std(0).numpy()
        axis.plot(mean, color=colour, label=label)
        axis.fill_between(range(len(mean)), mean - deviation, mean + deviation, color=colour, alpha=0.2, linewidth=0)
    axis.set_xlabel("channel")
    axis.set_ylabel(ylabel)
    axis.legend(frameon=False, ncols=len(values))
    axis.margins(x=0.01)
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
    curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]], xlabel: str, ylabel: str
) -> Figure:
    """A panel for each group of curves, each on a scale of its own: its name to names of curves, their x and y."""
    figure, axes = canvas(1, len(curves), (3.3 * len(curves), 3), squeeze=False)
    for (title, group), axis in zip(curves.items(), axes[0], strict=True):
        for (name, (x, y)), colour in zip(group.items(), colours(group), strict=True):
            axis.plot(x, y, "o-", color=colour, markersize=4, label=name)
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel(xlabel)
    axes[0, 0].set_ylabel(ylabel)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    return figure


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
        if bad := [quantity for quantity, value in added.items() if value <= 0]:
            raise ValueError(f"{name} adds nothing to {', '.join(bad)}: a logarithmic axis has no 0")
        style = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 2}  # hollow: dots may coincide
        axis.plot(list(added.values()), quantities, marker, color=colour, label=name, **style)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axis.invert_yaxis()  # the first quantity on top
    axis.grid(axis="both", color="0.9")
    axis.set_xlabel(xlabel)
    figure.legend(loc="outside upper center", frameon=False, ncols=len(groups))
    return figure


def trade_off(
    panels: Sequence[tuple[str, str, Mapping[str, tuple[float, float]], float]], spread: Sequence[float | None]
) -> Figure:
    """What is gained against the weights added: a panel a source, a labelled dot a network, a dashed line without SE.

    Args:
        panels: title, label of the vertical axis, a network's label to (weights added, result), and the result of the
            plain network.
        spread: per panel, the standard deviation over seeds to draw at every dot, or None where it is not known.
    """
    figure, axes = canvas(1, len(panels), (4.6 * len(panels), 3.2), squeeze=False)
    for (title, ylabel, points, plain), deviation, axis in zip(panels, spread, axes[0], strict=True):
        x, y = zip(*points.values(), strict=True)
        axis.errorbar(x, y, yerr=deviation, fmt="o", color=COLOURS[0], capsize=3, label="with SE")
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
