"""Two worlds drawn from a seed: `shapes`, in place of CIFAR-10, and `hue_xor`, which needs global context.

Every draw is from a generator of its own, so the global random state is not touched. Noise is drawn as whole
numbers: the same seed gives the same bytes.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHAPES_CLASSES = (
    "disc", "ring", "square", "triangle", "cross",
    "horizontal bars", "vertical bars", "diagonal bars", "checkerboard", "star",
)  # fmt: skip
SIZE = 32  # pixels


def shapes(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Ten classes of figures, each as frequent as n allows: uint8 images [n, 3, 32, 32], int64 labels [n].

    Place, size, both colours, the background's gradient and the noise vary freely, so neither a colour nor a
    mean tells the class; the figure does. Raises ValueError when n is negative.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = _balanced_labels(n, len(SHAPES_CLASSES), generator)
    images = torch.empty(n, 3, SIZE, SIZE, dtype=torch.uint8)
    for label in range(len(SHAPES_CLASSES)):
        members = (labels == label).nonzero().squeeze(1)
        images[members] = _draw_shape(label, len(members), generator)
    return images, labels


def hue_xor(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Frame red or blue, motif of horizontal or vertical bars; the label is their XOR.

    Returns uint8 images [n, 3, 32, 32] and int64 labels [n] (0 or 1); the four combinations are as frequent
    as n allows. The frame is in rows and columns 0, 1, 30 and 31, the motif within 9 to 22: their nearest
    pixels are 8 apart, and a receptive field of 7 never sees both. Raises ValueError when n is negative.
    """
    generator = torch.Generator().manual_seed(seed)
    combinations = _balanced_labels(n, 4, generator)
    is_blue, is_vertical = combinations % 2, combinations // 2

    row = torch.arange(SIZE).view(1, SIZE, 1)
    column = torch.arange(SIZE).view(1, 1, SIZE)
    border = torch.minimum(row, column).minimum(SIZE - 1 - row).minimum(SIZE - 1 - column)  # [1, 32, 32]
    frame = border < _integers(1, 3, n, generator)  # [n, 32, 32], 1 or 2 pixels wide
    top, left = _integers(9, 14, n, generator), _integers(9, 14, n, generator)
    inside = (row >= top) & (row < top + 10) & (column >= left) & (column < left + 10)
    across = torch.where(is_vertical.view(n, 1, 1) == 1, column - left, row - top)
    bars = inside & (across % 4 < 2)

    images = torch.full((n, 3, SIZE, SIZE), 40.0)
    hue = torch.zeros(n, 3)
    hue[torch.arange(n), 2 * is_blue] = _uniform(180, 250, n, generator)  # channel 0 is red, 2 is blue
    images = torch.where(frame.unsqueeze(1), hue.view(n, 3, 1, 1), images)
    images = torch.where(bars.unsqueeze(1), _uniform(170, 250, n, generator).view(n, 1, 1, 1), images)
    return _with_noise(images, 10, generator), is_blue ^ is_vertical


def _draw_shape(label: int, n: int, generator: torch.Generator) -> Tensor:
    """n images of one class: uint8 [n, 3, 32, 32]."""
    radius = _uniform(6, 11, n, generator).view(n, 1, 1)
    middle = (SIZE - 1) / 2
    shift_y, shift_x = (_uniform(-1, 1, n, generator).view(n, 1, 1) * (middle - radius) for _ in "yx")
    pixel = torch.arange(SIZE, dtype=torch.float32) - middle
    y = (pixel.view(1, SIZE, 1) - shift_y) / radius  # [n, 32, 1], -1 to 1 inside the figure
    x = (pixel.view(1, 1, SIZE) - shift_x) / radius  # [n, 1, 32]
    figure = _figure(SHAPES_CLASSES[label], x, y).unsqueeze(1)  # [n, 1, 32, 32]

    ramp_y, ramp_x = (_uniform(-0.5, 0.5, n, generator).view(n, 1, 1) for _ in "yx")
    ramp = (ramp_y * pixel.view(1, SIZE, 1) + ramp_x * pixel.view(1, 1, SIZE)) / SIZE  # [n, 32, 32], -½ to ½
    slope = _uniform(-60, 60, 3 * n, generator).view(n, 3, 1, 1)
    background = _uniform(40, 215, 3 * n, generator).view(n, 3, 1, 1)
    # another colour, at a distance that can be seen: each channel moves by 50 to 110, up or down
    step = _uniform(50, 110, 3 * n, generator) * (2 * _integers(0, 2, 3 * n, generator).flatten() - 1)
    colour = background + step.view(n, 3, 1, 1)
    return _with_noise(torch.where(figure, colour, background + slope * ramp.unsqueeze(1)), 20, generator)


def _figure(name: str, x: Tensor, y: Tensor) -> Tensor:
    """Which pixels belong to the figure: bool [n, 32, 32] from x [n, 1, 32] and y [n, 32, 1] (downwards)."""
    distance = (x * x + y * y).sqrt()
    in_square = torch.maximum(x.abs(), y.abs()) < 0.9
    match name:
        case "disc":
            return distance < 1
        case "ring":
            return (distance < 1) & (distance > 0.55)
        case "square":
            return in_square
        case "triangle":
            return (y < 0.8) & (y > 2 * x.abs() - 1)
        case "cross":
            return in_square & (torch.minimum(x.abs(), y.abs()) < 0.3)
        case "horizontal bars":
            return in_square & _stripes(y)
        case "vertical bars":
            return in_square & _stripes(x)
        case "diagonal bars":
            return in_square & _stripes((x + y) / 2**0.5)
        case "checkerboard":
            return in_square & (_stripes(x) ^ _stripes(y))
        case _:
            return distance < 0.65 + 0.35 * torch.cos(5 * torch.atan2(x, -y))  # a star of five points


def _stripes(along: Tensor) -> Tensor:
    return torch.remainder(along + 0.9, 0.72) < 0.36  # five stripes across a square, three of them set


def _balanced_labels(n: int, classes: int, generator: torch.Generator) -> Tensor:
    if n < 0:
        raise ValueError(f"n is {n}, not a number of images")
    return (torch.arange(n) % classes)[torch.randperm(n, generator=generator)]


def _uniform(low: float, high: float, n: int, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=generator)


def _integers(low: int, high: int, n: int, generator: torch.Generator) -> Tensor:
    """[n, 1, 1], from low to high - 1."""
    return torch.randint(low, high, (n, 1, 1), generator=generator)


def _with_noise(images: Tensor, amount: int, generator: torch.Generator) -> Tensor:
    """Add to each value the sum of two whole numbers from -amount to amount; uint8, the same shape."""
    for _ in range(2):
        noise = torch.randint(-amount, amount + 1, images.shape, generator=generator, dtype=torch.int16)
        images = images + noise
    return images.clamp(0, 255).to(torch.uint8)
