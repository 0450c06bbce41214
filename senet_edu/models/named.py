"""The named networks, one entry each; see `registry.Network` for what the fields say."""

from __future__ import annotations

from typing import Any

from senet_edu.models.bn_inception import BNInception
from senet_edu.models.preact import PreActResNet, basic, bottleneck
from senet_edu.models.registry import Network, register
from senet_edu.models.resnet import BasicBlock, Bottleneck, ResNet
from senet_edu.models.senet154 import SENet154
from senet_edu.models.sknet import sk_resnet18, sknet

RESNET: dict[str, Any] = {
    "build": ResNet,
    "options": ("stem", "width", "variant", "placement", "stages"),
    "stems": ("cifar", "imagenet"),
}
SKNET: dict[str, Any] = {"options": ("stem", "width"), "with_se": False, "stems": ("imagenet", "cifar")}
PREACT: dict[str, Any] = {
    "build": PreActResNet,
    "options": ("width", "stages"),
    "stems": ("cifar",),
    "stages": (2, 3, 4),
    "size": (3, 32, 32),
    "num_classes": 10,
}

register(Network("resnet18", source="SENet, no table", own={"block": BasicBlock, "depths": (2, 2, 2, 2)}, **RESNET))
register(Network("resnet34", source="SENet, no table", own={"block": BasicBlock, "depths": (3, 4, 6, 3)}, **RESNET))
register(Network("resnet50", source="SENet, table 2", own={"block": Bottleneck, "depths": (3, 4, 6, 3)}, **RESNET))

register(Network("sknet50", sknet, source="SKNet, tables 1 and 2", printed=(4.47, None), **SKNET))
register(
    Network("sknet101", sknet, source="SKNet, table 2", own={"depths": (3, 4, 23, 3)}, printed=(8.46, None), **SKNET)
)
register(
    Network(
        "sk_resnet18", sk_resnet18, source="ours, not the SKNet paper's", **SKNET | {"stems": ("cifar", "imagenet")}
    )
)
register(
    Network(
        "bn_inception",
        BNInception,
        source="SENet, table 2",
        options=("width", "stages"),
        stages=(3, 4, 5),
        printed=(2.03, 2.04),
    )
)
register(
    Network("senet154", SENet154, source="SENet, section 5", options=("width", "placement", "stages"), plain=False)
)
register(Network("preact_resnet110", source="SENet, tables 4 and 5", own={"convolutions": basic}, **PREACT))
register(Network("preact_resnet164", source="SENet, tables 4 and 5", own={"convolutions": bottleneck}, **PREACT))
