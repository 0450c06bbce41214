"""The explorer of one block (chapter 02): z → hidden → s with trained weights, moved channel by channel.

Its arithmetic is in block.mjs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import traitlets
from torch import Tensor

from senet_edu import figures, results
from senet_edu.blocks import SEBlock
from senet_edu.widgets.explorer import Explorer, float_bytes, module, one_of

NAME = "se-blocks"  # of the record, and of the file of weights
PARTS = ("w1", "b1", "w2", "b2", "z")  # in the order in which they travel
FIRST = ("SE_4_2", "frog")  # block and class to start from, where there are such


@dataclass(frozen=True)
class Blocks:
    """Trained SE blocks, and the z to start from.

    Attributes:
        reductions: the values of r, in order.
        blocks: names of the blocks; each has a C of its own.
        starts: names of the K rows of z: classes, or what the reader called them.
        tensors: "r4.SE_4_2.w1" [hidden, C], "….b1" [hidden], "….w2" [C, hidden], "….b2" [C], "….z" [K, C]; float32.
        bias: whether the blocks have b₁ and b₂; without, they are zero here.
    """

    reductions: tuple[int, ...]
    blocks: tuple[str, ...]
    starts: tuple[str, ...]
    tensors: dict[str, Tensor]
    bias: bool = True

    def sizes(self) -> dict[str, dict[str, dict[str, int]]]:
        """C, hidden width and number of weights of each block, by "r4" and "SE_4_2"."""
        return {f"r{r}": {block: self.size(r, block) for block in self.blocks} for r in self.reductions}

    def size(self, reduction: int, block: str) -> dict[str, int]:
        hidden, channels = self.tensors[f"r{reduction}.{block}.w1"].shape
        weights = 2 * channels * hidden + (hidden + channels if self.bias else 0)
        return {"channels": channels, "hidden": hidden, "weights": weights}

    def packed(self) -> bytes:
        """All tensors as float32, little endian: r by r, block by block, part by part."""
        ordered = (self.tensors[f"r{r}.{b}.{part}"] for r in self.reductions for b in self.blocks for part in PARTS)
        return float_bytes(ordered)


def load_blocks(record: Mapping[str, Any] | None = None, weights: str | Path | None = None) -> Blocks:
    """The shipped blocks, or those of the given record and safetensors file (see benchmarks/block_weights.py).

    Raises:
        results.AssetError: record or weights are missing, damaged, or do not belong together.
    """
    from safetensors import safe_open

    record = results.load_record(NAME) if record is None else record
    path = Path(weights) if weights is not None else results.EXCITATIONS / f"{NAME}.safetensors"
    if not path.exists():
        raise results.AssetError(f"no weights of SE blocks: {path} is missing")
    if results.sha256(path) != record["sha256"]:
        raise results.AssetError(f"{path} is damaged: its checksum is not the one in its record")
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 (it is not a dict)
    reductions = tuple(sorted({int(key.partition(".")[0][1:]) for key in tensors}))
    return Blocks(reductions, tuple(json.loads(header["blocks"])), tuple(json.loads(header["classes"])), tensors)


def one_block(block: SEBlock, z: Tensor | Mapping[str, Tensor]) -> Blocks:
    """A block of the reader's own, and its z.

    Raises:
        ValueError: a gate other than the sigmoid, no z, or one that is not [C] with finite values.
    """
    if not isinstance(block.gate, torch.nn.Sigmoid):
        raise ValueError(f"the explorer computes sigmoid gates (eq. 3); this block has {block.gate}")
    if isinstance(z, Mapping):
        rows = z
    else:  # one row [C], or several
        rows = {f"z {i}": row for i, row in enumerate(torch.atleast_2d(z))} if z.dim() in (1, 2) else {}
    if not rows:
        raise ValueError("no z to start from: give a tensor [C] or [N, C], or a name to each of several [C]")
    for name, row in rows.items():
        if row.shape != (block.channels,) or not row.isfinite().all():
            raise ValueError(f"{name!r} is {list(row.shape)}; this block takes {block.channels} finite numbers")
    parts = {"w1": block.fc1.weight, "b1": block.fc1.bias, "w2": block.fc2.weight, "b2": block.fc2.bias}
    sizes = {"b1": block.fc1.out_features, "b2": block.channels}
    filled = {key: torch.zeros(sizes[key]) if value is None else value for key, value in parts.items()}
    filled["z"] = torch.stack(list(rows.values()))  # [K, C]
    name = block.name or "your block"
    tensors = {f"r{block.reduction}.{name}.{key}": value.detach().cpu().float() for key, value in filled.items()}
    return Blocks((block.reduction,), (name,), tuple(rows), tensors, bias=block.fc1.bias is not None)


class BlockExplorer(Explorer):
    """Choose C and r, move one channel of z, and see hidden units and gates answer.

    The weights are those of networks trained with r = 2, 4, 8 and 16, and a start is the mean z of a class over the
    test images. All of it travels with the widget, once: it needs no kernel. Readable and settable from Python are
    `reduction`, `block_name`, `start`, `channel` (the one that the slider of z holds) and `moved`: how far each channel
    was moved from its start, e.g. ``{"17": 0.5}``. `z` is what they amount to.

    Args:
        block: an `SEBlock` of your own, in place of the shipped ones.
        z: what it starts from: [C], [N, C], or a name for each of several [C].
        traits: any of the five above.

    Raises:
        ValueError: see `one_block`; or only one of `block` and `z` is given.
        results.AssetError: see `load_blocks`.
        traitlets.TraitError: a value that the data do not have.
    """

    shown = ("reduction", "block_name", "start", "channel", "moved")
    _esm = module("block.mjs")

    reductions = traitlets.List(traitlets.Int()).tag(sync=True)
    block_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    starts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    sizes = traitlets.Dict().tag(sync=True)
    colours = traitlets.List(traitlets.Unicode()).tag(sync=True)
    data = traitlets.Bytes().tag(sync=True)  # see Blocks.packed

    reduction = traitlets.Int().tag(sync=True)
    block_name = traitlets.Unicode().tag(sync=True)
    start = traitlets.Unicode().tag(sync=True)
    channel = traitlets.Int(0).tag(sync=True)
    moved = traitlets.Dict().tag(sync=True)

    def __init__(
        self, block: SEBlock | None = None, z: Tensor | Mapping[str, Tensor] | None = None, **traits: Any
    ) -> None:
        if (block is None) != (z is None):
            raise ValueError("give both a block and a z to start from, or neither for the shipped ones")
        found = load_blocks() if block is None or z is None else one_block(block, z)
        self.found = found
        first, named = (
            wanted if wanted in have else have[0]
            for wanted, have in zip(FIRST, (found.blocks, found.starts), strict=True)
        )
        super().__init__(
            reductions=list(found.reductions),
            block_names=list(found.blocks),
            starts=list(found.starts),
            sizes=found.sizes(),
            colours=list(figures.COLOURS),
            data=found.packed(),
            **{"reduction": found.reductions[-1], "block_name": first, "start": named, **traits},
        )
        self.observe(self._within, "block_name")

    @property
    def z(self) -> Tensor:
        """z as it stands, with what was moved: float32 [C]."""
        z = self.found.tensors[f"r{self.reduction}.{self.block_name}.z"][self.starts.index(self.start)].clone()
        for channel, far in self.moved.items():
            if int(channel) < len(z):  # another block may have fewer
                z[int(channel)] += far
        return z

    def _within(self, _change: object) -> None:
        self.channel = min(self.channel, self._channels() - 1)

    def _channels(self) -> int:
        return self.sizes[f"r{self.reduction}"][self.block_name]["channels"]

    @traitlets.validate("reduction", "block_name", "start")
    def _one_of_them(self, proposal: Any) -> Any:
        return one_of(proposal, getattr(self, f"{proposal['trait'].name}s"))

    @traitlets.validate("channel")
    def _a_channel(self, proposal: Any) -> Any:
        if not 0 <= proposal["value"] < self._channels():
            raise traitlets.TraitError(f"there are channels 0 to {self._channels() - 1}, not {proposal['value']}")
        return proposal["value"]

    @traitlets.validate("moved")
    def _channels_and_numbers(self, proposal: Any) -> Any:
        moved = {str(channel): far for channel, far in proposal["value"].items()}
        for channel, far in moved.items():
            if not channel.isdecimal() or not isinstance(far, int | float) or not math.isfinite(far):
                raise traitlets.TraitError(f"moved has channels and numbers, not {channel}: {far!r}")
        return moved
