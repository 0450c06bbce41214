"""MNIST: 70,000 handwritten digits, 28×28, one channel, from wherever they are.

Two files a split in the idx format: big-endian 32-bit numbers (what the file holds, how many, and for images the height
and width), then one byte a pixel or label. They are small and decode in a moment, so no decoded copy is cached.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path

import torch
from torch import Tensor

from senet_edu.data import download
from senet_edu.data.sources import (
    SPLITS,
    DataError,
    DataNotFoundError,
    Source,
    Split,
    cache_folder,
    check_split,
    offline,
)

MNIST_CLASSES = tuple("0123456789")
SIDE = 28  # pixels
HOSTS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
FILES = {  # images and labels of a split
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
MD5 = {  # of the packed files, as torchvision.datasets.MNIST checks them
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
MAGIC = {1: 0x0801, 3: 0x0803}  # unsigned bytes with one axis (labels) or three (images)
HELD_OUT = 200  # of each digit, where there are only the 10,000 test images to train and to test on

WAYS_OUT = (
    "Three ways to get it: give a folder (load_mnist(root=...)) with the four idx files, packed (.gz) or not, set "
    "SENET_EDU_MNIST to that folder, or go online (and unset SENET_EDU_OFFLINE) so that it can be fetched."
)


def load_mnist(root: str | Path | None = None, split: Split = "train") -> tuple[Tensor, Tensor]:
    """MNIST: uint8 images [n, 1, 28, 28], int64 labels [n], n = 60,000 or 10,000 for the official files.

    From, in order: the folder `root`; that of the environment variable SENET_EDU_MNIST; an earlier download; the
    download (12 MB, unless SENET_EDU_OFFLINE is set). A folder holds the idx files, packed (.gz) or not, itself or in
    MNIST/raw/, where torchvision puts them. If it has only the test files, 200 images of each digit are "test" and the
    others "train" (8,000 of the official 10,000). Raises DataError for wrong or damaged data, DataNotFoundError when
    there are none and none can be fetched, ValueError for another split than "train" or "test".
    """
    check_split(root, split)
    source = mnist_source(root)
    if source.kind == "download":
        for name, md5 in MD5.items():
            download.download([host + name for host in HOSTS], source.path / name, md5, ways_out=WAYS_OUT)
    if all(has(source.path, "train")):
        return read_pair(source.path, split)
    images, labels = read_pair(source.path, "test")
    kept, held = divide(labels, source.path)
    chosen = kept if split == "train" else held
    return images[chosen], labels[chosen]


def mnist_source(root: str | Path | None = None) -> Source:
    """Say where MNIST would come from, without decoding or fetching anything; see `load_mnist`.

    Raises DataError when the folder given is wrong (there is no fall-through), DataNotFoundError when nothing is there
    and SENET_EDU_OFFLINE forbids the download.
    """
    given = root if root is not None else os.environ.get("SENET_EDU_MNIST") or None
    if given is not None:
        return given_source(Path(given).expanduser())
    folder = cache_folder() / "mnist"
    if all((folder / name).is_file() for name in MD5):
        return Source("folder", folder, None, "the original 70,000 images, fetched earlier")
    if offline():
        raise DataNotFoundError(f"No copy of MNIST here, and SENET_EDU_OFFLINE is set. {WAYS_OUT}")
    return Source("download", folder, None, "the original 70,000 images, fetched from a mirror of their host")


def given_source(path: Path) -> Source:
    """A folder that the reader gave; raises DataError when it cannot be used."""
    if not path.is_dir():
        raise DataError(f"{path}: no such folder. Correct the path (root or SENET_EDU_MNIST).")
    folder = path / "MNIST" / "raw" if (path / "MNIST" / "raw").is_dir() else path
    there = {split: has(folder, split) for split in SPLITS}
    for split, pair in there.items():
        if any(pair) and not all(pair):
            raise DataError(f"{folder}: {FILES[split][pair.index(False)]} is missing. Fetch it, packed (.gz) or not.")
    if not all(there["test"]):
        raise DataError(f"{folder}: no {' and '.join(FILES['test'])} in this folder, packed (.gz) or not.")
    if all(there["train"]):
        return Source("folder", folder, None, f"from the folder {path.name}")
    only = f"from the folder {path.name}, which has only the test files, divided into images to train and to test on"
    return Source("folder", folder, None, only)


def has(folder: Path, split: str) -> list[bool]:
    """Whether the images and the labels of a split are there, packed or not."""
    return [any((folder / (name + end)).is_file() for end in ("", ".gz")) for name in FILES[split]]


def divide(labels: Tensor, folder: Path) -> tuple[Tensor, Tensor]:
    """Indices to train on and to test on, HELD_OUT of each digit; DataError when a digit has too few."""
    from senet_edu.data import hold_out

    try:
        return hold_out(labels, HELD_OUT, seed=0)
    except ValueError as error:
        name = FILES["test"][1]
        raise DataError(f"{folder / name}: {error} test images. Give all of the official files.") from error


def read_pair(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    """Images [n, 1, 28, 28] and labels [n] of a split. DataError, naming the file, for anything wrong in them."""
    images_name, labels_name = FILES[split]
    images = read_idx(folder, images_name, axes=3)  # [n, H, W]
    labels = read_idx(folder, labels_name, axes=1)  # [n]
    if images.shape[1:] != (SIDE, SIDE):
        size = "×".join(str(side) for side in images.shape[1:])
        raise DataError(f"{folder / images_name}: its images have {size} pixels, MNIST's have 28×28.")
    if len(images) != len(labels):
        raise DataError(f"{folder / labels_name}: {len(labels):,} labels for {len(images):,} images. Fetch both again.")
    if int(labels.max()) > 9:
        raise DataError(f"{folder / labels_name}: a label is {int(labels.max())}; MNIST's are 0 to 9. Fetch it again.")
    return images[:, None], labels.long()


def read_idx(folder: Path, name: str, axes: int) -> Tensor:
    """The bytes of an idx file as uint8 with so many axes; unpacked where only NAME.gz is there.

    Raises DataError, naming the file: not readable, not the published .gz, another kind of idx file, empty, cut off.
    """
    path = folder / name if (folder / name).is_file() else folder / f"{name}.gz"
    try:
        content = path.read_bytes()
        content = unpack(path, content) if path.suffix == ".gz" else content
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from error
    header = 4 * (1 + axes)  # bytes
    magic, *shape = (int.from_bytes(content[i : i + 4], "big") for i in range(0, header, 4))
    if len(content) < header or magic != MAGIC[axes]:
        raise DataError(f"{path}: does not begin like an idx file of MNIST ({MAGIC[axes]:#06x}). Fetch it again.")
    expected = header + math.prod(shape)
    if shape[0] == 0 or len(content) != expected:
        told = "×".join(f"{n:,}" for n in shape)
        raise DataError(f"{path}: {len(content):,} bytes, where its header tells of {told}. Fetch it again.")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=header).reshape(shape)


def unpack(path: Path, content: bytes) -> bytes:
    """What a published .gz file holds. The checksum comes first: Fashion-MNIST's files bear the same names."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != MD5[path.name]:
        raise DataError(f"{path}: not MNIST's published file (its md5 is {md5}, not {MD5[path.name]}). Fetch it again.")
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:  # cannot be, with that checksum
        raise DataError(f"{path}: cannot be unpacked ({error}). Fetch it again.") from error
