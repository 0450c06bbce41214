"""From files to tensors: JPEG and PNG images in class folders, or the official CIFAR-10 batches."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

import torch
from torch import Tensor

from senet_edu.data.archives import read_files
from senet_edu.data.sources import BATCH_MD5, CIFAR10, CIFAR10_CLASSES, SPLITS, DataError, Kind

Pair = tuple[Tensor, Tensor]  # images and labels
BATCH_IMAGES = 10_000


def decode(path: Path) -> dict[str, Pair]:
    """Decode both splits in one pass over a folder or archive.

    Returns {"train": (images, labels), "test": (images, labels)}: images uint8 [n, 3, 32, 32], labels int64
    [n] in the original numbering. Images from class folders are sorted by class, then by file name.
    Raises DataError, naming the file, for anything that is not CIFAR-10 in one of the two layouts.
    """
    batches: dict[str, Pair] = {}
    pictures: dict[str, dict[tuple[int, str], bytes]] = {split: {} for split in SPLITS}
    tops = set()
    for name, content in read_files(path):
        base = PurePosixPath(name).name
        if base in BATCH_MD5:
            batches[base] = _decode_batch(path, name, content)
            continue
        top, split, label = _place(path, name)
        tops.add(top)
        if len(tops) > 1 or (label, base) in pictures[split]:
            raise DataError(f"{path}: {name!r} is there twice, or beside a second set of images. Keep one.")
        pictures[split][label, base] = decode_image(path, name, content, CIFAR10.side)
    if batches:
        return _join_batches(path, batches)
    return {split: stack(path, split, found, CIFAR10) for split, found in pictures.items()}


def _place(path: Path, name: str) -> tuple[str, str, int]:
    """'top/train/cat/0001.jpg' -> ('top', 'train', 3); the top folder may be missing."""
    *top, split, folder, _ = ("", "", *PurePosixPath(name).parts)
    top = [part for part in top if part]
    if len(top) > 1 or split not in SPLITS or folder not in CIFAR10_CLASSES:
        raise DataError(
            f"{path}: {name!r} is not at train/<class>/ or test/<class>/ with a class of CIFAR-10 "
            f"({', '.join(CIFAR10_CLASSES)}). Move or remove it."
        )
    return "".join(top), split, CIFAR10_CLASSES.index(folder)


def decode_image(path: Path, name: str, content: bytes, side: int) -> bytes:
    """The image's side · side · 3 bytes, row by row; greyscale and palettes become RGB."""
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            if image.size != (side, side):  # known from the header, before anything large is decoded
                raise DataError(f"{path}: {name!r} is {image.width}×{image.height}, not {side}×{side}. Remove it.")
            return to_rgb(image).tobytes()
    except DataError:
        raise
    except Exception as error:  # the decoders raise many kinds for damaged bytes
        raise DataError(f"{path}: {name!r} does not decode as JPEG or PNG: fetch it again ({error})") from error


def to_rgb(image: Image) -> Image:
    """From grey, a palette, CMYK; a ValueError for more than 8 bits a channel, which Pillow would cut off at 255."""
    if image.mode[0] in "IF":
        raise ValueError("it has more than 8 bits a channel; save it with 8")
    return image.convert("RGB")


def stack(path: Path, split: str, pictures: dict[tuple[int, str], bytes], kind: Kind) -> Pair:
    """Images of one split, by label and file name, as tensors in that order; every class must have some."""
    labels = torch.tensor(sorted(label for label, _ in pictures), dtype=torch.int64)
    counts = torch.bincount(labels, minlength=len(kind.classes)).tolist()
    missing = [name for name, count in zip(kind.classes, counts, strict=True) if count == 0]
    if missing:
        raise DataError(f"{path}: no {split} images of {', '.join(missing)} ({split}/<class>/*.jpg or .png).")
    pixels = bytearray().join(pictures[key] for key in sorted(pictures))
    images = torch.frombuffer(pixels, dtype=torch.uint8).view(-1, kind.side, kind.side, 3)
    return images.permute(0, 3, 1, 2).contiguous(), labels


class _BatchUnpickler(pickle.Unpickler):
    """Rebuilds numpy arrays and nothing else: no other name in the file is ever looked up."""

    def find_class(self, module: str, name: str) -> Any:
        import numpy

        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): numpy.empty(0).__reduce__()[0],
            ("numpy", "ndarray"): numpy.ndarray,
            ("numpy", "dtype"): numpy.dtype,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a CIFAR-10 batch")
        return allowed[module, name]


def _decode_batch(path: Path, name: str, content: bytes) -> Pair:
    """One official batch. It is a pickle, so it is opened only when it is torchvision's, byte for byte."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != BATCH_MD5[PurePosixPath(name).name]:
        raise DataError(f"{path}: {name!r} is not the official file (md5 {md5}), so not opened: fetch it again.")
    try:
        batch = _BatchUnpickler(io.BytesIO(content), encoding="latin1").load()
        images = torch.from_numpy(batch["data"]).view(-1, 3, 32, 32)
        labels = torch.tensor(batch["labels"], dtype=torch.int64)
    except Exception as error:
        raise DataError(f"{path}: {name!r} is not a CIFAR-10 batch: fetch it again ({error})") from error
    if len(images) != BATCH_IMAGES or labels.shape != (BATCH_IMAGES,) or images.dtype != torch.uint8:
        raise DataError(f"{path}: {name!r} does not hold {BATCH_IMAGES:,} images and labels: fetch it again.")
    return images, labels


def _join_batches(path: Path, batches: dict[str, Pair]) -> dict[str, Pair]:
    missing = [name for name in BATCH_MD5 if name not in batches]
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} missing: fetch it again.")
    train = [batches[name] for name in BATCH_MD5 if name != "test_batch"]
    images, labels = (torch.cat(parts) for parts in zip(*train, strict=True))
    return {"train": (images, labels), "test": batches["test_batch"]}
