"""Networks that torchvision and timm have: built there, changed in place by `placement.insert`.

timm is an extra: ``pip install timm``. Nothing is downloaded: weights start at their first values.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

import torch
from torch import nn

from senet_edu.models.registry import MakeSE
from senet_edu.placement import insert

Net = TypeVar("Net", bound=nn.Module)


def vgg16(
    num_classes: int, in_channels: int, make_se: MakeSE | None, stages: Collection[int] | None = None
) -> nn.Module:
    """torchvision's VGG-16 with BN: 13 convolutions in five pooling blocks, and three large linear layers."""
    from torchvision.models import vgg16_bn

    return finish(vgg16_bn(num_classes=num_classes), in_channels, make_se, stages)


def googlenet(
    num_classes: int, in_channels: int, make_se: MakeSE | None, stages: Collection[int] | None = None
) -> nn.Module:
    """torchvision's GoogLeNet (with BN, and 3×3 where the paper has 5×5), without its auxiliary classifiers."""
    from torchvision.models import googlenet

    net = googlenet(num_classes=num_classes, aux_logits=False, init_weights=True)
    return finish(net, in_channels, make_se, stages)


def inception_v3(
    num_classes: int, in_channels: int, make_se: MakeSE | None, stages: Collection[int] | None = None
) -> nn.Module:
    """torchvision's Inception v3, without its auxiliary classifier; images of at least 75×75."""
    from torchvision.models import inception_v3

    net = inception_v3(num_classes=num_classes, aux_logits=False, init_weights=True)
    return finish(net, in_channels, make_se, stages)


def mobilenet_v1(
    num_classes: int, in_channels: int, make_se: MakeSE | None, stages: Collection[int] | None = None
) -> nn.Module:
    """timm's MobileNet v1 (1.0, 224): 13 pairs of a depthwise and a pointwise convolution."""
    return from_timm("mobilenetv1_100", num_classes, in_channels, make_se, stages)


def inception_resnet_v2(
    num_classes: int, in_channels: int, make_se: MakeSE | None, stages: Collection[int] | None = None
) -> nn.Module:
    """timm's Inception-ResNet-v2: 10, 20 and 10 residual modules; images of at least 75×75."""
    return from_timm("inception_resnet_v2", num_classes, in_channels, make_se, stages)


def mobilenet_v3_small(num_classes: int, in_channels: int, make_se: None = None) -> nn.Module:
    """torchvision's small MobileNetV3 as it comes: nine units have SE of its own (r about 4, hard sigmoid)."""
    from torchvision.models import mobilenet_v3_small

    return finish(mobilenet_v3_small(num_classes=num_classes), in_channels, None, None)


def from_timm(
    name: str, num_classes: int, in_channels: int, make_se: MakeSE | None, stages: Collection[int] | None
) -> nn.Module:
    """timm's network of that name, with SE if `make_se` is given.

    Raises:
        ModuleNotFoundError: timm is not installed.
    """
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{name} is timm's: pip install timm") from error
    net = timm.create_model(name, num_classes=num_classes, in_chans=in_channels)
    return net if make_se is None else insert(net, make_se, stages=stages)


def finish(net: Net, in_channels: int, make_se: MakeSE | None, stages: Collection[int] | None) -> Net:
    """torchvision's networks take three channels; for others another first convolution, whose kernels are those of the
    old one's channels, over and over. Then SE, if asked for."""
    if in_channels != 3:
        name, first = next((n, m) for n, m in net.named_modules() if isinstance(m, nn.Conv2d))
        settings: dict[str, Any] = {key: getattr(first, key) for key in ("kernel_size", "stride", "padding")}
        conv = nn.Conv2d(in_channels, first.out_channels, bias=first.bias is not None, **settings)
        with torch.no_grad():
            conv.weight.copy_(first.weight[:, [i % 3 for i in range(in_channels)]])
            if conv.bias is not None and first.bias is not None:
                conv.bias.copy_(first.bias)
        net.set_submodule(name, conv)
    return net if make_se is None else insert(net, make_se, stages=stages)
