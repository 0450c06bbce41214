"""The five places of an SE block in a residual unit, as code: `at` is called where the block may stand.

Paper: figure 5 and tables 14 and 15. Layers have torchvision's names, so that these `forward`s serve its units too.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from senet_edu.blocks import SEBlock

Placement = Literal["standard", "pre", "post", "identity", "3x3"]


class ResidualUnit(nn.Module):
    """What basic and bottleneck units share: an SE block `se` (or an identity), and its place."""

    placement: Placement
    conv1: nn.Module
    bn1: nn.Module
    conv2: nn.Module
    bn2: nn.Module
    relu: nn.Module
    downsample: nn.Module | None
    se: nn.Module

    def at(self, place: Placement, x: Tensor) -> Tensor:
        """The SE block, if this is its place; else x [N, C, H, W] as it is."""
        return self.se(x) if self.placement == place else x

    def skip(self, x: Tensor) -> Tensor:
        """x, or its projection where the branch changes the shape."""
        return x if self.downsample is None else self.downsample(x)

    def extra_repr(self) -> str:
        return f"placement={self.placement}" if isinstance(self.se, SEBlock) and self.placement != "standard" else ""


class BasicUnit(ResidualUnit):
    """Two 3×3 convolutions and a skip; C is the unit's output width, C_in (placement pre) its input width."""

    def forward(self, x: Tensor) -> Tensor:
        skip = self.at("identity", self.skip(x))  # [N, C, H, W]
        u = self.at("pre", x)  # [N, C_in, H_in, W_in]
        u = self.relu(self.bn1(self.conv1(u)))
        u = self.at("3x3", u)  # [N, C, H, W]
        u = self.bn2(self.conv2(u))
        u = self.at("standard", u)  # [N, C, H, W]
        return self.at("post", self.relu(u + skip))


class BottleneckUnit(ResidualUnit):
    """1×1, 3×3 and 1×1 convolutions and a skip. The 3×3 has fewer channels, so SE after it (table 15) is cheaper."""

    conv3: nn.Module
    bn3: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        skip = self.at("identity", self.skip(x))  # [N, C, H, W]
        u = self.at("pre", x)  # [N, C_in, H_in, W_in]
        u = self.relu(self.bn1(self.conv1(u)))
        u = self.relu(self.bn2(self.conv2(u)))
        u = self.at("3x3", u)  # [N, C_mid, H, W]
        u = self.bn3(self.conv3(u))
        u = self.at("standard", u)  # [N, C, H, W]
        return self.at("post", self.relu(u + skip))


def se_channels(placement: Placement, in_channels: int, width: int, out_channels: int) -> int:
    """C of the SE block at this place in a unit, from the unit's input width, its 3×3's, and its output's."""
    return {"pre": in_channels, "3x3": width}.get(placement, out_channels)
