"""SENet-154, the network of the ILSVRC 2017 entry (section 5 and the appendix of the SENet paper).

It is a ResNeXt-152 of 64×4d with SE and seven changes. Four are arguments here and of `create_model`: (a) the first 1×1
convolution of a unit has half the channels, (b) the stem has three 3×3 convolutions instead of one of 7×7, (c) a skip
that halves the resolution does it by a 3×3 convolution instead of a 1×1, (d) dropout before the classifier. The other
three belong to training: (e) `Recipe(label_smoothing=0.1)`, (f) BN frozen in the last epochs,
`Recipe(freeze_norms=…)`, (g) 64 GPUs, `Recipe(batch_size=2048, peak_rate=1.0)`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import Tensor, nn

from senet_edu.models.parts import conv_norm, he_normal, named_se, scaled
from senet_edu.models.registry import MakeSE
from senet_edu.placement.residual import BottleneckUnit, Placement, se_channels


class GroupedUnit(BottleneckUnit):
    """1×1, grouped 3×3 (which has the stride) and 1×1 convolutions and a skip.

    Args:
        in_channels: of the input.
        reduced: of the first 1×1 convolution.
        out_channels: of the 3×3 convolution and of the output.
        stride, groups: of the 3×3 convolution.
        projection: kernel of the skip's convolution where it halves the resolution.
        se, placement: the SE block and its place.
    """

    def __init__(
        self,
        in_channels: int,
        reduced: int,
        out_channels: int,
        stride: int,
        groups: int,
        projection: int,
        se: nn.Module,
        placement: Placement,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, reduced, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(reduced)
        self.conv2 = nn.Conv2d(reduced, out_channels, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv3 = nn.Conv2d(out_channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.se, self.placement = se, placement
        self.downsample = None
        if stride > 1 or in_channels != out_channels:
            self.downsample = conv_norm(in_channels, out_channels, projection if stride > 1 else 1, stride)


class SENet154(nn.Module):
    """SENet-154 for images [N, in_channels, H, W] of about 224×224; logits [N, num_classes].

    Args:
        num_classes: number of logits.
        in_channels: channels of the input images.
        make_se: makes the SE block for so many channels; None for the network without SE.
        depths: units in stages 2 to 5.
        halve_first: change (a), the first 1×1 convolution of each unit has half the channels.
        deep_stem: change (b), three 3×3 convolutions instead of one of 7×7.
        projection: change (c), the kernel of the convolution on a skip that halves the resolution: 3, or 1 without it.
        dropout: change (d), share of the features that is dropped before the classifier; 0 without it.
        width: factor on the number of groups, and with it on all channel counts.
        placement: of the SE block in a unit.
        stages: those with SE.

    Raises:
        ValueError: a `projection` that is neither 1 nor 3, or a `width` that leaves no channels.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        make_se: MakeSE | None = None,
        *,
        depths: Sequence[int] = (3, 8, 36, 3),
        halve_first: bool = True,
        deep_stem: bool = True,
        projection: int = 3,
        dropout: float = 0.2,
        width: float = 1.0,
        placement: Placement = "standard",
        stages: Collection[int] = (2, 3, 4, 5),
    ) -> None:
        super().__init__()
        if projection not in (1, 3):
            raise ValueError(f"projection is the kernel of the skip's convolution, 1 or 3, not {projection}")
        (groups,) = scaled((64,), width)
        layers = [(groups, 3, 2), (groups, 3, 1), (2 * groups, 3, 1)] if deep_stem else [(groups, 7, 2)]
        self.stem = nn.Sequential()
        channels = in_channels
        for out_channels, kernel, stride in layers:
            self.stem.append(conv_norm(channels, out_channels, kernel, stride).append(nn.ReLU()))
            channels = out_channels
        self.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)  # as in the released model: no padding

        for stage, depth in enumerate(depths, start=2):
            out_channels = 4 * groups * 2 ** (stage - 2)  # 64 groups of 4 channels, in later stages of 8, 16 and 32
            reduced = out_channels // 2 if halve_first else out_channels
            units = []
            for i in range(1, depth + 1):
                stride = 2 if stage > 2 and i == 1 else 1
                se = named_se(make_se, stages, se_channels(placement, channels, out_channels, out_channels), stage, i)
                units.append(GroupedUnit(channels, reduced, out_channels, stride, groups, projection, se, placement))
                channels = out_channels
            setattr(self, f"layer{stage - 1}", nn.Sequential(*units))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)
        he_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.stem(x))  # [N, 128, H/4, W/4]
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.layer4(x)
        x = self.dropout(x.mean(dim=(2, 3)))  # [N, 2048]
        return self.fc(x)
