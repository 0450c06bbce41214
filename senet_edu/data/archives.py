"""Read files out of untrusted folders, tar and zip archives. Nothing is ever written to disk.

Archives come from anywhere, so their headers are not believed: what they unpack to is counted
while it is read, and reading stops at the first thing that has no place in a set of images.
"""

from __future__ import annotations

import gzip
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from senet_edu.data.sources import BATCH_MD5, SPLITS, DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
IMAGE_BYTES = 1_000_000  # no image of 32×32 or 64×64 needs more
BATCH_BYTES = 32_000_000  # an official batch has 31,035,704
TOTAL_BYTES = 512_000_000  # unpacked; CIFAR-10 has 186 MB, its images as PNG about 210 MB, Tiny-ImageNet 250 MB
MAX_MEMBERS = 200_000


def _is_wanted(name: str) -> bool:
    """An official batch or an image; a leading dot marks what a file manager left behind."""
    path = PurePosixPath(name)
    return path.name in BATCH_MD5 or (path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."))


def folder_files(path: Path) -> list[Path]:
    """The files of a folder that `read_files` would yield, in a fixed order."""
    batches = [path / name for name in BATCH_MD5 if (path / name).is_file()]
    return batches or [file for split in SPLITS for file in sorted((path / split).glob("*/*")) if _is_wanted(file.name)]


def read_files(
    path: Path,
    wanted: Callable[[str], bool] = _is_wanted,
    listing: Callable[[Path], list[Path]] = folder_files,
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every image and official batch in a folder, .tar, .tar.gz, .tar.xz or .zip.

    Names are relative, with forward slashes; other files are skipped unread. Which kind of archive it is
    is told by its first bytes, not by its name. For another data set, `wanted` tells by the name which members
    of an archive to read, and `listing` which files of a folder. Raises DataError, naming the archive and the
    member, for: a truncated or damaged archive; a member that is absolute, has "..", is a link, a device,
    encrypted or larger than its kind can be; too many members; more than TOTAL_BYTES unpacked.
    """
    with _naming_damage(path):
        if path.is_dir():
            yield from _read_folder(path, listing(path))
            return
        with path.open("rb") as file:
            start = file.read(6)
        if start.startswith(b"PK"):
            yield from _read_zip(path, wanted)
        elif start.startswith(b"\x1f\x8b"):
            yield from _read_tar(path, gzip.open, wanted)
        elif start == b"\xfd7zXZ\0":
            yield from _read_tar(path, lzma.open, wanted)
        else:
            yield from _read_tar(path, open, wanted)


def _read_folder(path: Path, files: list[Path]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        name = file.relative_to(path).as_posix()
        if not file.is_file():
            raise DataError(f"{path}: {name!r} is not a regular file. Remove it.")
        _check_size(path, name, file.stat().st_size)
        yield name, file.read_bytes()


def _read_tar(path: Path, opener: Callable[..., Any], wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with opener(path, "rb") as stream:
        reader = _CountingReader(path, stream)
        # tarfile only reads, tells and seeks forward here
        with tarfile.open(fileobj=reader, mode="r:") as tar:  # type: ignore[call-overload]
            for count, member in enumerate(tar, start=1):
                _check_member(path, member.name, count)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise DataError(f"{path}: {member.name!r} is a link or a device, not a plain file. Refused.")
                _check_size(path, member.name, member.size)
                if wanted(member.name):
                    content = reader.read(member.size)
                    if len(content) < member.size:
                        raise EOFError(f"it ends within {member.name!r}")
                    yield member.name, content
        # tarfile takes a broken header for the end: insist on the block of zeros that marks a real end,
        # and read on to the end of the file, where gzip and xz keep their checksums
        if reader.latest != bytes(tarfile.BLOCKSIZE):
            raise EOFError("the archive has no end mark")
        while reader.read(1 << 16):
            pass


class _CountingReader:
    """A stream for tarfile: forward only, and never more than TOTAL_BYTES, whatever the headers promise."""

    def __init__(self, path: Path, stream: IO[bytes]):
        self.path, self.stream = path, stream
        self.position, self.latest = 0, b""

    def read(self, size: int) -> bytes:
        # checked before reading: a header may ask for gigabytes at once
        if size > BATCH_BYTES or self.position + size > TOTAL_BYTES + (1 << 16):
            raise DataError(f"{self.path}: unpacks to more than any data set here. Refused.")
        chunk = self.stream.read(size)
        self.position += len(chunk)
        if chunk:
            self.latest = chunk
        return chunk

    def tell(self) -> int:
        return self.position

    def seek(self, position: int) -> int:
        if position < self.position:
            raise DataError(f"{self.path}: its members overlap. Refused.")
        while self.position < position and self.read(min(position - self.position, 1 << 16)):
            pass
        return self.position


def _read_zip(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    total = 0
    with zipfile.ZipFile(path) as archive:
        for count, member in enumerate(archive.infolist(), start=1):
            name = member.filename
            _check_member(path, name, count)
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):  # 0: written where files have no Unix mode
                raise DataError(f"{path}: {name!r} is a link or a device, not a plain file. Refused.")
            if member.flag_bits & 1:
                raise DataError(f"{path}: {name!r} is encrypted. Give an archive without a password.")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(f"{path}: {name!r} is packed in an unusual way. Zip it again with deflate.")
            _check_size(path, name, member.file_size)
            if wanted(name):
                with archive.open(member) as file:
                    # with a size, since read() alone unpacks whatever follows before it looks at the header's
                    content = file.read(member.file_size + 1)
                total += len(content)
                if total > TOTAL_BYTES:
                    raise DataError(f"{path}: unpacks to more than any data set here. Refused.")
                yield name, content


def _check_member(path: Path, name: str, count: int) -> None:
    if count > MAX_MEMBERS:
        raise DataError(f"{path}: more than {MAX_MEMBERS:,} members (at {name!r}). Refused.")
    # a colon or a backslash is a drive or a separator on Windows
    if name.startswith("/") or ".." in PurePosixPath(name).parts or set(name) & {":", "\\", "\0"}:
        raise DataError(f"{path}: {name!r} would lie outside the archive's own folder. Refused.")


def _check_size(path: Path, name: str, size: int) -> None:
    limit = BATCH_BYTES if PurePosixPath(name).name in BATCH_MD5 else IMAGE_BYTES
    if size > limit:
        raise DataError(f"{path}: {name!r} has {size:,} bytes, more than {limit:,}. Refused.")


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    """Turn whatever the parsers raise into a DataError that names the file."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # damaged bytes make gzip, lzma, tarfile and zipfile raise a dozen kinds
        if isinstance(error, OSError) and error.filename:  # it could not even be opened
            raise DataError(f"{error.filename}: cannot be read ({error.strerror}).") from error
        detail = f"{type(error).__name__}: {error}"
        raise DataError(f"{path} is truncated or damaged: fetch it again ({detail})") from error
