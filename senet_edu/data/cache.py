"""Decoded images, kept on disk so that the second start of a chapter takes less than a second.

One safetensors file a split, named by the identity of its source. A file appears whole or not at all, and is
believed only when its checksum fits. Files of a source that has changed since are not found any more and stay:
`senet-edu doctor` says where the cache is and how large; it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from senet_edu.data.archives import folder_files
from senet_edu.data.sources import CIFAR10, Kind, Source, cache_folder
from senet_edu.files import write_atomically

FORMAT = 1  # raise it when the meaning of the files changes: old ones are then decoded again
DAY = 24 * 3600.0  # seconds


def identity(source: Source, listing: Callable[[Path], list[Path]] = folder_files) -> str:
    """A hex digest that changes with the source: an archive's sha256; a folder's names, sizes and times."""
    if source.sha256:
        return source.sha256
    digest = hashlib.sha256()
    for file in listing(source.path):
        status = file.stat()
        digest.update(
            f"{file.relative_to(source.path)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(
                errors="surrogateescape"
            )
        )
    return digest.hexdigest()


def load(key: str, split: str, kind: Kind = CIFAR10) -> tuple[Tensor, Tensor] | None:
    """The decoded split of the source with identity `key`; None if not there, or, with a warning, damaged."""
    from safetensors import safe_open

    path = _path(key, split, kind)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            kept = file.metadata()
            # copies: the file may be replaced while its tensors are in use
            images, labels = (file.get_tensor(name).clone() for name in ("images", "labels"))
        _check(images, labels, kind)
        if kept != _metadata(key, split, images, labels):
            raise ValueError("its checksum does not fit")
    except Exception as error:  # safetensors' own errors, a missing tensor, a wrong shape
        warnings.warn(f"{path} is damaged ({error}); decoding the images again.", stacklevel=2)
        return None
    return images, labels


def save(key: str, split: str, images: Tensor, labels: Tensor, kind: Kind = CIFAR10) -> None:
    """Keep a decoded split. When the disk is full or read-only: a warning, since nothing is lost but time."""
    from safetensors.torch import save as to_bytes

    content = to_bytes({"images": images, "labels": labels}, _metadata(key, split, images, labels))
    path = _path(key, split, kind)
    try:
        _remove_dead_attempts(path.parent)
        write_atomically(path, lambda temporary: Path(temporary).write_bytes(content))
    except OSError as error:
        warnings.warn(f"{path} could not be written ({error.strerror}); going on without.", stacklevel=2)


def _path(key: str, split: str, kind: Kind) -> Path:
    return cache_folder() / f"{kind.name}-{key[:16]}-{split}.safetensors"


def _metadata(key: str, split: str, images: Tensor, labels: Tensor) -> dict[str, str]:
    checksum = zlib.crc32(labels.numpy().data, zlib.crc32(images.numpy().data))
    facts = {"format": FORMAT, "source": key, "split": split, "crc32": f"{checksum:08x}"}
    return {"senet_edu": json.dumps(facts)}  # one entry, since safetensors writes several in any order


def _check(images: Tensor, labels: Tensor, kind: Kind) -> None:
    if images.dtype != torch.uint8 or images.shape != (len(labels), 3, kind.side, kind.side):
        raise ValueError(f"its images are {images.dtype} {list(images.shape)}")
    if labels.dtype != torch.int64 or not set(labels.unique().tolist()) <= set(range(len(kind.classes))):
        raise ValueError("its labels are not those of the data set")


def _remove_dead_attempts(folder: Path) -> None:
    """Delete what processes that were killed while writing left behind, once it is a day old."""
    for file in folder.glob(".*.safetensors-*.tmp"):
        try:
            if time.time() - file.stat().st_mtime > DAY:
                file.unlink()
        except OSError:
            pass  # another process was quicker
