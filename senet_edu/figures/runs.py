"""Training runs as curves, also while they go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from senet_edu.figures.page import canvas, colours, figure_html


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
