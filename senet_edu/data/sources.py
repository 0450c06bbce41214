"""Where CIFAR-10 comes from: a path the reader gives, an earlier download, or the download."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
Split = Literal["train", "test"]
SPLITS = get_args(Split)

OFFICIAL_ARCHIVE = "cifar-10-python.tar.gz"
OFFICIAL_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
JPEG_SHA256 = "6a5b580f6e6c7f6a9d3dd7c047bbb633ab1a7a4b20a58331f450a68f2113dd3c"

BATCH_FOLDER = "cifar-10-batches-py"
BATCH_MD5 = {  # as torchvision.datasets.CIFAR10 checks them; the order is the order of the images
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}

WAYS_OUT = (
    "Three ways to get the real data: give a path (load_cifar10(root=...)), set SENET_EDU_CIFAR10 to a path, "
    "or go online (and unset SENET_EDU_OFFLINE) so that it can be fetched."
)


class DataError(RuntimeError):
    """The data are there but wrong. The message names the file and says what to do."""


class DataNotFoundError(DataError):
    """No data anywhere, and no download possible. The message says how to get them."""


@dataclass(frozen=True)
class Kind:
    """What the readers and the cache must know of a data set."""

    name: str  # of its files in the cache
    side: int  # height and width of its images
    classes: tuple[str, ...]


CIFAR10 = Kind("cifar10", 32, CIFAR10_CLASSES)


@dataclass(frozen=True)
class Source:
    """Where the images come from. `sha256` is the archive file's, None for a folder or a download to come."""

    kind: Literal["batches", "archive", "folder", "download"]
    path: Path
    sha256: str | None
    description: str


def cifar10_source(root: str | Path | None = None) -> Source:
    """Say where CIFAR-10 would come from, without decoding or fetching anything.

    In order: `root`; the environment variable SENET_EDU_CIFAR10; an earlier download; the download.
    Raises DataError when the path given by the first two is wrong (there is no fall-through),
    DataNotFoundError when nothing is there and SENET_EDU_OFFLINE forbids the download.
    """
    given = root if root is not None else os.environ.get("SENET_EDU_CIFAR10") or None
    if given is not None:
        return _given_source(Path(given).expanduser())
    path = cache_folder() / OFFICIAL_ARCHIVE
    if os.path.isfile(path) and sha256_of(path) == OFFICIAL_SHA256:
        return _archive_source(path)
    if offline():
        raise DataNotFoundError(f"No copy of CIFAR-10 here, and SENET_EDU_OFFLINE is set. {WAYS_OUT}")
    return Source("download", path, None, "the original CIFAR-10, fetched from its host or a mirror")


def check_split(root: str | Path | None, split: str) -> None:
    """A ValueError for a split that there is not, or that was given in the place of the path."""
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, not one of {', '.join(SPLITS)}")
    if isinstance(root, str) and root in SPLITS and not Path(root).exists():
        raise ValueError(f"the first argument is a path, and {root!r} is none; a split is given as split={root!r}")


def offline() -> bool:
    """SENET_EDU_OFFLINE is set: nothing may be fetched."""
    return os.environ.get("SENET_EDU_OFFLINE", "0") not in ("", "0")


def cache_folder() -> Path:
    """The folder for downloads and decoded images: SENET_EDU_CACHE, else the system's place for caches."""
    if chosen := os.environ.get("SENET_EDU_CACHE"):
        return Path(chosen).expanduser()
    system = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return (Path(system) if system else Path.home() / ".cache") / "senet-edu"


def sha256_of(path: Path) -> str:
    """The file's sha256 in hex; hashed once a process while its size and time of change stay the same.

    Raises DataError when it cannot be read.
    """
    try:
        status = path.stat()
        return _sha256(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from error


@lru_cache(maxsize=32)
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _given_source(path: Path) -> Source:
    """A path the reader gave, told apart by what lies there; raises DataError when it cannot be used."""
    if os.path.isfile(path):
        return _archive_source(path)
    if not os.path.isdir(path):
        raise DataError(f"{path}: no such file or folder. Correct the path (root or SENET_EDU_CIFAR10).")
    for folder in (path, path / BATCH_FOLDER):
        if any(os.path.isfile(folder / name) for name in BATCH_MD5):
            return Source("batches", folder, None, f"the original CIFAR-10 batches ({BATCH_FOLDER})")
    if any(os.path.isdir(path / split) for split in SPLITS):
        return Source("folder", path, None, f"CIFAR-10 images from the folder {path.name}")
    raise DataError(
        f"{path}: neither {BATCH_FOLDER} nor train/<class>/ and test/<class>/ are in this folder. "
        "Give one that has them, or an archive of it (.tar.xz, .tar.gz, .tar, .zip)."
    )


def _archive_source(path: Path) -> Source:
    sha256 = sha256_of(path)
    descriptions = {
        OFFICIAL_SHA256: f"all 60,000 original CIFAR-10 images ({OFFICIAL_ARCHIVE})",
        JPEG_SHA256: "all 60,000 CIFAR-10 images as JPEG of quality 75 "
        "(slightly lossy; accuracies compare only with runs on this copy)",
    }
    other = f"CIFAR-10 images from the archive {path.name} (sha256 {sha256[:12]}…)"
    return Source("archive", path, sha256, descriptions.get(sha256, other))
