"""torchvision's residual units with the five places of `residual`: the classes that `add_se` gives to a ResNet's units.

Imported only when a torchvision ResNet is at hand, so that `import senet_edu` does not wait for torchvision.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models import resnet

from senet_edu.placement.residual import BasicUnit, BottleneckUnit, Placement, se_channels


class SEBasicBlock(BasicUnit, resnet.BasicBlock):
    """torchvision's BasicBlock, computed by `BasicUnit.forward`."""


class SEBottleneck(BottleneckUnit, resnet.Bottleneck):
    """torchvision's Bottleneck, computed by `BottleneckUnit.forward`."""


WITH_SE: dict[type[nn.Module], type[nn.Module]] = {
    resnet.BasicBlock: SEBasicBlock,
    resnet.Bottleneck: SEBottleneck,
}


def channels_at(unit: Any, placement: Placement) -> int:
    """C of an SE block at this place in a torchvision unit."""
    last = getattr(unit, "conv3", unit.conv2)
    return se_channels(placement, unit.conv1.in_channels, unit.conv2.out_channels, last.out_channels)


def put_into(unit: Any, se: nn.Module, placement: Placement) -> None:
    """Give the unit the class that calls `se` at this place. Its layers, weights and their names stay."""
    unit.__class__ = WITH_SE[type(unit)]
    unit.se, unit.placement = se, placement
