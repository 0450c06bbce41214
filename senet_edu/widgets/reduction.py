"""The explorer of the reduction ratio r (chapter 03): networks trained with r = 2, 4, 8, 16, and their gates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np
import traitlets

from senet_edu import figures, results
from senet_edu.widgets.explorer import Explorer, first_classes, module, one_of, some_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "reduction-sweep"  # of the record, and of the file of gates
PER_BLOCK = ("hidden", "se_weights_per_block", "movement")
FIELDS = ("reduction", "accuracy", "se_weights", "parameters", "seed", *PER_BLOCK)


@dataclass(frozen=True)
class Sweep:
    """Networks that differ in r only.

    Attributes:
        rows: "r2", "r4", … and "plain" to what the record says of that network.
        reductions: the values of r, in order.
        blocks, classes: names of the SE blocks and of the K classes.
        gates: class means by "r4.SE_5_1" and so on, each float16 [K, C].
    """

    rows: dict[str, dict[str, Any]]
    reductions: tuple[int, ...]
    blocks: tuple[str, ...]
    classes: tuple[str, ...]
    gates: dict[str, np.ndarray]

    @property
    def channels(self) -> tuple[int, ...]:
        """C of each block."""
        return tuple(self.gates[f"r{self.reductions[0]}.{block}"].shape[1] for block in self.blocks)

    @property
    def first_classes(self) -> tuple[str, ...]:
        """The classes to draw at first."""
        return first_classes(self.classes)

    def sentence(self, reduction: int, block: str) -> str:
        """What is known of a block of the network with that r. The explorer says it too, word for word."""
        row = self.rows[f"r{reduction}"]
        return (
            f"{block}, r = {reduction}: {self.channels[self.blocks.index(block)]} channels, "
            f"hidden width {row['hidden'][block]}, {row['se_weights_per_block'][block]:,} weights in this block and "
            f"{row['se_weights']:,} in all SE blocks ({100 * row['se_weights'] / row['parameters']:.2f} % of the "
            f"network), accuracy {100 * row['accuracy']:.2f} %, movement {row['movement'][block]:.4f}."
        )

    def picture(self, reduction: int, block: str, chosen: tuple[str, ...]) -> Figure:
        """Mean gate of the chosen classes, and of all, in every channel of a block."""
        gates = self.gates[f"r{reduction}.{block}"].astype(np.float64)  # [K, C]
        figure, axis = figures.canvas(1, 1, (8, 2.8))
        axis.axhline(0.5, color="grey", linewidth=1, linestyle=":")
        figures.class_lines(axis, {name: gates[self.classes.index(name)] for name in chosen}, gates.mean(0))
        axis.set(xlabel="channel", ylabel="mean gate", title=f"{block}, r = {reduction}")
        figure.legend(loc="outside lower center", ncols=7, frameon=False)
        return figure


def load_sweep(record: Mapping[str, Any] | None = None, gates: str | Path | None = None) -> Sweep:
    """Read a sweep over r: the shipped one, or the given record and safetensors file of class means.

    Raises:
        results.AssetError: record or gates are missing, or do not belong together; the message says what is wrong.
    """
    from safetensors import safe_open

    record = results.load_record(NAME) if record is None else record
    path = Path(gates) if gates is not None else results.EXCITATIONS / f"{NAME}.safetensors"
    if not path.exists():
        raise results.AssetError(f"no class means of the gates: {path} is missing")
    with safe_open(path, framework="np") as file:
        header = file.metadata() or {}
        means = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is not a dict)
    if absent := {"classes", "blocks"} - set(header):
        raise results.AssetError(f"{path} does not name its {' and '.join(sorted(absent))}")
    classes, blocks = (tuple(json.loads(header[key])) for key in ("classes", "blocks"))
    reductions = sorted(int(key[1:]) for key in record if key[:1] == "r" and key[1:].isdigit())
    sweep = Sweep(
        {key: dict(record[key]) for key in (*(f"r{r}" for r in reductions), "plain") if key in record},
        tuple(reductions),
        blocks,
        classes,
        means,
    )
    if faults := list(faults_of(sweep)):
        raise results.AssetError(f"the sweep over r in {path} and its record do not fit: {'; '.join(faults)}")
    return sweep


def faults_of(sweep: Sweep) -> list[str]:
    """What is missing from a sweep, or wrong in it."""
    faults = [] if sweep.reductions else ["the record has no network r2, r4, …"]
    if "accuracy" not in sweep.rows.get("plain", {}):
        faults.append("the record has no plain.accuracy")
    for name in (f"r{r}" for r in sweep.reductions):
        row = sweep.rows[name]
        faults += [f"the record has no {name}.{field}" for field in FIELDS if field not in row]
        for block in sweep.blocks:
            faults += [f"the record has no {name}.{f}.{block}" for f in PER_BLOCK if block not in row.get(f, {block})]
            gates = sweep.gates.get(f"{name}.{block}")
            first = sweep.gates.get(f"r{sweep.reductions[0]}.{block}")
            if gates is None:
                faults.append(f"there are no gates {name}.{block}")
            elif gates.dtype != np.float16 or gates.ndim != 2 or len(gates) != len(sweep.classes):
                faults.append(f"the gates {name}.{block} are {gates.dtype} {list(gates.shape)}, not float16 [K, C]")
            elif first is not None and gates.shape != first.shape:
                faults.append(f"{name}.{block} has {gates.shape[1]} channels, with another r it has {first.shape[1]}")
            elif not ((gates >= 0) & (gates <= 1)).all():
                faults.append(f"the gates {name}.{block} are not all between 0 and 1")
    return faults


class ReductionExplorer(Explorer):
    """Slide r through 2, 4, 8, 16 and see hidden width, weights added, and the gates of a network trained with that r.

    All data travel with the widget, once: it needs no kernel. Readable and settable from Python are `reduction`,
    `block` and `chosen` (names of the classes that are drawn).

    Args:
        record, gates: a sweep of your own, as `load_sweep` takes them; by default the shipped one.

    Raises:
        results.AssetError: see `load_sweep`.
        traitlets.TraitError: a value of `reduction`, `block` or `chosen` that the sweep does not have.
    """

    shown = ("reduction", "block", "chosen")
    _esm = module("reduction.mjs")

    reductions = traitlets.List(traitlets.Int()).tag(sync=True)
    blocks = traitlets.List(traitlets.Unicode()).tag(sync=True)
    channels = traitlets.List(traitlets.Int()).tag(sync=True)
    classes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    colours = traitlets.List(traitlets.Unicode()).tag(sync=True)
    numbers = traitlets.Dict().tag(sync=True)
    gates = traitlets.Bytes().tag(sync=True)  # float16, little endian: r by r, block by block, each [K, C]

    reduction = traitlets.Int().tag(sync=True)
    block = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, record: Mapping[str, Any] | None = None, gates: str | Path | None = None, **traits: Any) -> None:
        sweep = load_sweep(record, gates)
        ordered = [sweep.gates[f"r{r}.{block}"] for r in sweep.reductions for block in sweep.blocks]
        start = {"reduction": sweep.reductions[-1], "block": sweep.blocks[-1], "chosen": list(sweep.first_classes)}
        super().__init__(
            reductions=list(sweep.reductions),
            blocks=list(sweep.blocks),
            channels=list(sweep.channels),
            classes=list(sweep.classes),
            colours=list(figures.COLOURS),
            numbers={name: {f: row[f] for f in FIELDS if f in row} for name, row in sweep.rows.items()},
            gates=b"".join(np.ascontiguousarray(means, "<f2").tobytes() for means in ordered),
            **{**start, **traits},
        )

    @traitlets.validate("reduction", "block")
    def _one_of_them(self, proposal: Any) -> Any:
        return one_of(proposal, getattr(self, f"{proposal['trait'].name}s"))

    @traitlets.validate("chosen")
    def _some_of_them(self, proposal: Any) -> Any:
        return some_of(proposal["value"], self.classes, len(self.colours))


def reduction_sliders(record: Mapping[str, Any] | None = None, gates: str | Path | None = None) -> ipywidgets.VBox:
    """The same with a kernel: each move calls Python, which writes the sentence and draws the picture anew.

    Args:
        record, gates: as for `ReductionExplorer`.

    Raises:
        results.AssetError: see `load_sweep`.
    """
    sweep = load_sweep(record, gates)
    reduction = ipywidgets.SelectionSlider(options=sweep.reductions, value=sweep.reductions[-1], description="r")
    block = ipywidgets.SelectionSlider(options=sweep.blocks, value=sweep.blocks[-1], description="block")
    chosen = ipywidgets.SelectMultiple(
        options=sweep.classes, value=sweep.first_classes, rows=len(sweep.classes), description="classes"
    )

    said, drawn = ipywidgets.HTML(), ipywidgets.HTML()

    def draw(_change: object = None) -> None:
        sentence = sweep.sentence(reduction.value, block.value)
        said.value = sentence
        if len(chosen.value) > len(figures.COLOURS):
            drawn.value = f"Choose at most {len(figures.COLOURS)} classes: more lines cannot be told apart by colour."
            return
        named = ", ".join((*chosen.value, "all classes"))
        picture = sweep.picture(reduction.value, block.value, chosen.value)
        drawn.value = figures.figure_html(picture, f"Mean gate by channel of {named}. {sentence}")

    controls = (reduction, block, chosen)
    for control in controls:
        control.observe(draw, "value")
    draw()
    return ipywidgets.VBox([*controls, said, drawn])
