"""What the gates do: per class, per channel, by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from senet_edu.excitations import Excitations
from senet_edu.figures.page import COLOURS, canvas, colours, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike


def sampled_channels(channels: int, count: int = 50) -> Tensor:
    """Indices of up to `count` channels, evenly spaced over all, as the paper samples fifty."""
    return torch.linspace(0, channels - 1, min(count, channels)).round().long()


def class_gates(
    excitations: Excitations,
    blocks: Sequence[str],
    classes: Sequence[str],
    spread: bool = False,
    channels: int = 50,
    width: float = 10,
) -> Figure:
    """Figure 6 of the paper (with `spread`, figure 7): mean gate of each class over sampled channels, a panel a block.

    Args:
        excitations: as recorded.
        blocks: names of the blocks to draw.
        classes: names of the classes to draw; the mean over all classes is drawn with them.
        spread: shade one standard deviation over the images of a class.
        channels: how many channels to sample.
        width: inches; letters stay as they are, so in a narrow figure of few blocks they are large.
    """
    rows, (low, high) = rows_of(excitations, classes), limits(excitations, blocks, spread)
    figure, axes = panels(blocks, min(2, len(blocks)), 2.5, "sampled channel", "mean gate", width)
    for name, axis in zip(blocks, axes.flat, strict=False):
        gates = excitations[name]
        which = sampled_channels(gates.mean.shape[1], channels)
        means = {label: gates.mean[k, which].numpy() for label, k in rows.items()}
        class_lines(axis, means, gates.total_mean[which].numpy())
        axis.set_ylim(low, high)
        if spread:
            for (label, k), colour in zip(rows.items(), colours(classes), strict=True):
                deviation = gates.variance[k, which].sqrt().numpy()
                lower, upper = means[label] - deviation, means[label] + deviation
                axis.fill_between(range(len(which)), lower, upper, color=colour, alpha=0.2, linewidth=0)
        axis.set_title(f"{name}: {len(which)} of {gates.mean.shape[1]} channels", fontsize=10)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    return figure


def rows_of(excitations: Excitations, classes: Sequence[str]) -> dict[str, int]:
    """Where the means of these classes stand; a ValueError names those that were not recorded."""
    if unknown := [label for label in classes if label not in excitations.classes]:
        raise ValueError(f"no class {', '.join(unknown)}; there are {', '.join(excitations.classes)}")
    return {label: excitations.classes.index(label) for label in classes}


def limits(excitations: Excitations, blocks: Sequence[str], spread: bool = False) -> tuple[float, float]:
    """Ends of an axis for the mean gates of these blocks: 0 and 1, −1 for tanh, more than 1 where a ReLU gate is.

    With `spread` a standard deviation above the means has its place too.
    """
    unknown = [name for name in blocks if name not in excitations]
    if unknown or not blocks:
        raise ValueError(f"no block {', '.join(unknown) or 'given'}; there are {', '.join(excitations)}")
    gates = [excitations[name] for name in blocks]
    if all(g.span[1] == 1 and g.mean.nan_to_num().max() <= 1 for g in gates):  # σ and tanh end there
        return min(g.span[0].item() for g in gates), 1.0
    highest = [(g.mean + (g.variance.sqrt() if spread else 0)).nan_to_num().max().item() for g in gates]
    return min(g.span[0].item() for g in gates), max(1.0, *highest)


def class_lines(axis: Axes, means: Mapping[str, ArrayLike], overall: ArrayLike) -> None:
    """A line a class over the channels, and dashed in black the mean of all classes; gates run from 0 to 1."""
    for (label, mean), colour in zip(means.items(), colours(tuple(means)), strict=True):
        axis.plot(mean, color=colour, linewidth=1.3, label=label)
    axis.plot(overall, color="black", linewidth=1.6, linestyle=(0, (3, 1.5)), label="all classes")
    axis.set_ylim(0, 1)
    axis.margins(x=0.01)


def gate_map(excitations: Excitations, blocks: Sequence[str], classes: Sequence[str] | None = None) -> Figure:
    """Mean gate of each class (rows) in every channel (columns), a panel a block, channels sorted by specificity.

    Args:
        excitations: as recorded.
        blocks: names of the blocks to draw.
        classes: names of the classes from the top down; all, in their own order, unless given.
    """
    rows = rows_of(excitations, excitations.classes if classes is None else classes)
    low, high = limits(excitations, blocks)
    figure, axes = canvas(len(blocks), 1, (10, (0.55 + 0.14 * len(rows)) * len(blocks)), squeeze=False)
    for name, axis in zip(blocks, axes.flat, strict=True):
        gates = excitations[name]
        order = gates.specificity().argsort(descending=True)
        picture = axis.imshow(
            gates.mean[list(rows.values())][:, order].numpy(),
            vmin=low,
            vmax=high,
            cmap="cividis",
            aspect="auto",
            interpolation="nearest",
        )
        axis.set_yticks(range(len(rows)), list(rows), fontsize=8)
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
    figure, axes = canvas(1, len(keys), (2.6 * len(keys), 3.1), squeeze=False)
    names = [row["block"] for row in rows]
    for (key, label), axis in zip(keys.items(), axes[0], strict=True):
        axis.plot(names, [row[key] for row in rows], "o-", color=COLOURS[0])
        axis.set_ylim(bottom=0)
        axis.set_title(label, fontsize=10)
        axis.tick_params(axis="x", rotation=60, labelsize=10)
    return figure


def class_curves(values: Mapping[str, Tensor], ylabel: str) -> Figure:
    """One number a channel, for two or more groups of images: mean and, shaded, one standard deviation over images.

    Args:
        values: a group's name to its numbers [n, C].
        ylabel: what the numbers are.
    """
    figure, axis = canvas(1, 1, (9, 2.8))
    for (label, group), colour in zip(values.items(), colours(values), strict=True):
        mean, deviation = group.mean(0).numpy(), group.std(0, correction=0).numpy()
        axis.plot(mean, color=colour, label=label)
        axis.fill_between(range(len(mean)), mean - deviation, mean + deviation, color=colour, alpha=0.2, linewidth=0)
    axis.set_xlabel("channel")
    axis.set_ylabel(ylabel)
    axis.legend(frameon=False, ncols=len(values))
    axis.margins(x=0.01)
    return figure
