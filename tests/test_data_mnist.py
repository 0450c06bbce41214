"""MNIST's files: read, divided, refused when something is wrong with them."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from pathlib import Path

import pytest
import torch
import torchvision

import senet_edu.data as data
from senet_edu.data import DataError, DataNotFoundError, load_course_mnist, load_mnist, mnist, mnist_source

IMAGES, LABELS = mnist.FILES["test"]


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No path given, no download allowed, a cache of its own."""
    monkeypatch.delenv("SENET_EDU_MNIST", raising=False)
    monkeypatch.setenv("SENET_EDU_OFFLINE", "1")
    monkeypatch.setenv("SENET_EDU_CACHE", str(tmp_path / "cache"))


pytestmark = pytest.mark.usefixtures("own_settings")


def images_file(pixels: torch.Tensor) -> bytes:
    """As the format says: 0x00000803, how many, height, width, pixels [n, H, W]."""
    return struct.pack(">4I", 0x803, *pixels.shape) + pixels.numpy().tobytes()


def labels_file(labels: torch.Tensor) -> bytes:
    return struct.pack(">2I", 0x801, len(labels)) + labels.byte().numpy().tobytes()


def made_up(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels uint8 [n, 28, 28] and labels int64 [n], every digit equally often."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, 28, 28), generator=generator, dtype=torch.uint8)
    return pixels, torch.randperm(n, generator=generator) % 10


def write_split(folder: Path, split: str, n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    folder.mkdir(parents=True, exist_ok=True)
    pixels, labels = made_up(n, seed)
    for name, content in zip(mnist.FILES[split], (images_file(pixels), labels_file(labels)), strict=True):
        (folder / name).write_bytes(content)
    return pixels, labels


@pytest.mark.parametrize("inside", ["", "MNIST/raw"])
def test_both_splits_come_out_as_they_were_written(tmp_path: Path, inside: str) -> None:
    written = {split: write_split(tmp_path / "own" / inside, split, n, n) for split, n in (("train", 40), ("test", 20))}
    for split, (pixels, labels) in written.items():
        images, found = load_mnist(tmp_path / "own", split)
        assert (images.dtype, found.dtype) == (torch.uint8, torch.int64)
        assert images.shape == (len(labels), 1, 28, 28)
        assert torch.equal(images[:, 0], pixels)
        assert torch.equal(found, labels)


def test_packed_files_are_read_when_their_checksum_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, _ = write_split(tmp_path, "train", 30)
    write_split(tmp_path, "test", 30)
    for name in mnist.MD5:
        plain = tmp_path / name.removesuffix(".gz")
        packed = gzip.compress(plain.read_bytes())
        plain.unlink()
        (tmp_path / name).write_bytes(packed)
        monkeypatch.setitem(mnist.MD5, name, hashlib.md5(packed).hexdigest())
    assert torch.equal(load_mnist(tmp_path)[0][:, 0], pixels)


def test_other_packed_files_of_the_same_name_are_refused(tmp_path: Path) -> None:
    """As Fashion-MNIST's are."""
    write_split(tmp_path, "test", 3_000)
    content = (tmp_path / IMAGES).read_bytes()
    (tmp_path / IMAGES).unlink()
    (tmp_path / f"{IMAGES}.gz").write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=f"{IMAGES}.gz: not MNIST's published file"):
        load_mnist(tmp_path)


def test_checksums_are_torchvisions() -> None:
    assert list(mnist.MD5.items()) == torchvision.datasets.MNIST.resources
    assert list(mnist.HOSTS) == torchvision.datasets.MNIST.mirrors


def test_test_files_alone_are_divided_without_overlap(tmp_path: Path) -> None:
    pixels, labels = write_split(tmp_path, "test", 2_500)
    train, test = load_mnist(tmp_path, "train"), load_mnist(tmp_path, "test")
    assert [len(labels) for _, labels in (train, test)] == [500, 2_000]
    assert test[1].bincount().tolist() == [200] * 10
    digits = {pixel.numpy().tobytes(): int(label) for pixel, label in zip(pixels, labels, strict=True)}
    again = {i.numpy().tobytes(): int(k) for images, found in (train, test) for i, k in zip(images, found, strict=True)}
    assert again == digits
    assert torch.equal(load_mnist(tmp_path, "test")[0], test[0])
    assert "only the test files" in load_course_mnist("train", root=tmp_path).about
    assert "500 images to train" in load_course_mnist("train", root=tmp_path).about


def test_too_few_of_a_digit_to_divide(tmp_path: Path) -> None:
    write_split(tmp_path, "test", 1_990)
    with pytest.raises(DataError, match=rf"{LABELS}: class \d has 199 items, too few for 200 test images"):
        load_mnist(tmp_path)


FAULTS = {
    "the images are cut off": (IMAGES, lambda c: c[:-1], "bytes, where its header tells of 3,000×28×28"),
    "the images have a byte too many": (IMAGES, lambda c: c + b"\0", "bytes, where its header tells"),
    "the labels are cut off": (LABELS, lambda c: c[:-5], "3,003 bytes, where its header tells of 3,000"),
    "the header is cut off": (IMAGES, lambda c: c[:7], "does not begin like an idx file"),
    "an empty file": (LABELS, lambda c: b"", "does not begin like an idx file"),
    "labels in place of images": (IMAGES, lambda c: labels_file(made_up(3_000)[1]), "does not begin like an idx file"),
    "numbers of four bytes": (IMAGES, lambda c: c[:2] + b"\x0c" + c[3:], "does not begin like an idx file"),
    "a web page": (LABELS, lambda c: b"<html>sign in first</html>", "does not begin like an idx file"),
    "no images": (IMAGES, lambda c: struct.pack(">4I", 0x803, 0, 28, 28), "header tells of 0×28×28"),
    "a header of 4 billion": (IMAGES, lambda c: c[:4] + b"\xff" * 4 + c[8:], "header tells of 4,294,967,295×28×28"),
    "a header whose product is 2⁶⁴": (
        IMAGES,
        lambda c: c[:4] + struct.pack(">3I", 4, 2**31, 2**31) + c[16:],
        "header tells of 4×2,147,483,648×2,147,483,648",
    ),
    "larger images": (
        IMAGES,
        lambda c: images_file(torch.zeros(3_000, 32, 32, dtype=torch.uint8)),
        "32×32 pixels, MNIST's have 28×28",
    ),
    "fewer labels than images": (
        LABELS,
        lambda c: labels_file(made_up(2_990)[1]),
        "2,990 labels for 3,000 images",
    ),
    "a label of 10": (LABELS, lambda c: c[:-1] + b"\x0a", "a label is 10; MNIST's are 0 to 9"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_said_with_the_file(tmp_path: Path, fault: str) -> None:
    name, change, phrase = FAULTS[fault]
    write_split(tmp_path, "test", 3_000)
    (tmp_path / name).write_bytes(change((tmp_path / name).read_bytes()))
    with pytest.raises(DataError) as raised:
        load_mnist(tmp_path)
    assert not isinstance(raised.value, DataNotFoundError)
    assert str(tmp_path / name) in str(raised.value)
    assert phrase in str(raised.value)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_split(tmp_path, "test", 3_000)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        load_mnist(tmp_path)


def test_a_wrong_folder_does_not_fall_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        monkeypatch.setenv("SENET_EDU_MNIST", str(folder))
        with pytest.raises(DataError, match=str(folder)):
            load_course_mnist()


def test_the_folder_given_comes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, n in (("given", 20), ("variable", 30)):
        write_split(tmp_path / name, "train", n)
        write_split(tmp_path / name, "test", n)
    monkeypatch.setenv("SENET_EDU_MNIST", str(tmp_path / "variable"))
    assert len(load_mnist()[0]) == 30
    assert len(load_mnist(tmp_path / "given")[0]) == 20


def test_the_download_is_asked_for_each_file_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENET_EDU_OFFLINE")
    for split in ("train", "test"):
        write_split(tmp_path / "host", split, 20)
    asked = []

    def from_host(urls: list[str], destination: Path, md5: str, **options: str) -> None:
        asked.append((urls[0].rpartition("/")[2], md5))
        packed = gzip.compress((tmp_path / "host" / destination.stem).read_bytes())
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_bytes(packed)
        monkeypatch.setitem(mnist.MD5, destination.name, hashlib.md5(packed).hexdigest())

    published = list(mnist.MD5.items())
    monkeypatch.setattr(mnist.download, "download", from_host)
    assert mnist_source().kind == "download"
    assert load_mnist()[0].shape == (20, 1, 28, 28)
    assert asked == published
    assert mnist_source().kind == "folder"
    load_mnist(split="test")
    assert len(asked) == 4
    (mnist_source().path / published[2][0]).unlink()  # as if the download had been killed after two files
    assert mnist_source().kind == "download"
    monkeypatch.setenv("SENET_EDU_OFFLINE", "1")
    with pytest.raises(DataNotFoundError, match="No copy of MNIST here"):
        mnist_source()


def test_without_any_the_course_draws_grey_shapes_and_says_so() -> None:
    with pytest.raises(DataNotFoundError, match="SENET_EDU_MNIST"):
        load_mnist()
    for split, n in (("train", 10_000), ("test", 2_000)):
        drawn = load_course_mnist(split)
        assert drawn.about.startswith("NOT MNIST")
        assert (drawn.name, drawn.classes) == ("shapes", data.SHAPES_CLASSES)
        assert drawn.images.shape == (n, 1, 28, 28)
        assert drawn.images.dtype == torch.uint8
    colours, labels = data.shapes(2_000, seed=1)
    assert torch.equal(drawn.labels, labels)
    assert (drawn.images[7, 0].float() - colours[7, :, 2:-2, 2:-2].float().mean(0)).abs().max() <= 0.5


def test_unknown_split() -> None:
    for load in (load_mnist, load_course_mnist):
        with pytest.raises(ValueError, match="split is 'validation'"):
            load(split="validation")


given = os.environ.get("SENET_EDU_MNIST")  # before a test unsets it


@pytest.mark.skipif(not given, reason="SENET_EDU_MNIST is not set")
def test_the_real_files() -> None:
    train, test = load_mnist(given, "train"), load_mnist(given, "test")
    alone = not all(mnist.has(mnist_source(given).path, "train"))
    assert [len(labels) for _, labels in (train, test)] == ([8_000, 2_000] if alone else [60_000, 10_000])
    counts = train[1].bincount() + test[1].bincount() if alone else test[1].bincount()
    assert counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    ink = torch.stack([train[0][train[1] == digit].float().mean() for digit in range(10)])
    assert (ink.argmin(), ink.argmax()) == (1, 0)  # a one takes the least ink, a zero the most
