"""Statistics of the gates of a block over many images: only sums are kept, never the feature maps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

from senet_edu.files import write_atomically

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
        return self.count.double() @ self.known(self.mean) / self.count.sum()

    @property
    def between(self) -> Tensor:
        """Sum of squares between classes [C]: Σ_k n_k (m_k − m)²."""
        return self.count.double() @ self.known(self.mean - self.total_mean).square()

    def known(self, values: Tensor) -> Tensor:
        """Values of classes [K, C] with zeros in place of those of a class without images."""
        return torch.where(self.count[:, None] > 0, values, 0.0)

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
        mine = self.known(self.mean)
        step = other.known(other.mean) - mine
        mean = mine + step * share
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
    squares = member.T @ (gates - mean[labels]).square_()  # [K, C]

    # In place and in 32 bits: this runs beside a network, and must cost little beside it
    low, high = span
    bins = (gates - low).mul_(BINS / (high - low)).int().clamp_(0, BINS - 1)  # [N, C]
    first = (labels[:, None] * channels + torch.arange(channels, device=gates.device)) * BINS  # [N, C]: of the K·C·BINS
    histogram = torch.bincount(bins.add_(first.int()).flatten(), minlength=classes * channels * BINS)
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
