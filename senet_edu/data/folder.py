"""Images of a folder, read when they are needed: for sets too large for memory, in ImageNet's layout."""

from __future__ import annotations

import dataclasses
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from senet_edu.data.decode import to_rgb
from senet_edu.data.sources import DataError


def image_folder(root: str | Path, size: int = 224, workers: int | None = None) -> tuple[FolderImages, Tensor]:
    """The images in ROOT/<class>/…, as `fit`, `evaluate` and `record_excitations` take them; and their labels.

    Args:
        root: the folder; a class is a folder in it, and classes are numbered in alphabetical order.
        size: the shorter side is scaled to it, and a square of so many pixels cut from the middle.
        workers: processes that read ahead; by default one a core, up to 8. 0 reads in this process.

    Returns:
        Images [n, 3, size, size] that stay on the disk, with `classes`; labels int64 [n].

    Raises:
        DataError: no such folder, or a class folder without images.
    """
    from torchvision.datasets import ImageFolder

    root = Path(root).expanduser()
    try:
        found = ImageFolder(str(root))
    except OSError as error:
        raise DataError(f"{root} is not a folder of class folders with images ({error})") from error
    files = tuple(Path(path).relative_to(root).as_posix() for path, _ in found.samples)
    workers = min(os.cpu_count() or 1, 8) if workers is None else workers
    return FolderImages(root, files, tuple(found.classes), size, workers), torch.tensor(found.targets)


@dataclass(frozen=True)
class FolderImages:
    """What `image_folder` returns: like a tensor uint8 [n, 3, size, size], but each image is read when it is asked for.

    Attributes:
        root: the folder.
        files: the images' names in it.
        classes: names of the classes.
        size: height and width.
        workers: processes that read ahead in `batches` and `split`.
        device: where the images go once they are read.
    """

    root: Path
    files: tuple[str, ...]
    classes: tuple[str, ...]
    size: int
    workers: int
    device: torch.device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self), 3, self.size, self.size))

    def __getitem__(self, part: slice | Tensor | Sequence[int]) -> FolderImages:
        """Some of the images, still unread: a slice, those with the indices [m], or where a mask [n] is True.

        Raises:
            TypeError: anything else, such as a single number: ``images[3:4].load()`` has that image.
        """
        if isinstance(part, slice):
            return dataclasses.replace(self, files=self.files[part])
        which = torch.as_tensor(part)
        if which.dim() != 1:
            raise TypeError("images of a folder are taken by a slice, by indices [m] or a mask [n]: images[3:4].load()")
        indices = which.nonzero()[:, 0] if which.dtype == torch.bool else which
        return dataclasses.replace(self, files=tuple(self.files[i] for i in indices.tolist()))

    def to(self, device: torch.device) -> FolderImages:
        return dataclasses.replace(self, device=device)

    def load(self) -> Tensor:
        """All images, in memory."""
        return torch.cat(list(self.split(500)))

    def split(self, batch_size: int) -> Iterator[Tensor]:
        """All images in order, in batches."""
        return self.batches(torch.arange(len(self)).split(batch_size))

    def batches(self, indices: Sequence[Tensor]) -> Iterator[Tensor]:
        """The images of each of `indices` in turn, [m, 3, size, size]; workers read the next ones ahead.

        Raises:
            DataError: an image cannot be read; the message names it.
        """
        loader = DataLoader(
            Reader(self),
            batch_sampler=[index.tolist() for index in indices],
            num_workers=self.workers,
            collate_fn=together,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # else it draws from the global one, which the training goes by
        )
        for batch in loader:
            if isinstance(batch, DataError):
                raise batch
            yield batch.to(self.device, non_blocking=True)

    def checksum(self) -> int:
        """CRC-32 of the images' names, their lengths in bytes, and `size`; no image is read."""
        crc = zlib.crc32(f"{self.size}".encode())
        for name in self.files:
            entry = f"{name} {(self.root / name).stat().st_size}\n"
            crc = zlib.crc32(entry.encode(errors="surrogateescape"), crc)  # a name need not be UTF-8
        return crc


Images: TypeAlias = Tensor | FolderImages


class Reader(Dataset[Tensor | DataError]):
    """One image a call, for a DataLoader. An error is returned: raised in a worker, it would lose its own words."""

    def __init__(self, images: FolderImages) -> None:
        self.images = images

    def __getitem__(self, i: int) -> Tensor | DataError:
        from PIL import Image
        from torchvision.transforms import functional

        path, size = self.images.root / self.images.files[i], self.images.size
        try:
            with Image.open(path) as image:
                rgb = to_rgb(image)
            return functional.pil_to_tensor(functional.center_crop(functional.resize(rgb, size), size))
        except Exception as error:  # the decoders raise many kinds for damaged bytes
            return DataError(f"{path} cannot be read as an image: fetch it again or remove it ({error})")


def together(images: list[Tensor | DataError]) -> Tensor | DataError:
    """A batch, or the first error in it."""
    errors = [image for image in images if isinstance(image, DataError)]
    return errors[0] if errors else torch.stack([image for image in images if isinstance(image, Tensor)])
