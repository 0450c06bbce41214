"""SKNets: ResNeXt-50 and -101 with SK convolutions for their 3×3 ones (arXiv 1903.06586, table 1), and a small one.

An SK convolution is in every unit, named SK_{stage}_{block}. Stages are numbered 2 to 5, as in `resnet`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from senet_edu.models.parts import FourStages, he_normal, scaled, stem_layers
from senet_edu.models.registry import MakeSE, Stem
from senet_edu.models.resnet import projection
from senet_edu.selective import SKConv


class SKBottleneck(nn.Module):
    """1×1, SK (which has the stride) and 1×1 convolutions and a skip; twice as many channels out as in the SK."""

    expansion = 2

    def __init__(self, in_channels: int, width: int, stride: int, sk: dict[str, Any]) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.sk = SKConv(width, stride=stride, **sk)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = projection(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        u = torch.relu(self.bn1(self.conv1(x)))
        v = self.sk(u)
        v = self.bn3(self.conv3(v))
        return torch.relu(v + self.downsample(x))


class SKBasic(nn.Module):
    """SK (which has the stride) and 3×3 convolutions and a skip: a ResNet-18 unit whose first 3×3 is an SK."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, sk: dict[str, Any]) -> None:
        super().__init__()
        self.sk = SKConv(in_channels, width, stride=stride, **sk)
        self.conv2 = nn.Conv2d(width, width, 3, 1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = projection(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        v = self.sk(x)
        v = self.bn2(self.conv2(v))
        return torch.relu(v + self.downsample(x))


class SKNet(FourStages):
    """An SKNet for images [N, in_channels, H, W]; logits [N, num_classes].

    Args:
        num_classes, in_channels, make_se: see `sknet`.
        block: the residual unit.
        depths: units in stages 2 to 5.
        widths: channels of the stem, and of the SK convolutions of each stage.
        stem: "cifar" is one 3×3 convolution at full resolution, "imagenet" 7×7 with stride 2 and a 3×3 max pooling.
        sk: arguments of every `SKConv`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        make_se: MakeSE | None,
        block: type[SKBottleneck] | type[SKBasic],
        depths: Sequence[int],
        widths: Sequence[int],
        stem: Stem,
        sk: dict[str, Any],
    ) -> None:
        if make_se is not None:
            raise ValueError("an SKNet has no SE blocks: its attention is in the SK convolutions")
        super().__init__()
        channels, *stage_widths = widths
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)  # as in the released model: no padding
        self.conv1, self.maxpool = stem_layers(in_channels, channels, stem, pool)
        self.bn1 = nn.BatchNorm2d(channels)
        for stage, (depth, width) in enumerate(zip(depths, stage_widths, strict=True), start=2):
            units = []
            for i in range(1, depth + 1):
                unit = block(channels, width, 2 if stage > 2 and i == 1 else 1, sk)
                unit.sk.name = f"SK_{stage}_{i}"
                units.append(unit)
                channels = width * block.expansion
            setattr(self, f"layer{stage - 1}", nn.Sequential(*units))
        self.fc = nn.Linear(channels, num_classes)
        he_normal(self)


def sknet(
    num_classes: int = 1000,
    in_channels: int = 3,
    make_se: MakeSE | None = None,
    *,
    depths: Sequence[int] = (3, 4, 6, 3),
    stem: Stem = "imagenet",
    width: float = 1.0,
    **sk: Any,
) -> SKNet:
    """SKNet-50, SK[2, 32, 16] in every unit; with depths 3, 4, 23, 3 SKNet-101 (table 1).

    Args:
        num_classes: number of logits.
        in_channels: channels of the input images.
        make_se: None; an SKNet's attention is in its SK convolutions.
        depths: units in stages 2 to 5.
        stem: see `SKNet`.
        width: factor on all channel counts; the groups stay as they are.
        sk: arguments of every `SKConv`: branches, groups, reduction, min_width, dilations, attention.

    Raises:
        ValueError: an SK convolution that cannot be (see `SKConv`), no channels left, or a `make_se`.
    """
    widths = scaled((64, 128, 256, 512, 1024), width)
    return SKNet(num_classes, in_channels, make_se, SKBottleneck, depths, widths, stem, sk)


def sk_resnet18(
    num_classes: int = 10,
    in_channels: int = 3,
    make_se: MakeSE | None = None,
    *,
    stem: Stem = "cifar",
    width: float = 1.0,
    **sk: Any,
) -> SKNet:
    """ResNet-18 with SK[2, 2, 16] for the first 3×3 convolution of every unit; arguments as in `sknet`.

    Two branches of two groups have as many weights and multiply-adds as the one 3×3 convolution that they replace, so
    this network costs what ResNet-18 of the same width does, but for the attention. It is ours, not the paper's.
    """
    widths = scaled((64, 64, 128, 256, 512), width)
    return SKNet(num_classes, in_channels, make_se, SKBasic, (2, 2, 2, 2), widths, stem, {"groups": 2} | sk)
