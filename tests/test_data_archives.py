"""Archives are untrusted: every hostile or broken one is refused with a message that names it."""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import os
import random
import re
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from archives import encode, image_files, write, write_folder, write_tar, write_zip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from senet_edu.data import DataError, DataNotFoundError, archives, decode, load_cifar10

FILES = image_files()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENET_EDU_CACHE", str(tmp_path / "cache"))


def refused(path: Path, *words: str) -> None:
    """Loading raises DataError that names the file and says `words`; nothing appears beside the archive."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(DataError) as caught:
        load_cifar10(path)
    assert not isinstance(caught.value, DataNotFoundError)
    for word in (str(path), *words):
        assert word in str(caught.value)
    assert sorted(path.parent.rglob("*")) == before


def link(name: str, kind: bytes, target: str = "../../etc/passwd") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "name",
    ["/train/cat/9.png", "../train/cat/9.png", "train/cat/../../9.png", "C:/9.png", "train\\cat\\9.png"],
)
@pytest.mark.parametrize("suffix", [".tar", ".tar.xz", ".zip"])
def test_a_name_outside_the_folder_is_refused(tmp_path: Path, name: str, suffix: str) -> None:
    path = write(tmp_path / f"hostile{suffix}", FILES | {name: b"x"})
    refused(path, repr(name), "outside the archive's own folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    path = write_tar(tmp_path / "links.tar.gz", FILES, [link("train/cat/9.png", kind)])
    refused(path, "train/cat/9.png", "link or a device")


def test_a_sparse_member_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("train/cat/9.png")
    member.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": "900000", "GNU.sparse.major": "0"}
    refused(write_tar(tmp_path / "sparse.tar", FILES, [member]), "train/cat/9.png", "not a plain file")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "links.zip", FILES)
    with zipfile.ZipFile(path, "a") as archive:
        member = zipfile.ZipInfo("train/cat/9.png")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, "/etc/passwd")
    refused(path, "train/cat/9.png", "link or a device")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "secret.zip", FILES)
    content = bytearray(path.read_bytes())
    for match in re.finditer(b"PK\x01\x02", bytes(content)):  # the flag is in the central directory
        content[match.start() + 8] |= 1
    path.write_bytes(content)
    refused(path, "train/airplane/0000.png", "encrypted. Give an archive without a password")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_zip_compression_is_refused(tmp_path: Path, compression: int) -> None:
    refused(write_zip(tmp_path / "odd.zip", FILES, compression), "train/airplane/0000.png", "deflate")


@pytest.mark.parametrize("suffix", ["", ".tar.xz", ".zip"])
def test_a_member_too_large_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"large{suffix}", FILES | {"train/cat/9.png": bytes(archives.IMAGE_BYTES + 1)})
    refused(path, "train/cat/9.png", "1,000,001 bytes")


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_too_many_members_are_refused(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 29)
    refused(write(tmp_path / f"many{suffix}", FILES), "more than 29 members")


@pytest.mark.parametrize("suffix", [".tar", ".tar.xz", ".zip"])
def test_more_bytes_than_the_total_are_refused(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "TOTAL_BYTES", 50_000)
    refused(write(tmp_path / f"total{suffix}", FILES), "unpacks to more")


@pytest.mark.parametrize("opener", [lzma.open, gzip.open])
def test_a_bomb_of_zeros_stops_early(tmp_path: Path, opener: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros look like the end of a tar; what follows is still counted."""
    monkeypatch.setattr(archives, "TOTAL_BYTES", 20_000_000)
    path = tmp_path / "zeros.tar.xz"
    with opener(path, "wb") as file:
        for _ in range(40):
            file.write(bytes(1_000_000))
    refused(path, "unpacks to more")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("size", [40_000_000, 8 * 2**30 - 1])
def test_a_bomb_in_a_header_is_not_read_at_once(tmp_path: Path, kind: bytes, size: int) -> None:
    """A header of 40 MB or 8 GB, of zeros, that tarfile would read into memory before it returns any member."""
    member = tarfile.TarInfo("train/cat/9.png")
    member.type, member.size = kind, size
    path = tmp_path / "header.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(member.tobuf(tarfile.GNU_FORMAT) + bytes(1_000_000))
    tracemalloc.start()
    refused(path, "unpacks to more")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_a_zip_that_lies_about_its_sizes_is_not_unpacked(tmp_path: Path) -> None:
    """50 MB of zeros declared as 500 bytes: at most what was declared is unpacked."""
    path = tmp_path / "liar.zip"
    name, zeros = b"train/cat/9.png", bytes(50_000_000)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(zeros) + packer.flush()
    sizes = struct.pack("<IIIHH", zlib.crc32(zeros), len(packed), 500, len(name), 0)
    common = struct.pack("<HHHHH", 20, 0, 8, 0, 33) + sizes
    local = b"PK\x03\x04" + common + name + packed
    central = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)
    path.write_bytes(local + central + end)
    del zeros
    tracemalloc.start()
    refused(path, "truncated or damaged")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".tar", ".tar.xz", ".tar.gz", ".zip"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_archive_says_so(tmp_path: Path, suffix: str, share: float) -> None:
    path = write(tmp_path / f"cut{suffix}", image_files(per_class=5))
    content = path.read_bytes()
    if suffix == ".tar":
        content = content.rstrip(b"\0")  # tar pads with zeros, which nobody misses
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "truncated or damaged: fetch it again")


def test_a_tar_cut_between_two_members_says_so(tmp_path: Path) -> None:
    """tarfile alone takes it for whole."""
    path = write_tar(tmp_path / "cut.tar", FILES | {"train/cat/last.png": FILES["train/cat/0000.png"]})
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1].offset
    path.write_bytes(path.read_bytes()[:last])
    refused(path, "truncated or damaged: fetch it again", "no end mark")


def test_a_tar_with_a_broken_header_says_so(tmp_path: Path) -> None:
    """tarfile alone takes it for the end."""
    path = write_tar(tmp_path / "broken.tar", FILES | {"train/cat/last.png": FILES["train/cat/0000.png"]})
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1].offset
    content = bytearray(path.read_bytes())
    content[last + 10] ^= 1
    path.write_bytes(content)
    refused(path, "truncated or damaged: fetch it again")


@pytest.mark.parametrize("suffix", [".tar.xz", ".tar.gz"])
def test_a_wrong_checksum_at_the_end_is_noticed(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"sum{suffix}", FILES)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    refused(path, "truncated or damaged: fetch it again")


def test_a_web_page_named_tar_gz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_text("<!DOCTYPE html><html>Please log in</html>" * 50, encoding="utf-8")
    refused(path, "truncated or damaged: fetch it again")


@pytest.mark.parametrize("suffix", [".tar.xz", ".tar.gz", ".tar", ".zip"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_damaged_bytes_give_the_images_or_a_data_error(tmp_path: Path, suffix: str, seed: int) -> None:
    """A few bytes changed anywhere: never another exception, and never an image more or less."""
    path = write(tmp_path / f"fuzz{suffix}", FUZZED)
    content, chance = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(chance.choice([1, 3, 30])):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(DataError):
            splits = decode.decode(path)
            assert [len(labels) for _, labels in splits.values()] == [10, 10]


FUZZED = image_files(per_class=1, kind="JPEG")


def test_a_hostile_name_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "escape.tar", FILES | {"train/\x1b[2J/9.png": b"x"})
    with pytest.raises(DataError) as caught:
        load_cifar10(path)
    assert "\x1b" not in str(caught.value)


# Archives that are whole, but not CIFAR-10


@pytest.mark.parametrize("suffix", ["", ".tar.xz", ".zip"])
@pytest.mark.parametrize("name", ["train/frogs/9.png", "train/Cat/9.png", "test/9/9.png"])
def test_an_unknown_class_folder_is_refused(tmp_path: Path, suffix: str, name: str) -> None:
    refused(write(tmp_path / f"class{suffix}", FILES | {name: FILES["train/cat/0000.png"]}), repr(name))


@pytest.mark.parametrize("name", ["val/cat/9.png", "train/9.png", "a/b/train/cat/9.png", "other/train/cat/9.png"])
def test_an_image_in_the_wrong_place_is_refused(tmp_path: Path, name: str) -> None:
    refused(write(tmp_path / "place.zip", FILES | {name: FILES["train/cat/0000.png"]}), repr(name))


@pytest.mark.parametrize("suffix", ["", ".tar.gz"])
def test_a_missing_class_is_named(tmp_path: Path, suffix: str) -> None:
    files = {name: content for name, content in FILES.items() if "test/frog" not in name}
    refused(write(tmp_path / f"nine{suffix}", files), "no test images of frog")


def test_the_same_member_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in [*FILES.items(), ("train/cat/0000.png", FILES["train/dog/0000.png"])]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    refused(path, "train/cat/0000.png", "twice")


@pytest.mark.parametrize(
    "content",
    [b"", b"not an image", FILES["train/cat/0000.png"][:400], b"GIF89a" + bytes(100)],
    ids=["empty", "text", "cut", "gif"],
)
def test_an_image_that_does_not_decode_is_named(tmp_path: Path, content: bytes) -> None:
    path = write_folder(tmp_path / "images", FILES | {"train/cat/9.jpg": content})
    refused(path, "train/cat/9.jpg", "does not decode")


def test_an_image_of_another_size_is_named(tmp_path: Path) -> None:
    """Its size is read from its header: a picture of a gigapixel is not unpacked."""
    large = encode(np.zeros((64, 64, 3), np.uint8))
    refused(write(tmp_path / "size.zip", FILES | {"test/cat/9.png": large}), "test/cat/9.png", "64×64")
    header = b"IHDR" + struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    refused(write(tmp_path / "bomb.zip", FILES | {"test/cat/9.png": bomb}), "test/cat/9.png")


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    extra = {"README.txt": b"hello", ".DS_Store": b"x", "train/cat/notes.txt": b"x"}
    extra |= {"__MACOSX/train/cat/._0000.png": b"x"}
    path = write(tmp_path / "extra.zip", FILES | extra)
    assert load_cifar10(path)[0].shape == (20, 3, 32, 32)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "closed.zip", FILES)
    real_open = Path.open

    def refuse(self: Path, *args: str) -> io.IOBase:
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return real_open(self, *args)

    monkeypatch.setattr(Path, "open", refuse)
    refused(path, "Permission denied")
