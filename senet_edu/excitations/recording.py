"""Run images through a network once and keep the statistics of its gates, or of what takes their place."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import fields

import torch
from torch import Tensor, nn

from senet_edu.data import Images
from senet_edu.excitations.overriding import gate_outputs, named_blocks, refuse_compiled, removed_after
from senet_edu.excitations.statistics import Excitations, GateStatistics, statistics_of
from senet_edu.selective import sk_blocks
from senet_edu.training import predict, processes
from senet_edu.training.evaluation import check_labels
from senet_edu.training.machine import Precision


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
        model: a network with SE blocks: ours, named SE_{stage}_{block}, or those that torchvision's and timm's own
            networks bring along, named by their places, such as "SE_features_4_block_2" in MobileNetV3.
        images: uint8 [n, C, H, W].
        labels: int64 [n].
        classes: names of the classes; by default "0", "1", … up to the largest label.
        sample: images whose own gates are wanted: their indices, or a mask [n].
        batch_size, precision, cpu: as in `training.predict`. ("no" records float32 gates.)

    Raises:
        ValueError: no images, labels that do not fit, or a network without named SE blocks, compiled, or with gates
            that are no numbers.
    """
    names = class_names(images, labels, classes)
    given = torch.as_tensor(sample)
    if given.dtype == torch.bool and given.shape != (len(images),):
        raise ValueError(f"the sample is a mask of {list(given.shape)} for {len(images)} images")
    wanted = given.nonzero()[:, 0] if given.dtype == torch.bool else given.to(torch.int64)  # [s]
    if not all(0 <= i < len(images) for i in wanted.tolist()):
        raise ValueError(f"the sample has indices beyond the {len(images)} images")
    layers = gate_outputs(model)
    mine = processes.share(len(images))
    recorder = Recorder(labels[mine], len(names), wanted - mine.start)

    def look(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda gate, _input, s: recorder.add(name, gate, s)

    with removed_after(layer.register_forward_hook(look(name)) for name, layer in layers.items()):
        predict(model, images[mine], batch_size=batch_size, precision=precision, cpu=cpu)
    return together(recorder, names, cpu)


def record_controls(
    model: nn.Module,
    images: Images,
    labels: Tensor,
    *,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    batch_size: int = 500,
    precision: Precision | None = None,
    cpu: bool = False,
) -> tuple[Excitations, Excitations]:
    """What the gates would say without having learned: a control for class specificity.

    In each block, z itself, and the gates that a block of the same sizes with untrained W₁ and W₂ makes of that z. The
    network computes with its own gates throughout.

    Args:
        model, images, labels, classes, batch_size, precision, cpu: as in `record_excitations`.
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
            block.gate._forward_hooks.clear()  # of `override_gates`, if this runs within it

    def look(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            block = fresh[name].to(inputs[0].device)
            z = block.pool(inputs[0])  # [N, C]
            squeezed.add(name, block.gate, z)
            untrained.add(name, block.gate, block.gates(z))

        return hook

    with removed_after(block.register_forward_pre_hook(look(name)) for name, block in blocks.items()):
        predict(model, images[mine], batch_size=batch_size, precision=precision, cpu=cpu)
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
        labels: int64 [n]; without them all images are of one class, called "all" if `classes` has no name for it.
        classes, batch_size, precision, cpu: as in `record_excitations`.

    Returns:
        For SK_{stage}_{block} with M branches the entries "SK_2_1 1" to "SK_2_1 M", with C channels each. Branch m has
        dilation `sk_blocks(model)["SK_2_1"].dilations[m - 1]`, and ``.total_mean`` is its mean attention [C].

    Raises:
        ValueError: no images, labels that do not fit, or a network without named SK convolutions with attention, or
            compiled.
    """
    refuse_compiled(model)
    if labels is None:
        labels, classes = torch.zeros(len(images), dtype=torch.int64), classes or ("all",)
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
        if last > len(self.labels):
            raise ValueError(f"{name} computes gates more than once for an image: its calls cannot be told apart")
        span = (-1.0, 1.0) if isinstance(gate, nn.Tanh) else (0.0, 1.0)
        batch = statistics_of(gates, self.labels[first:last].to(gates.device), self.classes, span)
        self.statistics[name] = self.statistics[name].merge(batch) if name in self.statistics else batch

        here = (self.sample >= first) & (self.sample < last)
        rows = self.sampled.setdefault(name, torch.zeros(len(self.sample), gates.shape[1]))  # [s, C]
        if here.any():  # a copy waits for a GPU
            rows[here] = gates.float().cpu()[self.sample[here] - first]

    def result(self, name: str) -> GateStatistics:
        kept = self.statistics[name]
        if not kept.mean[kept.count > 0].isfinite().all():
            raise ValueError(f"gates of {name} are not numbers (NaN or infinite): did the training diverge?")
        values = {field.name: getattr(kept, field.name).cpu() for field in fields(kept)}
        return GateStatistics(**values | {"sample": self.sampled[name]})


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
    check_labels(images, labels)
    high = int(labels.max())
    names = tuple(classes) if classes is not None else tuple(str(k) for k in range(high + 1))
    if high >= len(names):
        raise ValueError(f"labels go up to {high}; there are {len(names)} classes")
    return names
