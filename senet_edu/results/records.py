"""Records: one JSON file a run, with what was done on what, when and where, and what came out."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from senet_edu.files import write_atomically
from senet_edu.training import describe

ASSETS = Path(str(files("senet_edu"))) / "assets"
RECORDS, WEIGHTS, EXCITATIONS = ASSETS / "records", ASSETS / "weights", ASSETS / "excitations"


class AssetError(RuntimeError):
    """A record or weights file of the package is missing or damaged; the message names it."""


def list_records() -> list[str]:
    """Names of the records that the package ships; those of trials begin with the name of their folder."""
    return sorted(path.relative_to(RECORDS).with_suffix("").as_posix() for path in RECORDS.rglob("*.json"))


def load_record(name: str) -> dict[str, Any]:
    """A shipped record by name.

    Raises:
        AssetError: there is none of that name, or it is damaged.
    """
    path = RECORDS / f"{name}.json"
    if not path.exists():
        raise AssetError(f"no record {name!r} in {RECORDS}; there are {', '.join(list_records()) or 'none'}")
    return read_record(path, "install the package again")


def read_record(path: Path, mend: str = "delete it, and train again in its folder") -> dict[str, Any]:
    """The record in a file; an AssetError that says how to `mend` it if it is damaged."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise AssetError(f"{path} is damaged ({error}); {mend}") from error


def look_up(claim: str) -> Any:
    """A value by "record.key.key", e.g. "se_resnet18-quarter.accuracy"; list items by number.

    Raises:
        AssetError: no such record, or no such key in it.
    """
    name, *keys = claim.split(".")
    value = load_record(name)
    for key in keys:
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise AssetError(f"record {name!r} has no {'.'.join(keys)}") from error
    return value


def write_record(record: dict[str, Any], path: str | Path) -> None:
    """Write a record as JSON."""
    text = json.dumps(record, indent=1) + "\n"
    write_atomically(Path(path), lambda temporary: Path(temporary).write_text(text, encoding="utf-8"))


def circumstances(started: str) -> dict[str, Any]:
    """Where and when, as every record ends: the machine and its versions, the commit, begin and end (UTC, ISO 8601)."""
    return {
        "machine": describe(),
        "commit": commit(),
        "started": started,
        "finished": now(),
    }


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def commit() -> str:
    """The commit of the checkout that runs, with "+changes" if it has any.

    Outside a checkout, as in a copy of one without its history: SENET_EDU_COMMIT if set, else the package's version.
    """
    import subprocess
    from importlib.metadata import PackageNotFoundError, version

    def git(*arguments: str) -> str:
        call = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != Path(__file__).resolve().parents[2]:
            raise FileNotFoundError("an installed package inside somebody else's repository")
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        if given := os.environ.get("SENET_EDU_COMMIT"):
            return given
    try:
        return f"senet-edu {version('senet-edu')}"
    except PackageNotFoundError:  # neither a checkout nor installed
        return "unknown"
