"""CIFAR-10 from every place it can come from, the cache, and what happens when there is none."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from archives import image_files, official_batches, write, write_folder, write_tar
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import senet_edu.data as data
from senet_edu.data import (
    DataError,
    DataNotFoundError,
    cache,
    cifar10_source,
    load_cifar10,
    load_course_data,
    load_mnist,
    load_tiny_imagenet,
    sources,
)


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the reader's own copy, writes to the reader's cache, or goes online."""
    monkeypatch.setenv("SENET_EDU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SENET_EDU_OFFLINE", "1")
    monkeypatch.delenv("SENET_EDU_CIFAR10", raising=False)
    monkeypatch.setattr(data, "_looked_in_vain", {})


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write(tmp_path / "images.tar.xz", image_files())


def same(one: tuple[torch.Tensor, torch.Tensor], other: tuple[torch.Tensor, torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def not_called(*_: object) -> None:
    raise AssertionError("called")


# Images in class folders


@pytest.mark.parametrize("top", ["", "./", "my copy/"])
@pytest.mark.parametrize("suffix", ["", ".tar", ".tar.xz", ".tar.gz", ".zip"])
def test_every_layout_of_images_gives_the_same(tmp_path: Path, top: str, suffix: str) -> None:
    files = image_files(per_class=3)
    path = write(tmp_path / f"copy{suffix}", {top + name: files[name] for name in reversed(files)})
    if suffix == "":
        path /= top
    drawn, drawn_labels = data.shapes(40, seed=0)
    order = drawn_labels.argsort(stable=True).view(10, 4)
    images, labels = load_cifar10(path, "train")
    assert images.dtype == torch.uint8
    assert images.is_contiguous()
    assert labels.dtype == torch.int64
    assert torch.equal(images, drawn[order[:, :3].flatten()])
    assert labels.tolist() == [label for label in range(10) for _ in range(3)]
    assert same(load_cifar10(str(path), "test"), (drawn[order[:, 3]], torch.arange(10)))


def test_jpeg_greyscale_and_palette_become_rgb(tmp_path: Path) -> None:
    image = Image.fromarray(data.shapes(1, seed=5)[0][0].permute(1, 2, 0).contiguous().numpy())
    variants = {
        "a.png": image.convert("L"),
        "b.PNG": image.quantize(),
        "c.JPG": image,
        "d.jpeg": image.convert("L"),
    }
    files = image_files(per_class=1)
    expected = []
    for name, variant in variants.items():
        buffer = io.BytesIO()
        variant.save(buffer, "PNG" if "png" in name.lower() else "JPEG")
        files[f"train/cat/{name}"] = buffer.getvalue()
        pixels = np.asarray(Image.open(buffer).convert("RGB"))
        expected.append(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
    images, labels = load_cifar10(write(tmp_path / "mixed.zip", files), "train")
    assert torch.equal(images[labels == 3][1:], torch.stack(expected))  # after 0000.png


# The official batches


@pytest.mark.parametrize("place", ["folder", "parent", "archive", "zip"])
def test_the_official_batches_as_torchvision_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    files = official_batches(monkeypatch)
    parent = write_folder(tmp_path / "torchvision", files)
    paths = {
        "folder": parent / sources.BATCH_FOLDER,
        "parent": parent,
        "archive": write_tar(tmp_path / "cifar-10-python.tar.gz", files),
        "zip": write(tmp_path / "again.zip", {f"top/{name}": content for name, content in files.items()}),
    }
    reader = torchvision.datasets.CIFAR10
    names = list(sources.BATCH_MD5)
    monkeypatch.setattr(reader, "train_list", [[name, sources.BATCH_MD5[name]] for name in names[:5]])
    monkeypatch.setattr(reader, "test_list", [[names[5], sources.BATCH_MD5[names[5]]]])
    monkeypatch.setattr(reader, "_load_meta", lambda self: None)
    monkeypatch.setattr(reader, "_check_integrity", lambda self: True)
    for split, n in (("train", 100), ("test", 20)):
        images, labels = load_cifar10(paths[place], split)
        theirs = reader(str(parent), train=split == "train")
        assert images.shape == (n, 3, 32, 32)
        assert images.is_contiguous()
        assert torch.equal(images, torch.from_numpy(theirs.data).permute(0, 3, 1, 2))
        assert labels.tolist() == theirs.targets
    assert cifar10_source(paths[place]).kind == ("batches" if place in ("folder", "parent") else "archive")


class Evil:
    def __reduce__(self) -> tuple:
        return os.mkdir, (os.environ["EVIL"],)


@pytest.mark.parametrize("known", [False, True])
def test_a_hostile_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """Not opened when its md5 is unknown; and were the md5 forged, nothing but arrays would be built."""
    monkeypatch.setenv("EVIL", str(tmp_path / "evil"))
    content = pickle.dumps({"data": Evil(), "labels": []}, protocol=2)
    files = official_batches(monkeypatch)
    files[f"{sources.BATCH_FOLDER}/data_batch_2"] = content
    if known:
        monkeypatch.setitem(sources.BATCH_MD5, "data_batch_2", hashlib.md5(content).hexdigest())
    path = write_folder(tmp_path / "hostile", files)
    with pytest.raises(DataError, match="data_batch_2.*" + ("mkdir" if known else "not opened")):
        load_cifar10(path)
    assert not (tmp_path / "evil").exists()


def test_a_missing_batch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = official_batches(monkeypatch)
    del files[f"{sources.BATCH_FOLDER}/data_batch_4"]
    path = write_folder(tmp_path / "five", files) / sources.BATCH_FOLDER
    with pytest.raises(DataError, match=f"{path}.*data_batch_4 missing"):
        load_cifar10(path)


def test_a_batch_of_another_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_folder(tmp_path / "short", official_batches(monkeypatch))
    monkeypatch.setattr(data.decode, "BATCH_IMAGES", 10_000)
    with pytest.raises(DataError, match="data_batch_1.*10,000 images"):
        load_cifar10(path)


# Where it comes from


def test_the_first_source_that_is_set_counts(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").mkdir()
    earlier = write_tar(tmp_path / "cache" / "cifar-10-python.tar.gz", {})
    monkeypatch.setattr(sources, "OFFICIAL_SHA256", sources.sha256_of(earlier))
    assert cifar10_source().path == earlier
    other = write(tmp_path / "other.zip", image_files())
    monkeypatch.setenv("SENET_EDU_CIFAR10", str(other))
    assert cifar10_source().path == other
    assert cifar10_source(archive).path == archive
    monkeypatch.setenv("SENET_EDU_CIFAR10", "")
    assert cifar10_source().path == earlier


def test_a_damaged_earlier_download_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "cache", {"cifar-10-python.tar.gz": b"half of it"})
    with pytest.raises(DataNotFoundError):
        cifar10_source()
    monkeypatch.setenv("SENET_EDU_OFFLINE", "0")
    assert cifar10_source().kind == "download"


@pytest.mark.parametrize("by", ["root", "environment"])
def test_a_wrong_path_is_an_error_and_never_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.delenv("SENET_EDU_OFFLINE")
    monkeypatch.setattr(data.download, "download", not_called)
    (tmp_path / "empty").mkdir()
    for wrong, words in (
        ("nowhere", "no such file"),
        ("empty", "neither cifar-10-batches-py nor train/<class>/"),
    ):
        path = tmp_path / wrong
        if by == "environment":
            monkeypatch.setenv("SENET_EDU_CIFAR10", str(path))
        for load in (load_cifar10, cifar10_source):
            with pytest.raises(DataError, match=words) as caught:
                load(path if by == "root" else None)
            assert str(path) in str(caught.value)
            assert not isinstance(caught.value, DataNotFoundError)
        with pytest.raises(DataError, match=words):
            load_course_data("train", root=path if by == "root" else None)


def test_offline_without_a_copy_tells_the_three_ways() -> None:
    for words in ("give a path", "SENET_EDU_CIFAR10", "go online"):
        with pytest.raises(DataNotFoundError, match=words):
            load_cifar10()


def test_the_download_is_fetched_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENET_EDU_OFFLINE", "")
    official = write_tar(tmp_path / "official.tar.gz", official_batches(monkeypatch))
    monkeypatch.setattr(sources, "OFFICIAL_SHA256", sources.sha256_of(official))
    fetched = []

    def fetch(urls: object, destination: Path, md5: str) -> None:
        fetched.append(destination)
        destination.parent.mkdir()
        shutil.copy(official, destination)

    monkeypatch.setattr(data.download, "download", fetch)
    assert cifar10_source().kind == "download"
    assert cifar10_source().sha256 is None
    assert len(load_cifar10(split="train")[1]) == 100
    assert len(load_cifar10(split="test")[1]) == 20
    assert fetched == [tmp_path / "cache" / "cifar-10-python.tar.gz"]
    assert cifar10_source().description == "all 60,000 original CIFAR-10 images (cifar-10-python.tar.gz)"


def test_the_known_jpeg_copy_is_described(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "images.tar.xz" in cifar10_source(archive).description
    monkeypatch.setattr(sources, "JPEG_SHA256", cifar10_source(archive).sha256)
    assert cifar10_source(archive).description == (
        "all 60,000 CIFAR-10 images as JPEG of quality 75 "
        "(slightly lossy; accuracies compare only with runs on this copy)"
    )


def test_an_archive_is_hashed_once_while_it_stays_the_same(archive: Path) -> None:
    sources._sha256.cache_clear()
    first = cifar10_source(archive).sha256
    assert cifar10_source(archive).sha256 == first
    assert sources._sha256.cache_info().misses == 1
    write(archive, image_files(per_class=3))
    assert cifar10_source(archive).sha256 != first


def test_another_split_is_an_error(archive: Path) -> None:
    for load in (lambda: load_cifar10(archive, "val"), lambda: load_course_data("val")):
        with pytest.raises(ValueError, match="'val', not one of train, test"):
            load()


def test_a_split_in_the_place_of_the_path_is_told() -> None:
    for load in (load_cifar10, load_mnist, load_tiny_imagenet):
        with pytest.raises(ValueError, match="the first argument is a path, .* given as split='test'"):
            load("test")


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ({"SENET_EDU_CACHE": "/a"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/senet-edu"),
        ({"HOME": "/c"}, "/c/.cache/senet-edu"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="Windows keeps caches elsewhere")
def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], folder: str) -> None:
    for name in ("SENET_EDU_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert sources.cache_folder() == Path(folder)


# The cache


def cached_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("*.safetensors"))


def test_both_splits_are_decoded_once(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_cifar10(archive, "train")
    assert [path.stem.rsplit("-")[-1] for path in cached_files(tmp_path)] == ["test", "train"]
    monkeypatch.setattr(data.decode, "decode", not_called)
    assert same(load_cifar10(archive, "train"), first)
    moved = archive.rename(tmp_path / "moved.tar.xz")  # the same bytes elsewhere are the same source
    assert len(load_cifar10(moved, "test")[1]) == 10


def test_a_changed_folder_is_decoded_again(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", image_files())
    before = load_cifar10(folder)
    (folder / "train/cat/0000.png").write_bytes((folder / "train/dog/0000.png").read_bytes())
    assert not same(load_cifar10(folder), before)
    (folder / "train/cat/0000.png").unlink()
    assert len(load_cifar10(folder)[1]) == 19


def test_a_change_that_keeps_the_size_is_noticed_by_its_time(tmp_path: Path, archive: Path) -> None:
    folder = write_folder(tmp_path / "folder", image_files())
    for path, asked in ((folder / "train/cat/0000.png", folder), (archive, archive)):
        content = path.read_bytes()
        os.utime(path, (1e9, 1e9))
        before = data.cache.identity(cifar10_source(asked))
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        os.utime(path, (1e9 + 1, 1e9 + 1))
        assert data.cache.identity(cifar10_source(asked)) != before


@pytest.mark.parametrize("place", ["header", "pixel", "label", "cut", "empty", "other split"])
def test_a_damaged_cache_is_noticed_and_rebuilt(tmp_path: Path, archive: Path, place: str) -> None:
    whole = load_cifar10(archive)
    test_file, train_file = cached_files(tmp_path)
    good = train_file.read_bytes()
    content = bytearray(good)
    content[{"header": 40, "pixel": -1000, "label": -1}.get(place, 0)] ^= 1
    replacement = {"cut": good[:-100], "empty": b"", "other split": test_file.read_bytes()}
    train_file.write_bytes(replacement.get(place, bytes(content)))
    with pytest.warns(UserWarning, match=f"{train_file} is damaged"):
        assert same(load_cifar10(archive), whole)
    assert train_file.read_bytes() == good
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(load_cifar10(archive), whole)


def test_every_byte_of_the_cache_counts(tmp_path: Path, archive: Path) -> None:
    """A single changed byte, every third of the first 400 (the header), then every 997th: never believed silently."""
    whole = load_cifar10(archive)
    key = cache.identity(cifar10_source(archive))
    train_file = cached_files(tmp_path)[1]
    good = train_file.read_bytes()
    for position in [*range(0, 400, 3), *range(400, len(good), 997)]:
        content = bytearray(good)
        content[position] ^= 4
        train_file.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = cache.load(key, "train")
        assert found is None or same(found, whole), position


def test_a_full_disk_costs_only_the_cache(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="could not be written .No space left on device"):
        images, _ = load_cifar10(archive)
    assert len(images) == 20
    assert list((tmp_path / "cache").iterdir()) == []  # nothing half-written stays


def test_a_cache_folder_that_cannot_be_made_costs_only_the_cache(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENET_EDU_CACHE", str(archive / "cache"))
    with pytest.warns(UserWarning, match="could not be written"):
        assert len(load_cifar10(archive)[1]) == 20


def test_what_dead_processes_left_is_removed_after_a_day(tmp_path: Path, archive: Path) -> None:
    old, new = (f".cifar10-0-train.safetensors-{age}.tmp" for age in ("old", "new"))
    folder = write_folder(tmp_path / "cache", {old: b"", new: b"", "notes.tmp": b""})
    for name in (old, "notes.tmp"):
        os.utime(folder / name, (time.time() - 90_000,) * 2)
    load_cifar10(archive)
    assert sorted(path.name for path in folder.glob("*.tmp")) == [new, "notes.tmp"]


LOAD = """
import os, resource, signal, sys
import senet_edu.data as data
if sys.argv[2] == "kill":
    os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
print(len(data.load_cifar10(sys.argv[1])[1]))
"""


def start(archive: Path, how: str) -> subprocess.Popen:
    command = [sys.executable, "-c", LOAD, str(archive), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_killed_limited_and_at_once(tmp_path: Path, archive: Path) -> None:
    """One is killed just before its file gets its name, one may not write as much; then two at once."""
    pytest.importorskip("resource", reason="file size limits are POSIX only")
    killed, limited = start(archive, "kill"), start(archive, "limit")
    out, err = limited.communicate(timeout=60)
    assert out == "20\n"
    assert "could not be written (File too large)" in err
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert cached_files(tmp_path) == []
    assert len(list((tmp_path / "cache").glob("*.tmp"))) == 1
    for process in [start(archive, ""), start(archive, "")]:
        out, err = process.communicate(timeout=60)
        assert (out, err, process.returncode) == ("20\n", "", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load_cifar10(archive)[1]) == 20


# What a chapter loads


def test_course_data_is_cifar10_where_there_is_one(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENET_EDU_CIFAR10", str(archive))
    train, test = load_course_data(), load_course_data("test")
    assert (train.name, len(train), len(test)) == ("CIFAR-10", 20, 10)
    assert train.classes == data.CIFAR10_CLASSES
    assert same((train.images, train.labels), load_cifar10(archive))
    assert train.about.startswith("CIFAR-10, 20 train images: CIFAR-10 images from the archive images.tar.xz")


def test_without_any_copy_the_drawn_world_says_so() -> None:
    train, test = load_course_data(), load_course_data("test")
    assert (train.name, len(train), len(test)) == ("shapes", 10_000, 2_000)
    assert train.classes == data.SHAPES_CLASSES
    assert same((test.images, test.labels), data.shapes(2_000, seed=1))
    for words in (
        "NOT CIFAR-10",
        "drawn by this package",
        "No copy",
        "give a path",
        "SENET_EDU_CIFAR10",
        "go online",
    ):
        assert words in train.about
        assert words in test.about


def test_a_search_in_vain_is_not_repeated(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENET_EDU_OFFLINE", "0")
    tries = []

    def fetch(*_: object) -> None:
        tries.append(1)
        raise DataNotFoundError("no host answered")

    monkeypatch.setattr(data.download, "download", fetch)
    assert "no host answered" in load_course_data("train").about
    assert load_course_data("test").name == "shapes"
    assert len(tries) == 1
    assert load_course_data("test", root=archive).name == "CIFAR-10"  # a path given later is looked at


def test_broken_data_are_never_replaced_by_the_drawn_world(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-500])
    with pytest.raises(DataError, match="truncated or damaged"):
        load_course_data("train", root=archive)


# Subsets


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 5), st.integers(0, 9))
def test_subsets_are_balanced_and_disjoint(values: list[int], per_class: int, seed: int) -> None:
    labels = torch.tensor(values)
    counts = labels.bincount()
    if counts.min() < per_class:
        with pytest.raises(ValueError, match=rf"class {int((counts < per_class).nonzero()[0])} has \d items"):
            data.balanced_subset(labels, per_class, seed)
        return
    subset = data.balanced_subset(labels, per_class, seed)
    assert labels[subset].bincount().tolist() == [per_class] * len(counts)
    assert len(subset.unique()) == len(subset)
    state = torch.get_rng_state()
    kept, held = data.hold_out(labels, per_class, seed)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(held, subset)  # deterministic
    assert torch.cat([kept, held]).sort().values.tolist() == list(range(len(labels)))


def test_subsets_are_shuffled_and_differ_by_seed() -> None:
    labels = torch.arange(10).repeat_interleave(100)
    one, other = data.balanced_subset(labels, 20, 0), data.balanced_subset(labels, 20, 1)
    assert not torch.equal(one.sort().values, other.sort().values)
    assert len(labels[one][:20].unique()) > 3
    with pytest.raises(ValueError, match="per_class is 0"):
        data.balanced_subset(labels, 0, 0)


# Start-up, and the real thing


IMPORT = """
import sys, types, torch
package = sys.modules["senet_edu"] = types.ModuleType("senet_edu")  # this room alone, not the whole package
package.__path__ = [sys.argv[1]]
before = set(sys.modules)
import senet_edu.data
print(sorted(set(sys.modules) - before))
"""


def test_importing_is_light() -> None:
    command = [sys.executable, "-c", IMPORT, str(Path(data.__file__).parents[1])]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "'senet_edu.data.archives'" in out
    for heavy in ("torchvision", "PIL", "tqdm", "accelerate", "safetensors", "filelock", "matplotlib"):
        assert f"'{heavy}'" not in out


@pytest.fixture
def real() -> Path:
    if not REAL:
        pytest.skip("SENET_EDU_CIFAR10 is not set")
    return Path(REAL)


REAL = os.environ.get("SENET_EDU_CIFAR10")


def test_the_real_images(real: Path) -> None:
    images, labels = load_cifar10(real, "train")
    assert images.shape == (50_000, 3, 32, 32)
    assert labels.bincount().tolist() == [5_000] * 10
    sample = images[::5].float() / 255  # every fifth: enough for two decimals
    assert sample.mean((0, 2, 3)).tolist() == pytest.approx(data.CIFAR10_MEAN, abs=0.01)
    assert sample.std((0, 2, 3)).tolist() == pytest.approx(data.CIFAR10_STD, abs=0.01)
    images, labels = load_cifar10(real, "test")
    assert images.shape == (10_000, 3, 32, 32)
    assert labels.bincount().tolist() == [1_000] * 10
