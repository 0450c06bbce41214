"""What attention costs: weights, multiply-adds, and equation 5."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from senet_edu.blocks import SEBlock

COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
FREE = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def parameters(model: nn.Module) -> int:
    """Weights and biases of a network, those of BN included."""
    return sum(p.numel() for p in model.parameters())


def se_parameters(model: nn.Module) -> int:
    """Those of them that sit in SE blocks, biases included."""
    return sum(p.numel() for m in model.modules() if isinstance(m, SEBlock) for p in m.parameters())


def added_weights(blocks: Mapping[int, int], reduction: int) -> float:
    """Equation 5: (2/r) Σ_s N_s C_s², the weights that SE adds to a network when its layers have no biases.

    Args:
        blocks: C_s to N_s: how many blocks put out so many channels, e.g. {64: 2, 128: 2, 256: 2, 512: 2} for
            ResNet-18. (Stages that share a width share an entry.)
        reduction: r. The formula is exact where r divides every C.

    Raises:
        ValueError: r is below 1.
    """
    if reduction < 1:
        raise ValueError(f"the reduction ratio must be at least 1: r = {reduction}")
    return 2 / reduction * sum(n * channels**2 for channels, n in blocks.items())


def multiply_adds(model: nn.Module, size: tuple[int, int, int] = (3, 32, 32)) -> int:
    """Multiply-adds of one forward pass on one image [C, H, W], as the paper counts its "GFLOPs".

    Each number that a convolution or a linear layer puts out is a product of one row of its weights with as many
    inputs. Norms, non-linearities, pooling and the multiplication by the gates are not counted. The image is empty
    (meta device): nothing is computed.

    Raises:
        ValueError: the network has weights in a layer that is neither convolution, linear layer nor norm.
    """
    meta = copy.deepcopy(model).to("meta").eval()
    total = 0

    def add(layer: Any, _inputs: Any, output: Tensor) -> None:
        nonlocal total
        total += output.numel() * layer.weight[0].numel()

    for layer in meta.modules():
        if isinstance(layer, COUNTED):
            layer.register_forward_hook(add)
        elif not isinstance(layer, FREE) and next(layer.parameters(recurse=False), None) is not None:
            raise ValueError(f"this counter does not know what a {type(layer).__name__} computes with its weights")
    with torch.no_grad():
        meta(torch.empty(1, *size, device="meta"))
    return total


def multiply_adds_by_torch(model: nn.Module, size: tuple[int, int, int] = (3, 32, 32)) -> int:
    """The same by PyTorch's own counter, which sees the operations and takes two for a multiply-add: a check."""
    from torch.utils.flop_counter import FlopCounterMode

    meta = copy.deepcopy(model).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        meta(torch.empty(1, *size, device="meta"))
    return counter.get_total_flops() // 2
