"""BN-Inception: Ioffe, Szegedy, "Batch Normalization" (arXiv 1502.03167), as the SENet paper's table 2 has it.

Ten modules in three stages, 3a to 3c, 4a to 4e, 5a and 5b; SE after each module's concatenation (figure 2). Channels
are those of the authors' released SE-BN-Inception: the pooling branches of 4c and 4d put out 128 channels there, and 96
in Ioffe and Szegedy's table.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from senet_edu.models.parts import conv_norm, he_normal, named_se, scaled
from senet_edu.models.registry import MakeSE


class Channels(NamedTuple):
    """Channels of a module's four branches. A module without `pool` halves the resolution and has no 1×1 branch.

    Attributes:
        one: of the 1×1 branch.
        three: of the 3×3 branch: its 1×1, its 3×3 convolution.
        double: of the branch with two 3×3 convolutions: its 1×1, both 3×3.
        pool: of the 1×1 convolution after the pooling.
        kind: of that pooling.
    """

    one: int
    three: tuple[int, int]
    double: tuple[int, int]
    pool: int
    kind: Literal["avg", "max"] = "avg"


MODULES = {
    "3a": Channels(64, (64, 64), (64, 96), 32),
    "3b": Channels(64, (64, 96), (64, 96), 64),
    "3c": Channels(0, (128, 160), (64, 96), 0),
    "4a": Channels(224, (64, 96), (96, 128), 128),
    "4b": Channels(192, (96, 128), (96, 128), 128),
    "4c": Channels(160, (128, 160), (128, 160), 128),
    "4d": Channels(96, (128, 192), (160, 192), 128),
    "4e": Channels(0, (128, 192), (192, 256), 0),
    "5a": Channels(352, (192, 320), (160, 224), 128),
    "5b": Channels(352, (192, 320), (192, 224), 128, "max"),
}


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution, BN and ReLU."""
    return conv_norm(in_channels, out_channels, kernel, stride).append(nn.ReLU())


class HalvingPool(nn.Module):
    """3×3 max pooling with stride 2, its windows from the first pixel on; n pixels become ⌈n/2⌉.

    For even n as in Caffe; for odd n one more, as the convolutions of stride 2 beside it put out.
    """

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = nn.functional.pad(x, (0, 1 + width % 2, 0, 1 + height % 2), value=-torch.inf)
        return nn.functional.max_pool2d(x, 3, 2)


class InceptionModule(nn.Module):
    """Branches side by side, concatenated: [N, C', H, W] to [N, C, H, W], or to half of H and W; SE after that.

    Attributes:
        out_channels: C.
    """

    def __init__(self, in_channels: int, channels: Channels, width: float) -> None:
        super().__init__()
        stride = 1 if channels.pool else 2
        reduce3, three, reduce33, double = scaled((*channels.three, *channels.double), width)
        self.branches = nn.ModuleList()
        self.out_channels = three + double
        if channels.one:
            (one,) = scaled((channels.one,), width)
            self.branches.append(conv(in_channels, one, 1))
            self.out_channels += one
        self.branches.append(nn.Sequential(conv(in_channels, reduce3, 1), conv(reduce3, three, 3, stride)))
        self.branches.append(
            nn.Sequential(conv(in_channels, reduce33, 1), conv(reduce33, double, 3), conv(double, double, 3, stride))
        )
        if channels.pool:
            (projected,) = scaled((channels.pool,), width)
            pool = nn.AvgPool2d if channels.kind == "avg" else nn.MaxPool2d
            self.branches.append(nn.Sequential(pool(3, 1, padding=1), conv(in_channels, projected, 1)))
            self.out_channels += projected
        else:
            self.branches.append(HalvingPool())
            self.out_channels += in_channels
        self.se: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.se(torch.cat([branch(x) for branch in self.branches], dim=1))


class BNInception(nn.Module):
    """BN-Inception for images [N, in_channels, H, W] of about 224×224; logits [N, num_classes].

    SE blocks are named by stage and place: SE_3_1 follows module 3a.

    Args:
        num_classes: number of logits.
        in_channels: channels of the input images.
        make_se: makes the SE block for so many channels; None for a plain network.
        width: factor on all channel counts.
        stages: those with SE, of 3 to 5.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        make_se: MakeSE | None = None,
        *,
        width: float = 1.0,
        stages: Collection[int] = (3, 4, 5),
    ) -> None:
        super().__init__()
        first, reduce, channels = scaled((64, 64, 192), width)
        self.stem = nn.Sequential(
            conv(in_channels, first, 7, 2),
            HalvingPool(),
            conv(first, reduce, 1),
            conv(reduce, channels, 3),
            HalvingPool(),
        )
        self.blocks = nn.ModuleDict()
        for name, of_module in MODULES.items():
            module = InceptionModule(channels, of_module, width)
            channels = module.out_channels
            module.se = named_se(make_se, stages, channels, int(name[0]), "abcde".index(name[1]) + 1)
            self.blocks[name] = module
        self.fc = nn.Linear(channels, num_classes)
        he_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # [N, 192, H/8, W/8]
        for module in self.blocks.values():
            x = module(x)
        x = x.mean(dim=(2, 3))  # [N, 1024]
        return self.fc(x)
