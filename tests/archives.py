"""Builds small copies of CIFAR-10 out of drawn images, in every layout that the loader reads."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from senet_edu.data import decode, shapes, sources

Files = dict[str, bytes]


def encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def image_files(per_class: int = 2, kind: str = "PNG") -> Files:
    """`train/<class>/0000.png` and `test/...`, one image a class in test; pixels from `shapes`."""
    images, labels = shapes(10 * (per_class + 1), seed=0)
    files: Files = {}
    for label, name in enumerate(sources.CIFAR10_CLASSES):
        for i, image in enumerate(images[labels == label]):
            split = "train" if i < per_class else "test"
            pixels = image.permute(1, 2, 0).contiguous().numpy()
            files[f"{split}/{name}/{i:04d}.{kind.lower()}"] = encode(pixels, kind)
    return files


def write_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def write_tar(path: Path, files: Mapping[str, bytes], extra: list[tarfile.TarInfo] | None = None) -> Path:
    """The compression is the suffix's; `extra` members come last and have no content."""
    mode = {".xz": "w:xz", ".gz": "w:gz"}.get(path.suffix, "w:")
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra or []:
            tar.addfile(member)
    return path


def write_zip(path: Path, files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write(path: Path, files: Mapping[str, bytes]) -> Path:
    """A folder, tar or zip, as the suffix says."""
    writer = {"": write_folder, ".zip": write_zip}.get(path.suffix, write_tar)
    return writer(path, files)


def official_batches(monkeypatch: pytest.MonkeyPatch, per_batch: int = 20) -> Files:
    """The six batches, small, as Python 2 pickled them; the md5 table and the size are set to theirs."""
    monkeypatch.setattr(decode, "BATCH_IMAGES", per_batch)
    files: Files = {}
    for seed, name in enumerate(sources.BATCH_MD5):
        images, labels = shapes(per_batch, seed)
        content = python2_pickle(images.flatten(1).numpy(), labels.tolist())
        files[f"{sources.BATCH_FOLDER}/{name}"] = content
        monkeypatch.setitem(sources.BATCH_MD5, name, hashlib.md5(content).hexdigest())
    return files


def python2_pickle(data: np.ndarray, labels: list[int]) -> bytes:
    """{'data': data, 'labels': labels} in the opcodes of Python 2's cPickle and numpy 1."""

    def string(text: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(text)) + text

    def integer(number: int) -> bytes:
        return b"J" + struct.pack("<i", number)

    dtype = b"cnumpy\ndtype\n" + string(b"u1") + b"K\x00K\x01\x87R(K\x03" + string(b"|") + b"NNN"
    dtype += integer(-1) * 2 + b"K\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + string(b"b") + b"\x87R"
    array += b"(K\x01" + b"".join(map(integer, data.shape)) + b"\x86" + dtype + b"\x89"
    array += string(data.tobytes()) + b"tb"
    items = b"](" + b"".join(map(integer, labels)) + b"e"
    return b"\x80\x02}(" + string(b"data") + array + string(b"labels") + items + b"u."
