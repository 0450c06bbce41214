"""Twenty classes of Tiny-ImageNet (Stanford CS231N): ImageNet's photographs at 64×64, a harder task than CIFAR-10.

goldfish and cliff are among them, two of the four classes of the paper's figure of gates, and neighbours that differ
finely: three dogs, lemon and banana, alp, cliff, lakeside and seashore. For non-commercial research, as ImageNet's
terms say.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from torch import Tensor

from senet_edu.data import cache, download
from senet_edu.data.archives import IMAGE_SUFFIXES, read_files
from senet_edu.data.decode import decode_image, stack
from senet_edu.data.sources import (
    SPLITS,
    DataError,
    DataNotFoundError,
    Kind,
    Source,
    Split,
    cache_folder,
    check_split,
    offline,
    sha256_of,
)

WORDNET_IDS = {  # class: the name of its folder in the original archive
    "african_elephant": "n02504458",
    "alp": "n09193705",
    "banana": "n07753592",
    "bullet_train": "n02917067",
    "chihuahua": "n02085620",
    "cliff": "n09246464",
    "german_shepherd": "n02106662",
    "golden_retriever": "n02099601",
    "goldfish": "n01443537",
    "king_penguin": "n02056570",
    "lakeside": "n09332890",
    "lemon": "n07749582",
    "monarch_butterfly": "n02279972",
    "pizza": "n07873807",
    "red_panda": "n02509815",
    "school_bus": "n04146614",
    "seashore": "n09428293",
    "sports_car": "n04285008",
    "tabby_cat": "n02123045",
    "teapot": "n04398044",
}
TINY_IMAGENET_CLASSES = tuple(WORDNET_IDS)
KIND = Kind("tiny-imagenet-20", 64, TINY_IMAGENET_CLASSES)
LABELS = {name: i for i, pair in enumerate(WORDNET_IDS.items()) for name in pair}  # of either name

ARCHIVE = "tiny-imagenet-200.zip"
URLS = (f"http://cs231n.stanford.edu/{ARCHIVE}",)  # the checksum makes up for the missing s
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
ARCHIVE_BYTES = 248_100_043
JPEG_SHA256 = "a0601de3ca2c1f4dacac1eeab1011713b73323596d30984e6cedaef3b398fc3c"
ANNOTATIONS = "val_annotations.txt"  # file name, class and box of each validation image

WAYS_OUT = (
    f"Three ways to get it: give a path (load_tiny_imagenet(root=...)) to {ARCHIVE} or its folder, set "
    "SENET_EDU_TINY_IMAGENET to that path, or go online (and unset SENET_EDU_OFFLINE) so that it can be fetched."
)


def load_tiny_imagenet(root: str | Path | None = None, split: Split = "train") -> tuple[Tensor, Tensor]:
    """The twenty classes: uint8 images [n, 3, 64, 64], int64 labels [n], n = 10,000 or 1,000 for the official files.

    "test" is the original's validation part, since its test images have no labels. From, in order: `root`; the
    environment variable SENET_EDU_TINY_IMAGENET; an earlier download; the download (248 MB, unless SENET_EDU_OFFLINE
    is set). A path may be a folder or an archive (.zip, .tar.xz, .tar.gz, .tar), laid out as the original or with
    images in train/<class>/ and val/<class>/. Images are sorted by class, then by file name; the decoded ones are
    cached. Raises DataError for wrong or damaged data, DataNotFoundError when there are none and none can be fetched,
    ValueError for another split than "train" or "test".
    """
    check_split(root, split)
    source = tiny_imagenet_source(root)
    if source.kind == "download":
        patience = download.Patience(max_bytes=ARCHIVE_BYTES)
        download.download(URLS, source.path, MD5, patience, WAYS_OUT)
        source = tiny_imagenet_source(source.path)
    key = cache.identity(source, listing)
    cached = cache.load(key, split, KIND)
    if cached is not None:
        return cached
    decoded = decode(source.path)
    for name, (images, labels) in decoded.items():
        cache.save(key, name, images, labels, KIND)
    return decoded[split]


def tiny_imagenet_source(root: str | Path | None = None) -> Source:
    """Say where Tiny-ImageNet would come from, without decoding or fetching anything; see `load_tiny_imagenet`.

    Raises DataError when the path given is wrong, DataNotFoundError when nothing is there and SENET_EDU_OFFLINE
    forbids the download.
    """
    given = root if root is not None else os.environ.get("SENET_EDU_TINY_IMAGENET") or None
    if given is None:
        given = cache_folder() / ARCHIVE
        whole = given.is_file() and given.stat().st_size == ARCHIVE_BYTES
        if not whole and not offline():
            return Source("download", given, None, "20 classes of Tiny-ImageNet, fetched from its host")
        if not given.is_file():
            raise DataNotFoundError(f"No copy of Tiny-ImageNet here, and SENET_EDU_OFFLINE is set. {WAYS_OUT}")
    path = Path(given).expanduser()
    if path.is_dir():
        return Source("folder", path, None, f"20 classes of Tiny-ImageNet from the folder {path.name}")
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder. Correct the path (root or SENET_EDU_TINY_IMAGENET).")
    sha256 = sha256_of(path)
    copy = f" (sha256 {sha256[:12]}…)" if sha256 != JPEG_SHA256 and path.name != ARCHIVE else ""
    return Source("archive", path, sha256, f"20 classes of Tiny-ImageNet, 64×64, from the archive {path.name}{copy}")


def decode(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Decode both splits in one pass over a folder or archive, in either layout.

    Raises DataError, naming the file, for anything that is not as described there, and for a class without images.
    """
    pictures: dict[str, dict[tuple[int, str], bytes]] = {split: {} for split in SPLITS}
    unlabelled: dict[str, tuple[str, bytes]] = {}  # validation images whose class stands in the annotations
    classes: dict[str, str] = {}
    for name, content in read_files(path, is_wanted, listing):
        base, (split, folder) = PurePosixPath(name).name, place(name)
        if base == ANNOTATIONS:
            lines = [line.split("\t") for line in content.decode(errors="replace").splitlines() if "\t" in line]
            classes = {line[0]: line[1] for line in lines}
        elif folder is None:
            unlabelled[base] = name, content
        else:
            add(path, pictures[split], name, content, LABELS[folder])
    if unlabelled and not classes:
        raise DataError(f"{path}: {ANNOTATIONS} is missing or empty, so val/images/ has no classes: fetch it again.")
    for base, folder in classes.items():
        if folder in LABELS and base in unlabelled:
            add(path, pictures["test"], *unlabelled[base], LABELS[folder])
    return {split: stack(path, split, found, KIND) for split, found in pictures.items()}


def add(path: Path, pictures: dict[tuple[int, str], bytes], name: str, content: bytes, label: int) -> None:
    key = label, PurePosixPath(name).name
    if key in pictures:
        raise DataError(f"{path}: {name!r} is there twice. Keep one.")
    pictures[key] = decode_image(path, name, content, KIND.side)


def place(name: str) -> tuple[str, str | None]:
    """Split and class folder of a file: 'top/train/n01443537/images/n01443537_0.JPEG' -> ('train', 'n01443537').

    The class is None for val/images/… of the original; the split is "" for what is neither training nor validation.
    """
    folders = [part for part in PurePosixPath(name).parts[:-1] if part != "images"]
    if folders[-1:] == ["val"]:
        return "test", None
    split = {"train": "train", "val": "test"}.get(folders[-2], "") if len(folders) > 1 else ""
    return split, folders[-1] if folders else None


def is_wanted(name: str) -> bool:
    """An image of the twenty classes, one whose class is not told by its name, or the annotations."""
    path = PurePosixPath(name)
    split, folder = place(name)
    if path.name == ANNOTATIONS:
        return split == "test"
    picture = path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    return picture and bool(split) and (folder is None or folder in LABELS)


def listing(path: Path) -> list[Path]:
    """The files of a folder that `decode` reads, in a fixed order."""
    return sorted(file for file in path.rglob("*") if is_wanted(file.relative_to(path).as_posix()))
