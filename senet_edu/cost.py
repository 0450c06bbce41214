"""What attention costs: weights, multiply-adds, and equation 5."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from senet_edu.blocks import SEBlock


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

    Counted by PyTorch's own counter, which takes two operations for a multiply-add and counts convolutions and matrix
    products only. The image is empty (meta device): nothing is computed.
    """
    import copy

    from torch.utils.flop_counter import FlopCounterMode

    meta = copy.deepcopy(model).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        meta(torch.empty(1, *size, device="meta"))
    return counter.get_total_flops() // 2
