"""ResNets as He et al. (arXiv 1512.03385) define them, and ResNeXts, with or without SE in every unit.

Names of layers are torchvision's, so that its weights fit. Stages are numbered 2 to 5 as in the papers: stage 1 is the
stem, and `layer1` to `layer4` are stages 2 to 5.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from senet_edu.models.parts import FourStages, conv_norm, he_normal, named_se, scaled, stem_layers
from senet_edu.models.registry import MakeSE, Stem, Variant
from senet_edu.placement.residual import BasicUnit, BottleneckUnit, Placement, se_channels

STAGES = (2, 3, 4, 5)


class BasicBlock(BasicUnit):
    """Two 3×3 convolutions and a skip; the first has the stride."""

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int, se: nn.Module, placement: Placement = "standard"
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.se, self.placement = se, placement
        self.downsample = projection(in_channels, width, stride)


class Bottleneck(BottleneckUnit):
    """1×1, 3×3 and 1×1 convolutions and a skip.

    Args:
        in_channels: of the unit's input.
        width: of the stage; the unit puts out four times as many channels.
        stride: of the 3×3 convolution, or with `stride_first` of the first 1×1 (the papers' Caffe networks).
        se, placement: the SE block and its place.
        groups, group_width: of the 3×3 in a ResNeXt; at 64 channels it has `groups`·`group_width` of them.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        se: nn.Module,
        placement: Placement = "standard",
        groups: int = 1,
        group_width: int = 64,
        stride_first: bool = False,
    ) -> None:
        super().__init__()
        out_channels = width * self.expansion
        width = middle_width(width, groups, group_width)
        strides = (stride, 1) if stride_first else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, width, 1, strides[0], bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, strides[1], padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.se, self.placement = se, placement
        self.downsample = projection(in_channels, out_channels, stride)


def middle_width(width: int, groups: int = 1, group_width: int = 64) -> int:
    """Channels of the 3×3 convolution: `width` in a ResNet, in a ResNeXt 32×4d twice as many in 32 groups."""
    return int(width * group_width / 64) * groups


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The skip: the input itself where the shapes agree, else a 1×1 convolution and BN."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return conv_norm(in_channels, out_channels, 1, stride)


class ResNet(FourStages):
    """A ResNet for images [N, in_channels, H, W] (normalised, see `senet_edu.data`); logits [N, num_classes].

    Stem "cifar" is one 3×3 convolution at full resolution; "imagenet" is 7×7 with stride 2 and a 3×3 max pooling.
    Stages 2 to 5 have `width`·(64, 128, 256, 512) channels (times 4 after a bottleneck), and all but the first of
    them halve the resolution. SE blocks carry their name in the paper's way in `.name`: SE_{stage}_{block}.

    Variant "caffe" is the paper's network and its released weights': max pooling without padding that keeps what is
    left at the border (ceil mode), and a bottleneck's stride on its first 1×1 convolution. (A ResNeXt's stride stays
    on the 3×3, there too.)
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        make_se: MakeSE | None,
        *,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        stem: Stem = "cifar",
        width: float = 1.0,
        variant: Variant = "torchvision",
        placement: Placement = "standard",
        stages: Collection[int] = STAGES,
        groups: int = 1,
        group_width: int = 64,
    ) -> None:
        super().__init__()
        widths = scaled((64, 128, 256, 512), width)
        if min(middle_width(w, groups, group_width) for w in widths) < 1:
            raise ValueError(f"width = {width} leaves a stage without channels")
        caffe = variant == "caffe"
        pool = nn.MaxPool2d(3, 2, padding=0 if caffe else 1, ceil_mode=caffe)
        self.conv1, self.maxpool = stem_layers(in_channels, widths[0], stem, pool)
        self.bn1 = nn.BatchNorm2d(widths[0])
        bottleneck: dict[str, Any] = {}
        if block is Bottleneck:
            bottleneck = {"groups": groups, "group_width": group_width}
            bottleneck["stride_first"] = caffe and groups == 1

        channels = widths[0]
        for stage, (depth, stage_width) in enumerate(zip(depths, widths, strict=True), start=2):
            blocks = []
            for i in range(depth):
                out_channels = stage_width * block.expansion
                gated = se_channels(placement, channels, middle_width(stage_width, groups, group_width), out_channels)
                se = named_se(make_se, stages, gated, stage, i + 1)
                stride = 2 if stage > 2 and i == 0 else 1
                blocks.append(block(channels, stage_width, stride, se, placement, **bottleneck))
                channels = out_channels
            setattr(self, f"layer{stage - 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, num_classes)
        he_normal(self)
