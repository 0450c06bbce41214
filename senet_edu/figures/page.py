"""A figure on the page: its colours, its canvas, its description."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Any

from torch import Tensor

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
    blocks: Sequence[str], columns: int, height: float, xlabel: str, ylabel: str, width: float = 10, **options: Any
) -> tuple[Figure, Any]:
    """A panel a block in rows of `columns`, `height` inches each, labelled at the left and below; the rest is empty."""
    rows = -(-len(blocks) // columns)
    figure, axes = canvas(rows, columns, (width, height * rows), squeeze=False, sharey=True, **options)
    for axis in axes.flat[len(blocks) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel(ylabel)
    for axis in axes.flat[max(len(blocks) - columns, 0) : len(blocks)]:  # the lowest panel of each column
        axis.set_xlabel(xlabel)
        axis.tick_params(labelbottom=True)
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
