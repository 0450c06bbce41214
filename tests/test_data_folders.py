"""Images of a folder read as they are needed, and the twenty classes of Tiny-ImageNet in both layouts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from archives import Files, encode, write, write_folder
from PIL import Image
from torch import Tensor, nn

import senet_edu as se
from senet_edu.blocks import SEBlock
from senet_edu.data import DataError, DataNotFoundError, image_folder, load_tiny_imagenet, tiny_imagenet
from senet_edu.data.decode import decode_image
from senet_edu.data.tiny_imagenet import TINY_IMAGENET_CLASSES, WORDNET_IDS
from senet_edu.training import CheckpointError, Recipe, TrainingError, session

RECIPE = Recipe(epochs=2, batch_size=4, translate=2, cutout=2)


def pixels(seed: int, side: int = 64, channels: int = 3) -> np.ndarray:
    shape = (side, side, channels) if channels > 1 else (side, side)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of ten 8×8 images, one of them grey."""
    files = {f"{label}/{i}.png": encode(pixels(10 * k + i, 8)) for k, label in enumerate("ab") for i in range(10)}
    return write_folder(tmp_path / "folder", files | {"a/3.png": encode(pixels(3, 8, channels=1))})


def network() -> nn.Module:
    """Dropout draws from the global generator, which reading must leave alone."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), SEBlock(8, 2), nn.Flatten(), nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.Linear(8 * 64, 2))


def train(images: object, labels: Tensor, out: Path | None = None, model: nn.Module | None = None) -> nn.Module:
    model = model or network()
    se.fit(model, images, labels, RECIPE, folder=out, cpu=True, precision="no", progress=False)
    return model


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_training_from_a_folder_is_training_from_memory(folder: Path, workers: int) -> None:
    images, labels = image_folder(folder, 8, workers)
    assert images.shape == (20, 3, 8, 8)
    assert labels.tolist() == [0] * 10 + [1] * 10
    assert images.classes == ("a", "b")
    loaded = images.load()
    assert torch.equal(loaded[7], torch.from_numpy(pixels(7, 8)).permute(2, 0, 1))
    assert torch.equal(loaded[3], torch.from_numpy(pixels(3, 8, channels=1)).expand(3, 8, 8))  # grey became RGB
    model = train(images, labels)
    assert same(model, train(loaded, labels))
    assert se.evaluate(model, images, labels, cpu=True) == se.evaluate(model, loaded, labels, cpu=True)


def test_a_run_on_a_folder_goes_on_with_the_same_bits(folder: Path, tmp_path: Path) -> None:
    images, labels = image_folder(folder, 8, 0)

    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        calls.append(1)
        if len(calls) == 8:  # the third step of the second epoch
            raise Stop

    calls: list[int] = []
    model = network()
    model.register_forward_pre_hook(stop)
    with pytest.raises(Stop), pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "SAVE_EVERY", -1.0)
        train(images, labels, tmp_path / "run", model)
    assert same(train(images, labels, tmp_path / "run"), train(images, labels))


def test_a_part_of_a_folder_is_not_read(folder: Path) -> None:
    images, labels = image_folder(folder, 8, 0)
    loaded = images.load()
    for path in folder.glob("*/*"):
        path.rename(path.with_suffix(".gone"))
    part, chosen = images[3:7], images[torch.tensor([19, 0])]
    assert len(part) == 4
    assert chosen.shape == (2, 3, 8, 8)
    for path in folder.glob("*/*"):
        path.rename(path.with_suffix(".png"))
    assert torch.equal(part.load(), loaded[3:7])
    assert torch.equal(chosen.load(), loaded[[19, 0]])
    mask = torch.zeros(len(images), dtype=torch.bool)
    mask[[2, 5]] = True
    assert images[mask].files == images[[2, 5]].files == (images.files[2], images.files[5])
    for one in (3, torch.tensor(3)):
        with pytest.raises(TypeError, match=r"images\[3:4\]\.load\(\)"):
            images[one]


def test_other_sizes_and_kinds_of_image(tmp_path: Path) -> None:
    """The shorter side becomes `size` and the middle is cut out; four inks and palettes become RGB."""
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 4:12] = 200  # the middle of it
    (tmp_path / "a").mkdir()
    Image.fromarray(wide).save(tmp_path / "a" / "1.png")
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a" / "2.jpg")
    Image.new("RGB", (32, 32), (0, 0, 255)).quantize(4).save(tmp_path / "a" / "3.png")
    loaded = image_folder(tmp_path, 8, 0)[0].load()
    assert loaded.shape == (3, 3, 8, 8)
    assert (loaded[0] == 200).all()
    assert loaded[1].float().mean((1, 2)).sub(torch.tensor([255.0, 0, 0])).abs().max() < 20  # red
    assert torch.equal(loaded[2][:, 0, 0], torch.tensor([0, 0, 255], dtype=torch.uint8))


def test_sixteen_bits_are_refused(folder: Path) -> None:
    """Converted to 8 bits they would nearly all be white."""
    deep = folder / "a" / "0.png"
    Image.fromarray(np.full((8, 8), 30_000, np.uint16)).save(deep)
    with pytest.raises(DataError, match="more than 8 bits a channel"):
        image_folder(folder, 8, 0)[0].load()
    with pytest.raises(DataError, match="more than 8 bits a channel"):
        decode_image(folder, "a/0.png", deep.read_bytes(), 8)


@pytest.mark.skipif(sys.platform != "linux", reason="file names of any bytes are Linux's")
def test_names_need_not_be_utf_8(folder: Path) -> None:
    os.rename(os.fsencode(folder / "a" / "0.png"), os.fsencode(folder / "a") + b"/caf\xe9.png")
    images, _ = image_folder(folder, 8, 0)
    before = images.checksum()
    os.rename(os.fsencode(folder / "a") + b"/caf\xe9.png", os.fsencode(folder / "a") + b"/caf\xe8.png")
    assert image_folder(folder, 8, 0)[0].checksum() != before


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_cannot_be_read_is_named(folder: Path, workers: int) -> None:
    (folder / "b" / "4.png").write_bytes(b"\x89PNG not at all")
    images, labels = image_folder(folder, 8, workers)
    with pytest.raises(DataError) as error:
        train(images, labels)
    assert str(error.value).startswith(f"{folder / 'b' / '4.png'} cannot be read as an image")
    assert "Traceback" not in str(error.value)


def test_a_folder_that_is_none(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match="is not a folder of class folders"):
        image_folder(tmp_path / "nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="empty"):
        image_folder(folder)


@pytest.mark.parametrize("change", ["an image more", "another length", "another size", "another label"])
def test_a_changed_folder_is_another_run(folder: Path, tmp_path: Path, change: str) -> None:
    images, labels = image_folder(folder, 8, 0)
    train(images, labels, tmp_path / "run")
    if change == "an image more":
        (folder / "b" / "9b.png").write_bytes((folder / "b" / "9.png").read_bytes())
    elif change == "another length":
        (folder / "b" / "4.png").write_bytes(encode(pixels(99, 8, channels=1)))
    images, labels = image_folder(folder, 9 if change == "another size" else 8, 0)
    if change == "another label":
        labels[0] = 1
    with pytest.raises(CheckpointError, match="data = 20 images"):
        train(images, labels, tmp_path / "run")


class Dies:
    """Kills the worker that opens the image."""

    def __call__(self, *_: object, **__: object) -> None:
        os._exit(9)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed with SIGKILL: POSIX only")
def test_a_reader_that_is_killed_ends_the_run_with_a_message(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = image_folder(folder, 8, 1)
    monkeypatch.setattr(Image, "open", Dies())
    with pytest.raises(TrainingError, match="a process that reads images has ended"):
        train(images, labels)


# Tiny-ImageNet


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENET_EDU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SENET_EDU_OFFLINE", "1")
    monkeypatch.delenv("SENET_EDU_TINY_IMAGENET", raising=False)


def by_class() -> Files:
    """train/<class>/ and val/<class>/: two images a class and one; pixels by label and number."""
    files = {}
    for label, name in enumerate(TINY_IMAGENET_CLASSES):
        for i in range(3):
            split = "train" if i < 2 else "val"
            files[f"{split}/{name}/{i}.png"] = encode(pixels(3 * label + i))
    return files


def original() -> Files:
    """As Stanford's archive has it: folders by number of the noun, more classes, validation images in one folder."""
    files, lines = {"top/wnids.txt": b"n00000001\n"}, []
    for label, noun in enumerate([*WORDNET_IDS.values(), "n00000001"]):
        for i in range(2):
            files[f"top/train/{noun}/images/{noun}_{i}.JPEG"] = encode(pixels(3 * label + i))
        files[f"top/train/{noun}/{noun}_boxes.txt"] = b"0"
        files[f"top/val/images/val_{90 - label}.JPEG"] = encode(pixels(3 * label + 2))
        lines.append(f"val_{90 - label}.JPEG\t{noun}\t0\t0\t62\t62")
    files["top/test/images/test_0.JPEG"] = encode(pixels(0))
    return files | {"top/val/val_annotations.txt": "\n".join(lines).encode()}


@pytest.mark.parametrize("layout", [by_class, original])
@pytest.mark.parametrize("suffix", ["", ".zip", ".tar.xz"])
def test_both_layouts_give_the_twenty_classes(tmp_path: Path, layout, suffix: str, monkeypatch) -> None:
    path = write(tmp_path / f"tiny{suffix}", layout())
    for split, numbers in (("train", (0, 1)), ("test", (2,))):
        wanted = [pixels(3 * label + i) for label in range(20) for i in numbers]
        images, labels = load_tiny_imagenet(path, split)
        assert torch.equal(images, torch.from_numpy(np.stack(wanted)).permute(0, 3, 1, 2))
        assert labels.tolist() == [label for label in range(20) for _ in numbers]
    monkeypatch.setattr(tiny_imagenet, "decode", None)  # the cache has both
    monkeypatch.setenv("SENET_EDU_TINY_IMAGENET", str(path))
    assert len(load_tiny_imagenet()[1]) == 40


def test_a_grey_photograph_becomes_rgb(tmp_path: Path) -> None:
    grey = pixels(5, channels=1)
    images, _ = load_tiny_imagenet(write(tmp_path / "tiny", by_class() | {"train/alp/0.png": encode(grey)}))
    assert torch.equal(images[2], torch.from_numpy(grey).expand(3, 64, 64))


def test_wrong_copies_of_tiny_imagenet_are_named(tmp_path: Path) -> None:
    files = original()
    lacking = {name: content for name, content in files.items() if "n01443537" not in name}
    no_lines = {name: content for name, content in files.items() if "annotations" not in name}
    for i, (wrong, words) in enumerate(
        (
            (lacking, "no train images of goldfish"),
            (no_lines, "val_annotations.txt is missing"),
            (by_class() | {"train/alp/0.png": encode(pixels(0, 32))}, "'train/alp/0.png' is 32×32, not 64×64"),
            (by_class() | {"train/alp/0.png": b"no"}, "'train/alp/0.png' does not decode"),
            (by_class() | {"again/train/alp/0.png": encode(pixels(0))}, "is there twice"),
            (by_class() | {"../train/alp/9.png": encode(pixels(0))}, "outside the archive's own folder"),
        )
    ):
        path = write(tmp_path / f"wrong{i}.zip", wrong)
        with pytest.raises(DataError) as error:
            load_tiny_imagenet(path)
        assert str(path) in str(error.value)
        assert words in str(error.value)


def test_no_copy_of_tiny_imagenet(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="SENET_EDU_TINY_IMAGENET"):
        load_tiny_imagenet()
    with pytest.raises(DataError, match="no such file"):
        load_tiny_imagenet(tmp_path / "nowhere.zip")
    with pytest.raises(ValueError, match="'val', not one of train, test"):
        load_tiny_imagenet(split="val")


def test_the_download_of_tiny_imagenet_is_fetched_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def fetch(urls, destination, md5, patience, ways_out):
        fetched.append((urls, md5, patience.max_bytes))
        return write(destination, original())

    monkeypatch.delenv("SENET_EDU_OFFLINE")
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(tiny_imagenet.download, "download", fetch)
    assert len(load_tiny_imagenet(split="test")[1]) == 20
    assert fetched == [(tiny_imagenet.URLS, tiny_imagenet.MD5, 248_100_043)]

    archive = tmp_path / "cache" / tiny_imagenet.ARCHIVE
    monkeypatch.setattr(tiny_imagenet, "ARCHIVE_BYTES", archive.stat().st_size)
    assert len(load_tiny_imagenet(split="train")[1]) == 40
    assert len(fetched) == 1, "a whole download is not asked for again"
    with_network = tiny_imagenet.tiny_imagenet_source()
    monkeypatch.setenv("SENET_EDU_OFFLINE", "1")
    assert with_network == tiny_imagenet.tiny_imagenet_source(), "what the data are does not depend on the network"


def test_an_earlier_download_is_used_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is: when it is damaged that is said, and no host is asked."""
    monkeypatch.setattr(tiny_imagenet.download, "download", lambda *_: pytest.fail("a host was asked"))
    cached = tmp_path / "cache" / tiny_imagenet.ARCHIVE
    cached.parent.mkdir()
    write(cached, original())
    assert len(load_tiny_imagenet(split="test")[1]) == 20
    cached.write_bytes(cached.read_bytes()[:2000])
    with pytest.raises(DataError, match=tiny_imagenet.ARCHIVE):
        load_tiny_imagenet(split="test")


@pytest.fixture(scope="module")
def real() -> Path:
    if not os.environ.get("SENET_EDU_TINY_IMAGENET"):
        pytest.skip("SENET_EDU_TINY_IMAGENET is not set")
    return Path(os.environ["SENET_EDU_TINY_IMAGENET"])


def test_the_real_photographs(real: Path, tmp_path: Path) -> None:
    """All of them; then those of two classes from a folder, greyscale files among them, as the archive gives them."""
    import tarfile

    images, labels = load_tiny_imagenet(real, "train")
    assert images.shape == (10_000, 3, 64, 64)
    assert torch.bincount(labels).tolist() == [500] * 20
    assert torch.bincount(load_tiny_imagenet(real, "test")[1]).tolist() == [50] * 20
    if not tarfile.is_tarfile(real):
        pytest.skip("this copy of Tiny-ImageNet is no tar archive")
    chosen = ("african_elephant", "cliff")
    with tarfile.open(real) as tar:
        tar.extractall(tmp_path, [m for m in tar if m.name.split("/")[1:2] in ([c] for c in chosen)], filter="data")
    found, numbers = image_folder(tmp_path / "train", 64, 2)
    assert found.classes == chosen
    grey = sum(Image.open(tmp_path / "train" / name).mode == "L" for name in found.files)
    assert grey > 0
    wanted = torch.cat([images[labels == TINY_IMAGENET_CLASSES.index(c)] for c in chosen])
    assert torch.equal(found.load(), wanted)
    assert numbers.tolist() == [0] * 500 + [1] * 500
