"""The explorer of recorded gates (chapter 07): figures 6 and 7 of the paper, every class and channel, to be moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor

from senet_edu import figures, results
from senet_edu.excitations import Excitations, GateStatistics
from senet_edu.widgets.explorer import Explorer, first_classes, float_bytes, module, one_of, some_of

ORDERS = ("fifty sampled, as in the paper", "all", "sorted by specificity")


def present(excitations: Excitations) -> list[int]:
    """Indices of the classes that had images.

    Raises:
        ValueError: no block, no class with images, or gates that are not between 0 and 1.
    """
    if not excitations:
        raise ValueError("no blocks in these excitations: nothing to show")
    first = next(iter(excitations.values()))
    kept = first.count.nonzero().flatten().tolist()
    if not kept:
        raise ValueError("no class has images in these excitations")
    for name, gates in excitations.items():
        mean = gates.mean[kept]
        if not ((mean >= 0) & (mean <= 1)).all():
            raise ValueError(f"the explorer draws gates from 0 to 1; the means of {name} are not all there")
    return kept


def packed(gates: GateStatistics, classes: list[int]) -> bytes:
    """Mean [K, C], standard deviation [K, C], mean over all images [C], specificity [C]; float32, little endian."""
    parts = (gates.mean[classes], gates.variance[classes].sqrt(), gates.total_mean, gates.specificity())
    return float_bytes(parts)


def ramp(stops: int = 256) -> list[list[int]]:
    """The colour map of `figures.gate_map` in red, green and blue (0 to 255), from a gate of 0 to one of 1."""
    import matplotlib

    shades = matplotlib.colormaps["cividis"](np.linspace(0, 1, stops))[:, :3]
    return np.round(255 * shades).astype(int).tolist()


class ExcitationExplorer(Explorer):
    """Mean and spread of every gate by class, in three views: lines, a map of all classes, and one channel by itself.

    A channel that is pointed at, or reached with the arrow keys, is marked in all of them. All data travel with the
    widget, once: it needs no kernel. Readable and settable from Python are `block`, `chosen` (names of the classes that
    are drawn as lines), `order` (one of `ORDERS`), `spread` (shade one standard deviation) and `channel`.

    Args:
        excitations: as recorded, or the name of a shipped network.
        traits: any of the five above.

    Raises:
        ValueError: see `present`.
        results.AssetError: no shipped network of that name.
        traitlets.TraitError: a value that the data do not have.
    """

    shown = ("block", "chosen", "order", "spread", "channel")
    _esm = module("gates.mjs")

    blocks = traitlets.List(traitlets.Unicode()).tag(sync=True)
    channels = traitlets.List(traitlets.Int()).tag(sync=True)
    sampled = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    classes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    colours = traitlets.List(traitlets.Unicode()).tag(sync=True)
    ramp = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    data = traitlets.Bytes().tag(sync=True)  # block by block, see `packed`

    block = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.List(traitlets.Unicode()).tag(sync=True)
    order = traitlets.Enum(ORDERS, default_value=ORDERS[0]).tag(sync=True)
    spread = traitlets.Bool(False).tag(sync=True)
    channel = traitlets.Int().tag(sync=True)

    def __init__(self, excitations: Excitations | str = "se_resnet18-quarter", **traits: Any) -> None:
        found = results.load_excitations(excitations) if isinstance(excitations, str) else excitations
        rows = present(found)
        names = [found.classes[k] for k in rows]
        widths = [gates.mean.shape[1] for gates in found.values()]
        block = traits.get("block", list(found)[-1])
        start = {"block": block, "chosen": list(first_classes(names))}
        if block in found:
            start["channel"] = most_specific(found[block])
        super().__init__(
            blocks=list(found),
            channels=widths,
            sampled=[figures.sampled_channels(width).tolist() for width in widths],
            classes=names,
            colours=list(figures.COLOURS),
            ramp=ramp(),
            data=b"".join(packed(gates, rows) for gates in found.values()),
            **{**start, **traits},
        )
        self.observe(self._within, "block")

    def _within(self, _change: object) -> None:
        self.channel = min(self.channel, self.channels[self.blocks.index(self.block)] - 1)

    @traitlets.validate("block")
    def _one_of_them(self, proposal: Any) -> Any:
        return one_of(proposal, self.blocks)

    @traitlets.validate("channel")
    def _a_channel(self, proposal: Any) -> Any:
        channels = self.channels[self.blocks.index(self.block)]
        if not 0 <= proposal["value"] < channels:
            raise traitlets.TraitError(f"{self.block} has channels 0 to {channels - 1}, not {proposal['value']}")
        return proposal["value"]

    @traitlets.validate("chosen")
    def _some_of_them(self, proposal: Any) -> Any:
        return some_of(proposal["value"], self.classes, len(self.colours))


def most_specific(gates: GateStatistics) -> int:
    """The most class-specific of the channels that `figures.class_gates` samples."""
    sampled: Tensor = figures.sampled_channels(gates.mean.shape[1])
    return int(sampled[torch.argmax(gates.specificity()[sampled])])
