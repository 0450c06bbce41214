"""Run the chapters: from their text (`notebooks/NN_name.py`) to executed notebooks."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

WIDGETS = "application/vnd.jupyter.widget-state+json"


class CourseError(RuntimeError):
    """The chapters are not there, or a cell failed; the message says where and what to do."""


def find_notebooks(folder: str | Path | None = None) -> Path:
    """The folder of chapters: the one given, `notebooks` here, or `notebooks` beside the package (a clone).

    Raises:
        CourseError: no chapter in any of them.
    """
    here = [Path("notebooks"), Path(__file__).resolve().parents[1] / "notebooks"]
    for place in [Path(folder)] if folder is not None else here:
        if any(place.glob("[0-9A-Z]*.py")):
            return place.resolve()
    raise CourseError(
        f"no chapters in {folder or 'notebooks'}. They come with the repository, not with the installed package: "
        "clone it, and run this in the clone."
    )


def chapters(folder: Path) -> list[Path]:
    """The chapters' texts in reading order."""
    return sorted(folder.glob("[0-9A-Z]*.py"))


def read_chapter(path: Path) -> Any:
    """The notebook of a chapter's text, not run yet, with cell ids that stay the same from run to run."""
    import jupytext

    notebook = jupytext.read(path)
    notebook.metadata.get("jupytext", {}).pop("text_representation", None)  # as jupytext itself writes .ipynb
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"{path.stem}-{i:02d}"
        cell.metadata.pop("lines_to_next_cell", None)
    return notebook


def run_chapter(path: Path, out: Path, on_cell: Callable[[], None] = lambda: None, timeout: int = 3600) -> Path:
    """Run one chapter from its text and write `out`/<name>.ipynb with its outputs; returns that path.

    Args:
        path: the chapter's text.
        out: folder for the executed notebook.
        on_cell: called after each cell.
        timeout: seconds a cell may take.

    Raises:
        CourseError: a cell failed; what had run is written all the same.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = read_chapter(path)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--log-level=ERROR"],  # not the kernel's warning about its own sockets
        on_cell_complete=lambda cell, cell_index: on_cell(),
    )
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{path.stem}.ipynb"
    try:
        client.execute(env={**os.environ, "TQDM_DISABLE": "1"})  # bars are for people; nobody watches these cells
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise CourseError(f"{path.name} stopped: {error}\nWhat ran is in {target}.") from error
    finally:
        nbformat.write(stable(notebook, path.stem), target)
    return target


def stable(notebook: Any, stem: str) -> Any:
    """The same notebook with ids of widgets and addresses in memory numbered, so that two runs give the same file."""
    import nbformat

    text = json.dumps(notebook)
    found = re.findall(r'"model_id": "([0-9a-f]{32})"|IPY_MODEL_([0-9a-f]{32})', text)
    state = notebook.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {})
    for i, old in enumerate(dict.fromkeys([a or b for a, b in found] + list(state))):
        text = text.replace(old, hashlib.md5(f"{stem}-{i}".encode(), usedforsecurity=False).hexdigest())
    same = nbformat.from_dict(json.loads(text))
    for out in (out for cell in same.cells for out in cell.get("outputs", [])):
        for place, key in ((out, "text"), (out.get("data", {}), "text/plain")):
            if key in place:
                place[key] = re.sub(r"0x[0-9a-f]{8,16}", "0x0", place[key])
    return same
