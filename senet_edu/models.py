"""Named networks: ResNets as He et al. (arXiv 1512.03385) define them, with or without SE in every block.

Names of layers are torchvision's, so that its weights fit. Stages are numbered 2 to 5 as in the papers: stage 1 is the
stem, and `layer1` to `layer4` are stages 2 to 5.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from senet_edu.blocks import Gate, SEBlock, Squeeze

Stem = Literal["cifar", "imagenet"]

STAGES = (2, 3, 4, 5)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a skip. With SE: on the branch, after its last BN and before the sum (figure 3)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, se: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.se = se
        self.downsample = projection(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        u = torch.relu(self.bn1(self.conv1(x)))
        u = self.bn2(self.conv2(u))
        return torch.relu(self.se(u) + self.downsample(x))


class Bottleneck(nn.Module):
    """1×1, 3×3 (which has the stride, as in torchvision) and 1×1 convolutions and a skip; SE as in `BasicBlock`."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, se: nn.Module) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.se = se
        self.downsample = projection(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        u = torch.relu(self.bn1(self.conv1(x)))
        u = torch.relu(self.bn2(self.conv2(u)))
        u = self.bn3(self.conv3(u))
        return torch.relu(self.se(u) + self.downsample(x))


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The skip: the input itself where the shapes agree, else a 1×1 convolution and BN."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class ResNet(nn.Module):
    """A ResNet for images [N, in_channels, H, W] (normalised, see `senet_edu.data`); logits [N, num_classes].

    Stem "cifar" is one 3×3 convolution at full resolution; "imagenet" is 7×7 with stride 2 and a 3×3 max pooling.
    Stages 2 to 5 have `width`·(64, 128, 256, 512) channels (times 4 after a bottleneck), and all but the first of
    them halve the resolution. SE blocks carry their name in the paper's way in `.name`: SE_{stage}_{block}.

    Attributes:
        config: the arguments of `create_model` that made it, as records keep them.
    """

    config: dict[str, Any]
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        make_se: partial[SEBlock] | None,
        stages: Collection[int],
        num_classes: int,
        in_channels: int,
        stem: Stem,
        width: float,
    ) -> None:
        super().__init__()
        widths = [round(width * w) for w in (64, 128, 256, 512)]
        if min(widths) < 1:
            raise ValueError(f"width = {width} leaves a stage without channels")
        if stem == "cifar":
            self.conv1 = nn.Conv2d(in_channels, widths[0], 3, 1, padding=1, bias=False)
            self.maxpool: nn.Module = nn.Identity()
        else:
            self.conv1 = nn.Conv2d(in_channels, widths[0], 7, 2, padding=3, bias=False)
            self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self.bn1 = nn.BatchNorm2d(widths[0])

        channels = widths[0]
        for stage, (depth, stage_width) in enumerate(zip(depths, widths, strict=True), start=2):
            blocks = []
            for i in range(depth):
                out_channels = stage_width * block.expansion
                se: nn.Module = nn.Identity()
                if make_se is not None and stage in stages:
                    se = make_se(out_channels)
                    se.name = f"SE_{stage}_{i + 1}"
                stride = 2 if stage > 2 and i == 0 else 1
                blocks.append(block(channels, stage_width, stride, se))
                channels = out_channels
            setattr(self, f"layer{stage - 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, num_classes)

        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.maxpool(x)
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.layer4(x)
        x = x.mean(dim=(2, 3))  # [N, C]; safe under autocast with channels_last, where AdaptiveAvgPool2d was not
        return self.fc(x)


RESNETS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}


def list_models() -> list[str]:
    """Names that `create_model` knows."""
    return [prefix + name for name in RESNETS for prefix in ("", "se_")]


def create_model(
    name: str,
    num_classes: int = 10,
    in_channels: int = 3,
    stem: Stem = "cifar",
    width: float = 1.0,
    reduction: int = 16,
    bias: bool = True,
    squeeze: Squeeze = "avg",
    gate: Gate = "sigmoid",
    min_hidden: int = 1,
    stages: Collection[int] = STAGES,
    pretrained: bool | str = False,
) -> ResNet:
    """Build a network by name: "resnet18", "se_resnet18", … (see `list_models`).

    Args:
        name: with the prefix "se_" every residual block of `stages` has an SE block.
        num_classes: number of logits.
        in_channels: channels of the input images.
        stem: "cifar" for images of about 32×32, "imagenet" for about 224×224.
        width: factor on all channel counts: 1.0 is 64 to 512 channels, 0.25 is 16 to 128.
        reduction, bias, squeeze, gate, min_hidden: of the SE blocks, see `SEBlock`; a plain network ignores them.
        stages: stages with SE, from 2 to 5 (table 13).
        pretrained: True loads the shipped weights of this very network, a string those of that name
            (see `senet_edu.results.list_weights`).

    Raises:
        ValueError: an unknown name, stem or stage, SE blocks without hidden units, or no such shipped weights.
    """
    base = name.removeprefix("se_")
    if base not in RESNETS:
        raise ValueError(f"no network {name!r}; there are {', '.join(list_models())}")
    if stem not in ("cifar", "imagenet"):
        raise ValueError(f"stem is 'cifar' or 'imagenet', not {stem!r}")
    if unknown := set(stages) - set(STAGES):
        raise ValueError(f"stages are numbered 2 to 5, not {sorted(unknown)}")
    block, depths = RESNETS[base]
    config = {"name": name, "num_classes": num_classes, "in_channels": in_channels, "stem": stem, "width": width}
    make_se = None
    if name != base:
        se: dict[str, Any] = {
            "reduction": reduction,
            "bias": bias,
            "squeeze": squeeze,
            "gate": gate,
            "min_hidden": min_hidden,
        }
        make_se = partial(SEBlock, **se)
        config |= se | {"stages": sorted(stages)}
    model = ResNet(block, depths, make_se, stages, num_classes, in_channels, stem, width)
    model.config = config
    if pretrained:
        from senet_edu.results import load_pretrained

        load_pretrained(model, config, pretrained)
    return model


def se_blocks(model: nn.Module) -> dict[str, SEBlock]:
    """The SE blocks of a network by the paper's names, SE_2_1 to SE_5_2 in a ResNet-18, in order of depth."""
    return {m.name: m for m in model.modules() if isinstance(m, SEBlock) and m.name}
