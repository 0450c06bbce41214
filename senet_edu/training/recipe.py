"""What a training run is made of: the recipe, its learning rate, its weight decay, its augmentation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from senet_edu.blocks import is_se
from senet_edu.data import CIFAR10_MEAN, CIFAR10_STD, Images
from senet_edu.selective import SKConv

Schedule = Literal["one-cycle", "triangular"]


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are the recipe of the recorded quarter-width runs (chapter 05 says how it was chosen).

    Attributes:
        epochs: passes over the images.
        batch_size: images a step, over all processes together; rounded down to a multiple of their number.
        peak_rate: highest learning rate of SGD with Nesterov momentum.
        momentum: of SGD.
        weight_decay: on every parameter outside the SE layers.
        decay_norms: also on the gains and biases of BN and on the classifier's bias. Off by default: the decay shrinks
            what BN puts out, hence z, hence how far the gates move (chapter 05).
        se_weight_decay: on W₁, W₂ and their biases, and on the layers W, A, B, … of an SK convolution. Zero by default:
            with decay at a high rate W₂ goes to zero, every gate to σ(0) = 0.5, and the BN before the block absorbs the
            constant (chapter 05); attention over branches would likewise go to 1/M.
        se_rate: learning rate of the same layers, as a multiple of the rest's.
        schedule: "one-cycle" rises and falls along half cosines, "triangular" along straight lines.
        warmup: share of all steps before the peak.
        label_smoothing: share of the target spread over all classes.
        freeze_norms: epochs at the end with BN frozen: running statistics in place of the batch's, gains and biases no
            longer trained (change (f) of SENet-154).
        flip: mirror half of the images, left to right.
        translate: shift by up to so many pixels each way, the border reflected.
        cutout: side in pixels of a square that is blanked; 0 for none.

    Raises:
        ValueError: a value that makes no sense; the message names it.
    """

    epochs: int = 8
    batch_size: int = 128
    peak_rate: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay_norms: bool = False
    se_weight_decay: float = 0.0
    se_rate: float = 1.0
    schedule: Schedule = "triangular"
    warmup: float = 0.2
    label_smoothing: float = 0.05
    freeze_norms: int = 0
    flip: bool = True
    translate: int = 1
    cutout: int = 0

    def __post_init__(self) -> None:
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"schedule is one of {get_args(Schedule)}, not {self.schedule!r}")
        for name in ("epochs", "batch_size"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: a whole number, at least 1")
        for name in ("warmup", "label_smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: a share, 0 to 1")
        if self.momentum >= 1:
            raise ValueError(f"momentum = {self.momentum}: below 1")
        if self.freeze_norms > self.epochs:
            raise ValueError(f"freeze_norms = {self.freeze_norms}: there are {self.epochs} epochs")
        rates = ("peak_rate", "momentum", "weight_decay", "se_weight_decay", "se_rate")
        for name in (*rates, "freeze_norms", "translate", "cutout"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: not below 0")


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Learning rate at `progress`, the share of all steps already done (0 to 1).

    It rises from a tenth of the peak and falls to zero.
    """
    rising = progress < recipe.warmup or recipe.warmup == 1
    share = progress / recipe.warmup if rising else (1 - progress) / (1 - recipe.warmup)  # 0 to 1, then 1 to 0
    if recipe.schedule == "one-cycle":
        share = (1 - math.cos(math.pi * share)) / 2
    return recipe.peak_rate * (0.1 + 0.9 * share if rising else share)


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Groups for the optimiser: the SE and SK layers, gains and biases outside them, and all other weights.

    Each has its weight decay, and in "multiple" its learning rate over that of the schedule.
    """
    se = [p for m in model.modules() for layer in gate_layers(m) for p in layer.parameters()]
    in_se = {id(p) for p in se}
    rest = [p for p in model.parameters() if id(p) not in in_se]
    gains = [p for p in rest if p.dim() < 2]
    weights = [p for p in rest if p.dim() > 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay, "multiple": 1.0},
        {"params": gains, "weight_decay": recipe.weight_decay if recipe.decay_norms else 0.0, "multiple": 1.0},
        {"params": se, "weight_decay": recipe.se_weight_decay, "multiple": recipe.se_rate},
    ]
    return [group for group in groups if group["params"]]


def norms(model: nn.Module) -> list[nn.Module]:
    """Its batch normalisations."""
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def gate_layers(module: nn.Module) -> list[nn.Module]:
    """What makes gates or attention in a module itself: an SE block, or both layers of an SK convolution."""
    if is_se(module):
        return [module]
    return [module.fc1, module.fc2] if isinstance(module, SKConv) and module.attends else []


@dataclass(frozen=True)
class EpochPlan:
    """All that is random about one epoch, drawn before it starts.

    It depends on the seed and the epoch's number alone, so a resumed run, another device or another number of
    processes sees the same images in the same order, moved in the same way.

    Attributes:
        order: index of the image at each place [n].
        mirrored: bool [n], as all that follows by place in the order.
        shift: pixels down and right [n, 2].
        hole: row and column of the centre of the blanked square [n, 2].
    """

    order: Tensor
    mirrored: Tensor
    shift: Tensor
    hole: Tensor

    @classmethod
    def draw(cls, n: int, size: Sequence[int], recipe: Recipe, seed: int, epoch: int) -> EpochPlan:
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        order = torch.randperm(n, generator=generator)
        mirrored = torch.rand(n, generator=generator) < (0.5 if recipe.flip else 0.0)
        shift = torch.randint(-recipe.translate, recipe.translate + 1, (n, 2), generator=generator)
        hole = (torch.rand(n, 2, generator=generator) * torch.tensor(size)).long()
        return cls(order, mirrored, shift, hole)

    def to(self, device: torch.device) -> EpochPlan:
        return EpochPlan(*(t.to(device) for t in (self.order, self.mirrored, self.shift, self.hole)))

    def batch(self, images: Tensor, places: slice, recipe: Recipe) -> tuple[Tensor, Tensor]:
        """The images at `places` of the order: flipped, shifted, normalised, blanked; and their indices."""
        index = self.order[places]
        return self.augment(images[index], places, recipe), index

    def batches(self, images: Images, places: Sequence[slice], recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
        """`batch` of each of `places` in turn. Images of a folder are read ahead while the network computes."""
        if isinstance(images, Tensor):
            for place in places:
                yield self.batch(images, place, recipe)
        else:
            read = images.batches([self.order[place] for place in places])
            for place, pixels in zip(places, read, strict=True):
                yield self.augment(pixels, place, recipe), self.order[place]

    def augment(self, pixels: Tensor, places: slice, recipe: Recipe) -> Tensor:
        """uint8 [n, C, H, W] to float32, as drawn for `places`."""
        batch = move(pixels, self.mirrored[places], self.shift[places])
        batch = normalise(batch)
        return blank(batch, self.hole[places], recipe.cutout)


def move(images: Tensor, mirrored: Tensor, shift: Tensor) -> Tensor:
    """Flip and shift a whole batch with one gather, the border reflected. [n, C, H, W] of any type, in and out."""
    n, _, height, width = images.shape
    device = images.device
    rows = reflect(torch.arange(height, device=device) - shift[:, :1], height)  # [n, H]
    columns = reflect(torch.arange(width, device=device) - shift[:, 1:], width)  # [n, W]
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    image = torch.arange(n, device=device)[:, None, None]
    moved = images[image, :, rows[:, :, None], columns[:, None, :]]  # [n, H, W, C]
    return moved.movedim(-1, 1)  # [n, C, H, W]


def reflect(positions: Tensor, size: int) -> Tensor:
    """Fold positions outside 0 … size-1 back inside, as between two mirrors at the outermost pixels."""
    positions = positions.remainder(max(2 * (size - 1), 1))  # there and back again is one period
    return torch.where(positions >= size, 2 * (size - 1) - positions, positions)


def normalise(images: Tensor) -> Tensor:
    """uint8 [n, C, H, W] to float32 with CIFAR-10's mean and standard deviation (their average on grey images).

    Raises:
        ValueError: the images are of another type.
    """
    if images.dtype != torch.uint8:
        raise ValueError(f"images are uint8, 0 to 255, and normalised here; these are {images.dtype}")
    mean = torch.tensor(CIFAR10_MEAN, device=images.device)
    std = torch.tensor(CIFAR10_STD, device=images.device)
    if images.shape[1] != 3:
        mean, std = mean.mean().expand(images.shape[1]), std.mean().expand(images.shape[1])
    return (images.float() / 255 - mean[:, None, None]) / std[:, None, None]


def blank(images: Tensor, hole: Tensor, side: int) -> Tensor:
    """Cutout (arXiv 1708.04552): a square of `side` pixels around `hole` set to zero, the mean after `normalise`."""
    if side == 0:
        return images
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device) - hole[:, :1] + side // 2  # [n, H], 0 … side-1 inside
    columns = torch.arange(width, device=images.device) - hole[:, 1:] + side // 2  # [n, W]
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    return images.masked_fill(inside[:, None], 0.0)
