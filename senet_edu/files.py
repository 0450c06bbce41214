"""Files that appear whole or not at all: checkpoints, records, weights, the data cache."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[str], object]) -> None:
    """Call `write(temporary path)`, then put the result in place of `path` in one step, safe against a power cut.

    Of two processes the last one wins. What a killed one leaves behind is named `.NAME-….tmp`.

    Raises:
        OSError, and what `write` raises: `path` is then as it was. (safetensors' own error, of a full disk for
            instance, is raised as an OSError.)
    """
    from safetensors import SafetensorError

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = str(path.with_name(f".{path.name}-{uuid.uuid4().hex}.tmp"))
    try:
        Path(temporary).touch()
        usual = os.stat(temporary).st_mode
        try:
            write(temporary)
        except SafetensorError as error:
            raise OSError(f"{path} could not be written ({error}): make room, or take another folder") from error
        os.chmod(temporary, usual)  # safetensors makes files that nobody but their owner may read
        with open(temporary, "rb+") as file:  # Windows flushes no file that is open for reading only
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
