"""What every explorer shares: one ES module out of several, one style sheet, a name that stays the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

import anywidget
import numpy as np
import traitlets
from torch import Tensor

FOLDER = files("senet_edu") / "widgets"
CLASSES = ("airplane", "cat", "frog", "truck")  # drawn at first; other data start with their first four
IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.mjs)";\n', re.MULTILINE)


def read(name: str) -> str:
    """The text of a file beside this one."""
    return (FOLDER / name).read_text(encoding="utf-8")


def module(name: str) -> str:
    """The JavaScript module `name` with all that it imports, as one: a widget sends a single text to the page.

    Modules import by name from files beside them (``import { a, b } from "./other.mjs";``) and no two of them use one
    name at their top level. The text keeps only the export of the widget itself.
    """
    texts: dict[str, str] = {}

    def gather(name: str) -> None:
        text = read(name)
        for other in IMPORT.findall(text):
            if other not in texts:
                gather(other)
        texts[name] = IMPORT.sub("", text)

    gather(name)
    return re.sub(r"^export (?!default)", "", "\n".join(texts.values()), flags=re.MULTILINE)


def first_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """The classes to draw at first."""
    return CLASSES if set(CLASSES) <= set(classes) else tuple(classes[: len(CLASSES)])


def float_bytes(parts: Iterable[Tensor]) -> bytes:
    """Tensors one after the other as float32, little endian: what `floats` of numbers.mjs reads."""
    return b"".join(np.ascontiguousarray(part.numpy(), "<f4").tobytes() for part in parts)


def one_of(proposal: Any, known: Sequence[Any]) -> Any:
    """The value proposed for a trait, or a TraitError if it is not known."""
    if proposal["value"] not in known:
        raise traitlets.TraitError(f"{proposal['trait'].name} is one of {known}, not {proposal['value']!r}")
    return proposal["value"]


def some_of(chosen: list[str], known: list[str], most: int) -> list[str]:
    """`chosen`, or a TraitError if it has a class that is not known, one twice, or more than `most`."""
    if unknown := [name for name in chosen if name not in known]:
        raise traitlets.TraitError(f"no class {unknown}; there are {known}")
    if len(set(chosen)) < len(chosen) or len(chosen) > most:
        raise traitlets.TraitError(f"choose at most {most} classes, each once, not {chosen}")
    return chosen


class Explorer(anywidget.AnyWidget):
    """A widget that is written on the page by its class and `shown`: no address, so that two runs print the same.

    Attributes:
        shown: names of the traits that a reader moves.
    """

    shown: tuple[str, ...] = ()
    _css = read("explorer.css")

    def __init__(self, **traits: Any) -> None:
        if unknown := traits.keys() - set(self.trait_names()):
            known = ", ".join(self.shown)
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}; it takes {known}")
        super().__init__(**traits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.shown)})"
