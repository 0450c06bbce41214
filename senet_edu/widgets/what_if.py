"""The explorer of other gates (chapter 07): a small network in the page, and the gates of one block in your hand."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from senet_edu import figures, results
from senet_edu.data import CIFAR10_CLASSES, CIFAR10_MEAN, CIFAR10_STD
from senet_edu.excitations import Override, override_gates
from senet_edu.models import BasicBlock, ResNet, se_blocks
from senet_edu.training import normalise
from senet_edu.widgets.explorer import Explorer, float_bytes, module, one_of

NAME = "se_resnet18-quarter"
GATES = ("as computed", "all 1", "all 0.5", "mean over images", "of another picture", "one channel moved")
MOST = 20  # pictures: each is 3 kB on the page


def folded(network: nn.Module) -> ResNet:
    """The same function of the image without BN: each BN becomes part of the convolution before it.

    Raises:
        ValueError: not a ResNet of two-convolution units with SE blocks in the standard place.
    """
    units = [module for module in network.modules() if isinstance(module, BasicBlock)]
    if not isinstance(network, ResNet) or not units or len(se_blocks(network)) < len(units):
        raise ValueError("the page computes SE-ResNet-18 and its kin: two 3×3 convolutions and an SE block a unit")
    if any(unit.placement != "standard" for unit in units):
        raise ValueError("the page computes SE blocks in the standard place only")
    if not isinstance(network.maxpool, nn.Identity):
        raise ValueError("the page computes the stem for CIFAR-10 only, which has no pooling")
    if any((block.squeeze, type(block.gate)) != ("avg", nn.Sigmoid) for block in se_blocks(network).values()):
        raise ValueError("the page computes SE blocks with average pooling and a sigmoid only")
    network = copy.deepcopy(network).eval()
    for part in (network, *(unit for unit in network.modules() if isinstance(unit, BasicBlock))):
        for conv, norm in (("conv1", "bn1"), ("conv2", "bn2")):
            if hasattr(part, conv):
                setattr(part, conv, fuse_conv_bn_eval(getattr(part, conv), getattr(part, norm)))
                setattr(part, norm, nn.Identity())
        skip: Any = getattr(part, "downsample", nn.Identity())
        if not isinstance(skip, nn.Identity):
            part.downsample = fuse_conv_bn_eval(*skip)
    return network


def layers(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.Linear]]:
    """The layers with weights, by name, in order."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            yield name, layer


def rounded(network: nn.Module) -> tuple[ResNet, bytes]:
    """The network as the page computes it: folded, its weights rounded to 255 steps for each output channel.

    Returns:
        The network in PyTorch, float32, with the rounded weights; and those as bytes: layer by layer the scales and
        biases [outputs] as float32, little endian, and the weights [outputs, inputs, k, k] as int8.

    Raises:
        ValueError: see `folded`.
    """
    network, parts = folded(network), []
    for _, layer in layers(network):
        weight = layer.weight.detach()
        scale = weight.flatten(1).abs().amax(1).clamp(min=1e-30) / 127  # [outputs]
        steps = (weight / scale.view(-1, *[1] * (weight.dim() - 1))).round()  # -127 … 127
        layer.weight.data = steps * scale.view(-1, *[1] * (weight.dim() - 1))
        bias = torch.zeros_like(scale) if layer.bias is None else layer.bias.detach()
        parts += [float_bytes((scale, bias)), np.ascontiguousarray(steps.numpy(), np.int8).tobytes()]
    return network.requires_grad_(False), b"".join(parts)


class WhatIfExplorer(Explorer):
    """Put other gates in place of one block's own and see what the network says then, computed in the page.

    The weights are rounded to 8 bits, which is a slightly other network: `network` is that one in PyTorch, and
    `logits()` computes with it what the page shows. Readable and settable from Python are `picture` (its number),
    `block`, `gates` (one of `GATES`), and for two of these `other` (the picture whose gates are taken) or `channel`
    and `value`. A picture that a reader brings stays on the page.

    Args:
        images: uint8 [n, 3, 32, 32], at most `MOST`.
        names: what to call them, n strings.
        name: of the shipped weights.

    Attributes:
        network: float32, with `se_blocks` as the trained one.

    Raises:
        ValueError: images of another kind, or not as many names; a network that the page cannot compute.
        traitlets.TraitError: a value of a trait that there is not.
        results.AssetError: no such weights, or no gates recorded for them.
    """

    shown = ("picture", "block", "gates", "other", "channel", "value")
    _esm = module("what_if.mjs")

    worker = traitlets.Unicode(module("worker.mjs")).tag(sync=True)
    layers: traitlets.List[list[Any]] = traitlets.List().tag(sync=True)  # [name, outputs, inputs, kernel, stride] each
    units: traitlets.List[list[str]] = traitlets.List().tag(sync=True)  # [SE block, path of its unit] each
    weights = traitlets.Bytes().tag(sync=True)
    channels = traitlets.List(traitlets.Int()).tag(sync=True)
    means = traitlets.Bytes().tag(sync=True)  # mean gates over the test images, float32: block by block [C]
    pictures = traitlets.Bytes().tag(sync=True)  # uint8 [n, 3, 32, 32]
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    classes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    pixels = traitlets.Dict().tag(sync=True)  # mean and std that pixels are normalised with
    colours = traitlets.List(traitlets.Unicode()).tag(sync=True)

    picture = traitlets.Int(0).tag(sync=True)
    block = traitlets.Unicode().tag(sync=True)
    gates = traitlets.Enum(GATES, default_value="all 1").tag(sync=True)
    other = traitlets.Int(0).tag(sync=True)
    channel = traitlets.Int(0, min=0).tag(sync=True)  # the block's last, where it has fewer
    value = traitlets.Float(1.0, min=0, max=1).tag(sync=True)

    def __init__(self, images: Tensor, names: Sequence[str], name: str = NAME, **traits: Any) -> None:
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != (3, 32, 32) or not 1 <= len(images) <= MOST:
            kind = f"{images.dtype} {list(images.shape)}"
            raise ValueError(f"the explorer takes uint8 images [n, 3, 32, 32] with n from 1 to {MOST}, not {kind}")
        if len(names) != len(images):
            raise ValueError(f"{len(images)} images and {len(names)} names")
        record, recorded = results.load_record(name), results.load_excitations(name)
        self.network, weights = rounded(results.load_network(name))
        self._images, self._means = images.cpu(), {block: s.total_mean.float() for block, s in recorded.items()}
        modules = {id(unit.se): path for path, unit in self.network.named_modules() if isinstance(unit, BasicBlock)}
        blocks = se_blocks(self.network)
        start = {"block": list(blocks)[-1], "other": min(1, len(images) - 1)}
        super().__init__(
            layers=[[name, *sizes(layer)] for name, layer in layers(self.network)],
            units=[[block, modules[id(se)]] for block, se in blocks.items()],
            weights=weights,
            channels=[se.channels for se in blocks.values()],
            means=float_bytes(self._means[block] for block in blocks),
            pictures=self._images.contiguous().numpy().tobytes(),
            names=list(names),
            classes=list(record.get("classes", CIFAR10_CLASSES)),
            pixels={"mean": CIFAR10_MEAN, "std": CIFAR10_STD},
            colours=list(figures.COLOURS),
            **{**start, **traits},
        )

    def override(self) -> dict[str, Override]:
        """What `senet_edu.override_gates` is told to compute the same: the block's name and its gates [C]."""
        channel = min(self.channel, se_blocks(self.network)[self.block].channels - 1)

        def moved(own: Tensor) -> Tensor:
            own = own.clone()  # [N, C]
            own[:, channel] = self.value
            return own

        match self.gates:
            case "as computed":
                return {}
            case "all 1":
                return {self.block: 1.0}
            case "all 0.5":
                return {self.block: 0.5}
            case "mean over images":
                return {self.block: self._means[self.block]}
            case "of another picture":
                return {self.block: self.own_gates(self.other)[self.block]}
        return {self.block: moved}  # "one channel moved"

    def own_gates(self, picture: int) -> dict[str, Tensor]:
        """The gates [C] that each block computes for a picture."""
        seen: dict[str, Tensor] = {}

        def look(name: str) -> Override:
            return lambda own: seen.setdefault(name, own[0]).expand_as(own)

        with torch.no_grad(), override_gates(self.network, {block: look(block) for block, _ in self.units}):
            self.network(normalise(self._images[picture : picture + 1]))
        return seen

    def logits(self) -> tuple[Tensor, Tensor]:
        """Logits [K] of the picture with the network's own gates, and with the chosen ones."""
        image = normalise(self._images[self.picture : self.picture + 1])  # [1, 3, 32, 32]
        with torch.no_grad():
            own = self.network(image)[0]
            with override_gates(self.network, self.override()):
                return own, self.network(image)[0]

    @traitlets.validate("block")
    def _known_block(self, proposal: Any) -> Any:
        return one_of(proposal, [block for block, _ in self.units])

    @traitlets.validate("picture", "other")
    def _known_picture(self, proposal: Any) -> Any:
        if not 0 <= proposal["value"] < len(self.names):
            name = proposal["trait"].name
            raise traitlets.TraitError(f"{name} is a number from 0 to {len(self.names) - 1}, not {proposal['value']}")
        return proposal["value"]


def sizes(layer: nn.Conv2d | nn.Linear) -> tuple[int, int, int, int]:
    """Outputs, inputs, side of the kernel, stride."""
    if isinstance(layer, nn.Linear):
        return layer.out_features, layer.in_features, 1, 1
    return layer.out_channels, layer.in_channels, layer.kernel_size[0], layer.stride[0]
