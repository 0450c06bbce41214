"""Record the gates of a network over many images, summarise them, and override them.

Gates are named as in the paper: SE_{stage}_{block}. Only sums are kept, never the feature maps.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from senet_edu.blocks import SEBlock
from senet_edu.data import Images
from senet_edu.files import write_atomically
from senet_edu.models import se_blocks
from senet_edu.selective import sk_blocks
from senet_edu.training import predict, processes
from senet_edu.training.machine import Precision

BINS = 20  # of a histogram: 0.05 wide for gates from 0 to 1


@dataclass(frozen=True)
class GateStatistics:
    """What is kept of one block's gates. K classes, C channels, n images in all.

    The gate of a NoSqueeze block is its mean over positions.

    Attributes:
        count: images per class [K].
        mean: mean gate per class and channel [K, C], float64; NaN for a class without images.
        squares: sum of squared deviations from `mean` [K, C], float64.
        histogram: images per class, channel and bin [K, C, BINS]; the outer bins take what lies outside `span`.
        span: lower and upper end of the histogram [2]: 0 and 1, or -1 and 1 for a tanh gate.
        sample: gates of the images asked for [s, C], float32, in the order asked for.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor
    histogram: Tensor
    span: Tensor
    sample: Tensor

    @property
    def variance(self) -> Tensor:
        """Variance over the images of a class [K, C] (dividing by their number)."""
        return self.squares / self.count[:, None]

    @property
    def total_mean(self) -> Tensor:
        """Mean over all images [C]."""
        return self.count.double() @ self.mean.nan_to_num() / self.count.sum()

    @property
    def between(self) -> Tensor:
        """Sum of squares between classes [C]: Σ_k n_k (m_k − m)²."""
        deviation = (self.mean - self.total_mean).nan_to_num()
        return self.count.double() @ deviation.square()

    @property
    def total(self) -> Tensor:
        """Sum of squares over all images [C]: Σ_i (s_i − m)², between and within classes."""
        return self.between + self.squares.sum(0)

    def movement(self) -> Tensor:
        """How far a gate moves over images [C]: its standard deviation over all of them. Zero: it never gates."""
        return (self.total / self.count.sum()).sqrt()

    def specificity(self) -> Tensor:
        """Class specificity [C]: the between-class share of a gate's variance over images, 0 to 1.

        1: the class alone decides the gate. 0: classes have the same mean, or the gate does not move at all.
        (With K classes of n/K images and no effect of class, chance alone gives about (K−1)/(n−1).)
        """
        return torch.where(self.total > 1e-12 * self.count.sum(), self.between / self.total, 0.0)

    def saturation(self, low: float = 0.1, high: float = 0.9) -> tuple[Tensor, Tensor]:
        """Share of images for which a gate is below `low`, and at or above `high` [C] each, from the histogram.

        Raises:
            ValueError: a threshold that is no edge of a bin.
        """
        low_end, high_end = self.span.tolist()
        edges = torch.linspace(low_end, high_end, BINS + 1)
        bins = self.histogram.sum(0).double() / self.count.sum()  # [C, BINS]
        places = []
        for threshold in (low, high):
            at = (edges - threshold).abs() < 1e-6
            if not at.any():
                raise ValueError(f"{threshold} is no edge of the bins: {edges.tolist()}")
            places.append(int(at.nonzero()[0]))
        return bins[:, : places[0]].sum(1), bins[:, places[1] :].sum(1)

    def distance(self) -> Tensor:
        """Distance from 0.5, where σ(0) leaves an untrained or dead gate [C]: √ of the mean of (s − 0.5)²."""
        return (self.total / self.count.sum() + (self.total_mean - 0.5).square()).sqrt()

    def merge(self, other: GateStatistics) -> GateStatistics:
        """Statistics of both sets of images together (Chan, Golub, LeVeque 1983); samples one after the other."""
        count = self.count + other.count
        share = (other.count.to(self.mean.dtype) / count.clamp(min=1))[:, None]  # int / int would be float32
        step = other.mean.nan_to_num() - self.mean.nan_to_num()
        mean = self.mean.nan_to_num() + step * share
        squares = self.squares + other.squares + step.square() * share * self.count[:, None]
        return GateStatistics(
            count,
            torch.where(count[:, None] > 0, mean, torch.nan),
            squares,
            self.histogram + other.histogram,
            self.span,
            torch.cat([self.sample, other.sample]),
        )


def statistics_of(gates: Tensor, labels: Tensor, classes: int, span: tuple[float, float]) -> GateStatistics:
    """Statistics of one batch of gates [N, C] with labels [N], without a sample."""
    gates = gates.double()
    channels = gates.shape[1]
    member = nn.functional.one_hot(labels, classes).to(gates.dtype)  # [N, K]
    count = member.sum(0)  # [K]
    mean = member.T @ gates / count[:, None]  # [K, C], 0/0 = NaN for an absent class
    squares = member.T @ (gates - mean[labels]).square()  # [K, C]

    low, high = span
    bins = ((gates - low) / (high - low) * BINS).long().clamp(0, BINS - 1)  # [N, C]
    cell = (labels[:, None] * channels + torch.arange(channels, device=gates.device)) * BINS + bins  # [N, C]
    histogram = torch.bincount(cell.flatten(), minlength=classes * channels * BINS)
    return GateStatistics(
        count.long(),
        mean,
        squares,
        histogram.view(classes, channels, BINS),
        torch.tensor(span, device=gates.device),
        torch.empty(0, channels, device=gates.device),
    )


class Excitations(dict[str, GateStatistics]):
    """Gate statistics by block name, in order of depth; `classes` names the rows.

    Attributes:
        classes: names of the K classes.
    """

    def __init__(self, blocks: Mapping[str, GateStatistics], classes: Sequence[str]) -> None:
        super().__init__(blocks)
        self.classes = tuple(classes)

    def merge(self, other: Excitations) -> Excitations:
        """Both sets of images together, as two processes saw them."""
        if self.classes != other.classes or list(self) != list(other):
            raise ValueError("excitations of other blocks or classes cannot be merged")
        return Excitations({name: self[name].merge(other[name]) for name in self}, self.classes)

    def summary(self) -> list[dict[str, float | str]]:
        """A row a block: its name and channels, and the mean over channels of each measure of `GateStatistics`.

        `below` and `above` are the shares of gates below 0.1 and at or above 0.9.
        """
        rows: list[dict[str, float | str]] = []
        for name, gates in self.items():
            below, above = gates.saturation()
            rows.append(
                {
                    "block": name,
                    "channels": gates.mean.shape[1],
                    "mean": gates.total_mean.mean().item(),
                    "movement": gates.movement().mean().item(),
                    "specificity": gates.specificity().mean().item(),
                    "below": below.mean().item(),
                    "above": above.mean().item(),
                    "distance": gates.distance().mean().item(),
                }
            )
        return rows

    def save(self, path: str | Path) -> None:
        """Write a safetensors file; means as float32, histograms as int32."""
        from safetensors.torch import save_file

        narrow = {torch.float64: torch.float32, torch.int64: torch.int32}
        tensors = {
            f"{name}.{field.name}": (value := getattr(gates, field.name)).to(narrow.get(value.dtype, value.dtype))
            for name, gates in self.items()
            for field in fields(GateStatistics)
        }
        header = {"blocks": json.dumps(list(self)), "classes": json.dumps(self.classes)}
        write_atomically(Path(path), lambda temporary: save_file(tensors, temporary, metadata=header))

    @classmethod
    def load(cls, path: str | Path) -> Excitations:
        """Read what `save` wrote."""
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            blocks = {}
            for name in json.loads(header["blocks"]):
                t = {field.name: file.get_tensor(f"{name}.{field.name}") for field in fields(GateStatistics)}
                wide = {key: t[key].double() for key in ("mean", "squares")}
                whole = {key: t[key].long() for key in ("count", "histogram")}
                blocks[name] = GateStatistics(**{**t, **wide, **whole})
        return cls(blocks, json.loads(header["classes"]))


def record_excitations(
    model: nn.Module,
    images: Images,
    labels: Tensor,
    *,
    classes: Sequence[str] | None = None,
    sample: Sequence[int] | Tensor = (),
    batch_size: int = 500,
    precision: Precision | None = None,
    cpu: bool = False,
) -> Excitations:
    """Run the images through the network once and keep the statistics of every gate.

    Under a launcher the processes share the images, and each gets the statistics of all of them.

    Args:
        model: a network with SE blocks.
        images: uint8 [n, C, H, W].
        labels: int64 [n].
        classes: names of the classes; by default "0", "1", … up to the largest label.
        sample: indices of images whose own gates are wanted.
        batch_size, precision, cpu: as in `training.predict`. ("no" records float32 gates.)

    Raises:
        ValueError: no images, labels that do not fit, or a network without named SE blocks.
    """
    names = class_names(images, labels, classes)
    wanted = torch.as_tensor(sample, dtype=torch.int64)  # [s]
    if not all(0 <= i < len(images) for i in wanted.tolist()):
        raise ValueError(f"the sample has indices beyond the {len(images)} images")
    blocks = named_blocks(model)
    mine = processes.share(len(images))
    recorder = Recorder(labels[mine], len(names), wanted - mine.start)

    def look(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda gate, _input, s: recorder.add(name, gate, s)

    with removed_after(block.gate.register_forward_hook(look(name)) for name, block in blocks.items()):
        predict(model, images[mine], batch_size=batch_size, precision=precision, cpu=cpu)
    return together(recorder, names, cpu)


def together(recorder: Recorder, names: Sequence[str], cpu: bool) -> Excitations:
    """What the recorders of all processes saw.

    Each has every row of the sample, and zeros in those whose image was another one's.
    """
    merged = {}
    for name in recorder.statistics:
        parts = processes.everyone(recorder.result(name), cpu)
        sample = torch.stack([part.sample for part in parts]).sum(0)  # [s, C]
        merged[name] = dataclasses.replace(functools.reduce(GateStatistics.merge, parts), sample=sample)
    return Excitations(merged, names)


def class_names(images: Images, labels: Tensor, classes: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the classes, made up from the labels if there are none; a ValueError for what does not fit together."""
    if len(images) == 0 or len(images) != len(labels):
        raise ValueError(f"{len(images)} images and {len(labels)} labels: nothing to record")
    low, high = int(labels.min()), int(labels.max())
    names = tuple(classes) if classes is not None else tuple(str(k) for k in range(high + 1))
    if not 0 <= low <= high < len(names):
        raise ValueError(f"labels run from {low} to {high}; there are {len(names)} classes")
    return names


def record_controls(
    model: nn.Module,
    images: Images,
    labels: Tensor,
    *,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    precision: Precision | None = None,
    cpu: bool = False,
) -> tuple[Excitations, Excitations]:
    """What the gates would say without having learned: a control for class specificity.

    In each block, z itself, and the gates that a block of the same sizes with untrained W₁ and W₂ makes of that z. The
    network computes with its own gates throughout.

    Args:
        model, images, labels, classes, precision, cpu: as in `record_excitations`.
        seed: of the untrained weights; the global generator is left alone.

    Returns:
        The statistics of z (its histogram, made for gates, means nothing) and those of the untrained gates.
    """
    names = class_names(images, labels, classes)
    mine = processes.share(len(images))
    squeezed, untrained = (Recorder(labels[mine], len(names), torch.empty(0, dtype=torch.int64)) for _ in range(2))
    blocks = named_blocks(model)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone, so that weights do not depend on the device
        fresh = {name: copy.deepcopy(block).cpu() for name, block in blocks.items()}
        for block in fresh.values():
            block.reset_parameters()

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            block = fresh[name].to(inputs[0].device)
            z = block.pool(inputs[0])  # [N, C]
            squeezed.add(name, block.gate, z)
            untrained.add(name, block.gate, block.gates(z))

        return hook

    with removed_after(block.register_forward_pre_hook(look(name)) for name, block in blocks.items()):
        predict(model, images[mine], precision=precision, cpu=cpu)
    return together(squeezed, names, cpu), together(untrained, names, cpu)


def record_attention(
    model: nn.Module,
    images: Images,
    labels: Tensor | None = None,
    *,
    classes: Sequence[str] | None = None,
    batch_size: int = 500,
    precision: Precision | None = None,
    cpu: bool = False,
) -> Excitations:
    """Run the images through the network once and keep the statistics of every SK convolution's attention.

    Args:
        model: a network with SK convolutions.
        images: uint8 [n, C, H, W].
        labels: int64 [n]; without them all images are of one class, "all".
        classes, batch_size, precision, cpu: as in `record_excitations`.

    Returns:
        For SK_{stage}_{block} with M branches the entries "SK_2_1 1" to "SK_2_1 M", with C channels each. Branch m has
        dilation `sk_blocks(model)["SK_2_1"].dilations[m - 1]`, and ``.total_mean`` is its mean attention [C].

    Raises:
        ValueError: no images, labels that do not fit, or a network without named SK convolutions with attention.
    """
    if labels is None:
        labels, classes = torch.zeros(len(images), dtype=torch.int64), ("all",)
    names = class_names(images, labels, classes)
    blocks = {name: block for name, block in sk_blocks(model).items() if block.attends}
    if not blocks:
        raise ValueError("this network has no named SK convolutions with attention: nothing to record")
    mine = processes.share(len(images))
    recorder = Recorder(labels[mine], len(names), torch.empty(0, dtype=torch.int64))

    def look(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(softmax: nn.Module, _input: object, a: Tensor) -> None:
            for m, of_branch in enumerate(a.unbind(1), start=1):  # [N, C]
                recorder.add(f"{name} {m}", softmax, of_branch)

        return hook

    with removed_after(block.attention.register_forward_hook(look(name)) for name, block in blocks.items()):
        predict(model, images[mine], batch_size=batch_size, precision=precision, cpu=cpu)
    return together(recorder, names, cpu)


class Recorder:
    """Collects gates batch by batch, as forward hooks see them; images come in the order of `labels`."""

    def __init__(self, labels: Tensor, classes: int, sample: Tensor) -> None:
        self.labels, self.classes, self.sample = labels, classes, sample
        self.statistics: dict[str, GateStatistics] = {}
        self.sampled: dict[str, Tensor] = {}
        self.seen: dict[str, int] = {}

    def add(self, name: str, gate: nn.Module, s: Tensor) -> None:
        gates = s.detach() if s.dim() == 2 else s.detach().mean(dim=(2, 3))  # [N, C]
        gates = gates.cpu() if gates.device.type == "mps" else gates  # Apple's GPUs have no float64
        first = self.seen.get(name, 0)
        last = self.seen[name] = first + len(gates)
        span = (-1.0, 1.0) if isinstance(gate, nn.Tanh) else (0.0, 1.0)
        batch = statistics_of(gates, self.labels[first:last].to(gates.device), self.classes, span)
        self.statistics[name] = self.statistics[name].merge(batch) if name in self.statistics else batch

        here = (self.sample >= first) & (self.sample < last)
        rows = self.sampled.setdefault(name, torch.zeros(len(self.sample), gates.shape[1]))  # [s, C]
        rows[here] = gates.float().cpu()[self.sample[here] - first]

    def result(self, name: str) -> GateStatistics:
        kept = self.statistics[name]
        values = {field.name: getattr(kept, field.name).cpu() for field in fields(kept)}
        return GateStatistics(**values | {"sample": self.sampled[name]})


Override = float | Tensor | Callable[[Tensor], Tensor]


@contextmanager
def override_gates(model: nn.Module, gates: Mapping[str, Override]) -> Iterator[None]:
    """Within the `with`, put other gates in place of a network's own.

    Args:
        model: a network with SE blocks.
        gates: for a block's name a number (1.0 takes the block out), a tensor [C] or [N, C] (for NoSqueeze each value
            holds at all positions), or a function of the block's own gates, e.g. ``lambda s: s.flip(0)`` to give each
            image another one's.

    Raises:
        ValueError: the network has no block of that name.
    """
    blocks = named_blocks(model)
    if unknown := set(gates) - set(blocks):
        raise ValueError(f"no block {', '.join(sorted(unknown))}; there are {', '.join(blocks)}")

    def replacement(value: Override) -> Callable[[nn.Module, object, Tensor], Tensor]:
        if callable(value):
            return lambda _module, _input, s: value(s)

        def hook(_module: nn.Module, _input: object, s: Tensor) -> Tensor:
            given = torch.as_tensor(value, dtype=s.dtype, device=s.device)
            if s.dim() == 4 and given.dim() in (1, 2):
                given = given[..., None, None]  # [C, 1, 1] or [N, C, 1, 1]
            return given.expand_as(s)

        return hook

    with removed_after(blocks[name].gate.register_forward_hook(replacement(value)) for name, value in gates.items()):
        yield


@contextmanager
def removed_after(hooks: Iterable[RemovableHandle]) -> Iterator[None]:
    """Within the `with` the hooks are in place; after it, also after an error, they are gone."""
    handles = list(hooks)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def named_blocks(model: nn.Module) -> dict[str, SEBlock]:
    """The network's SE blocks by name; a ValueError if it has none."""
    blocks = se_blocks(model)
    if not blocks:
        raise ValueError("this network has no named SE blocks: a plain network has no gates")
    return blocks
