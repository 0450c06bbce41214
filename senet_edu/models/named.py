"""The named networks, one entry each; see `registry.Network` for what the fields say."""

from __future__ import annotations

from typing import Any

from senet_edu.models import borrowed
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
# The paper's ResNets are Caffe's; counts of weights are the same for both.
TORCHVISION = {"stem": "imagenet"}
CAFFE = {"stem": "imagenet", "variant": "caffe"}


def resnet(name: str, source: str, block: type, depths: tuple[int, ...], **more: Any) -> None:
    """A ResNet; with `groups` and `group_width` a ResNeXt."""
    own = {"block": block, "depths": depths} | {k: more.pop(k) for k in ("groups", "group_width") if k in more}
    register(Network(name, source=source, own=own, **RESNET, **more))


resnet("resnet18", "not in SENet; 1512.03385", BasicBlock, (2, 2, 2, 2), counted=TORCHVISION)
resnet("resnet34", "not in SENet; 1512.03385", BasicBlock, (3, 4, 6, 3), counted=TORCHVISION)
resnet("resnet50", "SENet, table 2", Bottleneck, (3, 4, 6, 3), counted=CAFFE, printed=(3.86, 3.87))
resnet("resnet101", "SENet, table 2", Bottleneck, (3, 4, 23, 3), counted=CAFFE, printed=(7.58, 7.60))
resnet("resnet152", "SENet, table 2", Bottleneck, (3, 8, 36, 3), counted=CAFFE, printed=(11.30, 11.32))
NEXT: dict[str, Any] = {"groups": 32, "group_width": 4, "counted": CAFFE}
resnet("resnext50", "SENet, table 2", Bottleneck, (3, 4, 6, 3), printed=(4.24, 4.25), **NEXT)
resnet("resnext101", "SENet, table 2", Bottleneck, (3, 4, 23, 3), printed=(7.99, 8.00), **NEXT)

CHOICES: dict[str, Any] = {"options": ("stages",)}
register(
    Network(
        "vgg16",
        borrowed.vgg16,
        "SENet, table 2",
        **CHOICES,
        stages=(1, 2, 3, 4, 5),
        smallest=32,
        printed=(15.47, 15.48),
    )
)
register(Network("googlenet", borrowed.googlenet, "not in SENet; 1409.4842", **CHOICES, stages=(3, 4, 5), smallest=32))
register(
    Network(
        "inception_v3",
        borrowed.inception_v3,
        "not in SENet; 1512.00567",
        **CHOICES,
        stages=(3, 4, 5),
        size=(3, 299, 299),
        smallest=75,
    )
)
register(
    Network(
        "inception_resnet_v2",
        borrowed.inception_resnet_v2,
        "SENet, table 2",
        **CHOICES,
        stages=(3, 4, 5),
        size=(3, 299, 299),
        smallest=75,
        printed=(11.75, 11.76),
        note="The authors' network is not released. timm's is TensorFlow-slim's, with 10, 20 and 10 residual modules; "
        "at 299×299 it costs more than the paper prints, at 224×224 about half of that.",
    )
)
register(
    Network(
        "mobilenet_v1",
        borrowed.mobilenet_v1,
        "SENet, table 3",
        **CHOICES,
        stages=(1, 2, 3, 4, 5),
        smallest=32,
        printed=(0.569, 0.572),
    )
)
register(
    Network(  # here for the SE blocks that torchvision gave it: their gates are recorded as those of ours
        "mobilenet_v3_small",
        borrowed.mobilenet_v3_small,
        "1905.02244, table 2",
        with_se=False,
        stages=(),
        smallest=32,
    )
)
register(
    Network(
        "bn_inception",
        BNInception,
        "SENet, table 2",
        options=("width", "stages"),
        stages=(3, 4, 5),
        printed=(2.03, 2.04),
    )
)
register(
    Network(
        "senet154",
        SENet154,
        "SENet, section 5 and appendix",
        options=("width", "placement", "stages"),
        more=("halve_first", "deep_stem", "projection", "dropout"),
        plain=False,
        smallest=3,
    )
)
PREACT: dict[str, Any] = {
    "build": PreActResNet,
    "source": "SENet, tables 4 and 5; 1603.05027",
    "options": ("width", "stages"),
    "stems": ("cifar",),
    "stages": (2, 3, 4),
    "size": (3, 32, 32),
    "num_classes": 10,
}
register(Network("preact_resnet110", own={"convolutions": basic}, **PREACT))
register(Network("preact_resnet164", own={"convolutions": bottleneck}, **PREACT))

SKNET: dict[str, Any] = {
    "options": ("stem", "width"),
    "more": ("reduction", "branches", "groups", "min_width", "dilations", "attention"),
    "with_se": False,
    "stages": (),
}
PAPER: dict[str, Any] = {"stems": ("imagenet", "cifar"), "smallest": 3}
register(Network("sknet50", sknet, "SKNet, table 2", printed=(4.47, None), **PAPER, **SKNET))
register(
    Network("sknet101", sknet, "SKNet, table 2", own={"depths": (3, 4, 23, 3)}, printed=(8.46, None), **PAPER, **SKNET)
)
register(
    Network(
        "sk_resnet18",
        sk_resnet18,
        "not in SKNet",
        stems=("cifar", "imagenet"),
        size=(3, 32, 32),
        num_classes=10,
        **SKNET,
    )
)
