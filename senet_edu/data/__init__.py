"""Images to learn on: CIFAR-10 from wherever it is, or worlds drawn by the package.

Everywhere: images uint8 [n, 3, 32, 32], labels int64 [n]; Tiny-ImageNet's have 64×64 pixels, a folder's any number,
MNIST's one channel of 28×28.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from senet_edu.data import cache, decode, download
from senet_edu.data.closer import enlarge, soften
from senet_edu.data.folder import FolderImages, Images, image_folder
from senet_edu.data.mnist import MNIST_CLASSES, load_mnist, mnist_source
from senet_edu.data.sources import (
    CIFAR10_CLASSES,
    DataError,
    DataNotFoundError,
    Source,
    Split,
    check_split,
    cifar10_source,
)
from senet_edu.data.synthetic import SHAPES_CLASSES, hue_xor, shapes
from senet_edu.data.tiny_imagenet import TINY_IMAGENET_CLASSES, load_tiny_imagenet, tiny_imagenet_source

__all__ = [
    "CIFAR10_CLASSES",
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "MNIST_CLASSES",
    "SHAPES_CLASSES",
    "TINY_IMAGENET_CLASSES",
    "DataError",
    "DataNotFoundError",
    "Dataset",
    "FolderImages",
    "Images",
    "Source",
    "balanced_subset",
    "cifar10_source",
    "enlarge",
    "hold_out",
    "hue_xor",
    "image_folder",
    "load_cifar10",
    "load_course_data",
    "load_course_mnist",
    "load_mnist",
    "load_tiny_imagenet",
    "mnist_source",
    "shapes",
    "soften",
    "tiny_imagenet_source",
]

# of the original training images, red, green and blue, when 0 to 255 is scaled to 0 to 1
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)


@dataclass(frozen=True)
class Dataset:
    """One split. `about` says in a sentence what the images are; a chapter prints it before anything else."""

    images: Tensor  # uint8 [n, 3, 32, 32], MNIST's [n, 1, 28, 28]
    labels: Tensor  # int64 [n]
    classes: tuple[str, ...]
    name: str  # "CIFAR-10", "MNIST" or "shapes"
    about: str

    def __len__(self) -> int:
        return len(self.labels)


def load_cifar10(root: str | Path | None = None, split: Split = "train") -> tuple[Tensor, Tensor]:
    """CIFAR-10: uint8 images [n, 3, 32, 32], int64 labels [n], n = 50,000 or 10,000 for the official files.

    From, in order: `root`; the environment variable SENET_EDU_CIFAR10; an earlier download; the download
    (unless SENET_EDU_OFFLINE is set). A path may be a folder or an archive (.tar.xz, .tar.gz, .tar, .zip) of
    cifar-10-batches-py, or of images in train/<class>/ and test/<class>/. The decoded images are cached.
    Raises DataError for wrong or damaged data, DataNotFoundError when there are none and none can be fetched,
    ValueError for another split than "train" or "test".
    """
    check_split(root, split)
    source = cifar10_source(root)
    if source.kind == "download":
        download.download(download.CIFAR10_URLS, source.path, download.CIFAR10_MD5)
        source = cifar10_source(root)
    key = cache.identity(source)
    cached = cache.load(key, split)
    if cached is not None:
        return cached
    decoded = decode.decode(source.path)
    for name, (images, labels) in decoded.items():
        cache.save(key, name, images, labels)
    return decoded[split]


_looked_in_vain: dict[tuple[str | None, ...], str] = {}  # in this process: the settings, and what came out


def load_course_data(split: Split = "train", *, root: str | Path | None = None) -> Dataset:
    """CIFAR-10 as `load_cifar10` finds it; where there is none at all, `shapes`, and `about` says so.

    `shapes`: 10,000 training images (seed 0), 2,000 test images (seed 1). A search that failed is not
    repeated in this process, so both splits come from one world. Raises DataError for data that are wrong.
    """
    check_split(root, split)
    found, why_not = _search("CIFAR10", root, lambda: load_cifar10(root, split))
    if found:
        about = f"CIFAR-10, {len(found[1]):,} {split} images: {cifar10_source(root).description}."
        return Dataset(*found, CIFAR10_CLASSES, "CIFAR-10", about)
    images, labels = _course_shapes(split)
    about = f"NOT CIFAR-10: {len(labels):,} {split} images of `shapes`, a world drawn by this package. "
    return Dataset(images, labels, SHAPES_CLASSES, "shapes", about + why_not)


def load_course_mnist(split: Split = "train", *, root: str | Path | None = None) -> Dataset:
    """MNIST as `load_mnist` finds it; where there is none at all, grey `shapes` of the same size, and `about` says so.

    `shapes`: 10,000 training images (seed 0), 2,000 test images (seed 1), the mean of the colours, cut to 28×28. A
    search that failed is not repeated in this process. Raises DataError for data that are wrong.
    """
    check_split(root, split)
    found, why_not = _search("MNIST", root, lambda: load_mnist(root, split))
    if found:
        about = f"MNIST, {len(found[1]):,} images to {split}: {mnist_source(root).description}."
        return Dataset(*found, MNIST_CLASSES, "MNIST", about)
    images, labels = _course_shapes(split)
    grey = images.float().mean(1, keepdim=True).round().byte()[:, :, 2:30, 2:30]  # [n, 1, 28, 28]
    about = f"NOT MNIST: {len(labels):,} images to {split} of `shapes`, a world drawn by this package, without colour. "
    return Dataset(grey, labels, SHAPES_CLASSES, "shapes", about + why_not)


def _search(
    name: str, root: str | Path | None, load: Callable[[], tuple[Tensor, Tensor]]
) -> tuple[tuple[Tensor, Tensor] | None, str]:
    """What `load` finds, or None and why there is nothing. A search that failed is not repeated in this process."""
    settings = (f"SENET_EDU_{name}", "SENET_EDU_OFFLINE", "SENET_EDU_CACHE")
    place = (name, None if root is None else str(root), *(os.environ.get(setting) for setting in settings))
    if place not in _looked_in_vain:
        try:
            return load(), ""
        except DataNotFoundError as error:
            _looked_in_vain[place] = str(error)
    return None, _looked_in_vain[place]


def _course_shapes(split: str) -> tuple[Tensor, Tensor]:
    return shapes(10_000, seed=0) if split == "train" else shapes(2_000, seed=1)


def balanced_subset(labels: Tensor, per_class: int, seed: int) -> Tensor:
    """Indices (int64 [classes · per_class], shuffled) of `per_class` items of each class 0 to labels.max().

    Raises ValueError when a class has too few, naming it, and when `per_class` is not positive.
    """
    if per_class < 1:
        raise ValueError(f"per_class is {per_class}, not a positive number")
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for label in range(int(labels.max()) + 1):
        members = (labels == label).nonzero().squeeze(1)
        if len(members) < per_class:
            raise ValueError(f"class {label} has {len(members)} items, too few for {per_class}")
        chosen.append(members[torch.randperm(len(members), generator=generator)[:per_class]])
    indices = torch.cat(chosen)
    return indices[torch.randperm(len(indices), generator=generator)]


def hold_out(labels: Tensor, per_class: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices to train on (in order) and indices held out (`per_class` of each class, shuffled); no overlap.

    Raises ValueError as `balanced_subset` does.
    """
    held = balanced_subset(labels, per_class, seed)
    kept = torch.ones(len(labels), dtype=torch.bool)
    kept[held] = False
    return kept.nonzero().squeeze(1), held
