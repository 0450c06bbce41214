"""Pictures from nearer by: the middle of an image enlarged, and a control that is only less sharp."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate


def enlarge(images: Tensor, factor: float) -> Tensor:
    """Show the middle 1/factor of each side on all of the image: what stands there looks `factor` times as large.

    Args:
        images: uint8 [n, C, H, W].
        factor: 1.0 gives the images themselves.

    Returns:
        uint8 [n, C, H, W], between pixels interpolated linearly. No detail is gained: see `soften`.

    Raises:
        ValueError: a factor below 1.
    """
    check(factor)
    n, _, _, _ = images.shape
    theta = images.new_tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]], dtype=torch.float32)  # [2, 3]
    where = affine_grid(theta.expand(n, 2, 3), list(images.shape), align_corners=False)  # [n, H, W, 2]
    seen = grid_sample(images.float(), where, padding_mode="border", align_corners=False)  # [n, C, H, W]
    return seen.round().to(images.dtype)


def soften(images: Tensor, factor: float) -> Tensor:
    """The images about as blurred as `enlarge` leaves them, and no larger: made smaller by `factor`, then large again.

    Making them large is the same step as in `enlarge`. Making them small loses what is finer than a pixel then; images
    with much of that lose more here than there (how much, for two data sets, is in the record sk-sizes).

    Args, returns, raises: as in `enlarge`.
    """
    check(factor)
    side = tuple(images.shape[-2:])
    small = tuple(max(1, round(n / factor)) for n in side)
    shrunk = interpolate(images.float(), small, mode="bicubic", antialias=True)  # [n, C, H/factor, W/factor]
    return interpolate(shrunk, side, mode="bilinear").round().clamp(0, 255).to(images.dtype)


def check(factor: float) -> None:
    if factor < 1:
        raise ValueError(
            f"the factor is {factor}: nothing is known of what lies beyond the border, so it is at least 1"
        )
