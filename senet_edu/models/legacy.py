"""Weights in the layout of timm's `legacy_seresnet50` and its kin: the released Caffe models, converted by others."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

# theirs to ours; longer names that begin the same way do not exist
PREFIXES = {"layer0.conv1.": "conv1.", "layer0.bn1.": "bn1.", "last_linear.": "fc."}


def from_legacy_senet(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of timm's `legacy_seresnet50`, `101`, `152`, `legacy_seresnext50_32x4d` or `101_32x4d` under our names.

    They fit ``create_model("se_resnet50", num_classes=1000, stem="imagenet", variant="caffe")`` and its kin:

    =======================================  ==============================  ==============
    theirs                                   ours                            shape
    =======================================  ==============================  ==============
    layer0.conv1.weight, layer0.bn1.*        conv1.weight, bn1.*             as it is
    layer1.0.conv1.weight, … downsample.1.*  the same                        as it is
    layer1.0.se_module.fc1.weight, .bias     layer1.0.se.fc1.weight, .bias   [C/r, C, 1, 1] to [C/r, C]
    layer1.0.se_module.fc2.weight, .bias     layer1.0.se.fc2.weight, .bias   [C, C/r, 1, 1] to [C, C/r]
    last_linear.weight, .bias                fc.weight, .bias                as it is
    =======================================  ==============================  ==============

    Raises:
        ValueError: weights of `legacy_seresnet18` or `34`, whose units have a ReLU before the SE block and are no
            networks of the paper's; of `legacy_senet154`; or in no such layout at all.
    """
    if "layer0.conv1.weight" not in state_dict or "last_linear.weight" not in state_dict:
        raise ValueError("these are no weights of a legacy SENet: they have no layer0.conv1 and last_linear")
    if "layer0.conv2.weight" in state_dict:
        raise ValueError("these are SENet-154's weights: its stem has three convolutions, a ResNet's has one")
    if "layer1.0.conv3.weight" not in state_dict:
        raise ValueError("these are of a network of basic units with a ReLU before SE: no network here computes that")
    ours = {}
    for name, value in state_dict.items():
        for theirs, mine in PREFIXES.items():
            if name.startswith(theirs):
                name = mine + name.removeprefix(theirs)
        if ".se_module." in name:
            name = name.replace(".se_module.", ".se.")
            value = value.flatten(1) if value.dim() == 4 else value  # a 1×1 convolution on [N, C, 1, 1] is linear
        ours[name] = value
    return ours
