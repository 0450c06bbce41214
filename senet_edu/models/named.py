"""The named networks, one entry each; see `registry.Network` for what the fields say."""

from __future__ import annotations

from typing import Any

from senet_edu.models.registry import Network, register
from senet_edu.models.resnet import BasicBlock, Bottleneck, ResNet

RESNET: dict[str, Any] = {
    "build": ResNet,
    "options": ("stem", "width", "variant", "placement", "stages"),
    "stems": ("cifar", "imagenet"),
}

register(Network("resnet18", source="SENet, no table", own={"block": BasicBlock, "depths": (2, 2, 2, 2)}, **RESNET))
register(Network("resnet34", source="SENet, no table", own={"block": BasicBlock, "depths": (3, 4, 6, 3)}, **RESNET))
register(Network("resnet50", source="SENet, table 2", own={"block": Bottleneck, "depths": (3, 4, 6, 3)}, **RESNET))
