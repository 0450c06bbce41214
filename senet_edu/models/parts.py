"""What the builders of networks share."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from senet_edu.models.registry import MakeSE, NamedNetwork, Stem


class FourStages(NamedNetwork):
    """The way of an image through a ResNet and what is built like one; names of layers are torchvision's."""

    conv1: nn.Conv2d
    bn1: nn.BatchNorm2d
    maxpool: nn.Module
    layer1: nn.Sequential  # stage 2: stage 1 is the stem
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential
    fc: nn.Linear

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.maxpool(x)
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.layer4(x)
        x = x.mean(dim=(2, 3))  # [N, C]; safe under autocast with channels_last, where AdaptiveAvgPool2d was not
        return self.fc(x)


def named_se(make_se: MakeSE | None, stages: Collection[int], channels: int, stage: int, block: int) -> nn.Module:
    """The SE block SE_{stage}_{block} for so many channels; an identity without `make_se` or outside `stages`."""
    if make_se is None or stage not in stages:
        return nn.Identity()
    se = make_se(channels)
    se.name = f"SE_{stage}_{block}"  # type: ignore[assignment]
    return se


def scaled(channels: Sequence[int], width: float) -> list[int]:
    """Channel counts times `width`; a ValueError if one of them rounds to none."""
    widths = [round(width * c) for c in channels]
    if min(widths) < 1:
        raise ValueError(f"width = {width} leaves a stage without channels")
    return widths


def stem_layers(in_channels: int, channels: int, stem: Stem, pool: nn.Module) -> tuple[nn.Conv2d, nn.Module]:
    """First convolution and pooling: "cifar" is 3×3 at full resolution, "imagenet" 7×7 of stride 2 and then `pool`."""
    if stem == "cifar":
        return nn.Conv2d(in_channels, channels, 3, 1, padding=1, bias=False), nn.Identity()
    return nn.Conv2d(in_channels, channels, 7, 2, padding=3, bias=False), pool


def conv_norm(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, padded to keep the size at stride 1, and BN."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
    )


def he_normal(model: nn.Module) -> None:
    """He-normal weights, fan out, for every convolution."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
