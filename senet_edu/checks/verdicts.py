"""How an answer is judged: run it on random inputs beside a reference; find the mistake that explains it.

A mistake is a function too: it returns what that mistake would give. The first whose numbers are the reader's
numbers, on every input, is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """What a checker found; a notebook shows its message.

    Attributes:
        exercise: its number, "2.1".
        solved: None when it was not tried yet.
        message: one to four sentences.
    """

    exercise: str
    solved: bool | None
    message: str

    def __repr__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Mistake:
    """A typical mistake: what it would return on the same arguments, and how to tell the reader."""

    says: str
    gives: Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """The arguments of one call, by name, and how a message calls them."""

    arguments: dict[str, Any]
    label: str = ""

    def __str__(self) -> str:
        return self.label or ", ".join(describe(name, value) for name, value in self.arguments.items())


class NotTried(Exception):
    """The answer is still a stub."""


class Finding(Exception):
    """Something wrong that was seen directly and is said in words, as the text of the exception."""


Outcome = Tensor | Exception
Read = Callable[..., Any]


def diagnose(
    exercise: str,
    answer: Any,
    cases: Sequence[Case],
    reference: Callable[..., Any],
    mistakes: Sequence[Mistake],
    right: str,
    read: Read = lambda function, *arguments: function(*arguments),
    difference: Callable[[Case, Tensor, Tensor], str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> Verdict:
    """Judge an answer: not tried, right, or not yet and probably why.

    Args:
        exercise: its number.
        answer: what the reader wrote.
        cases: the inputs; each gets copies of its own.
        reference: the right function.
        mistakes: typical ones, the likeliest first.
        right: what was checked, told when the answer is right.
        read: calls a function (answer, reference or mistake) on a case's arguments and returns its numbers.
        difference: puts the difference of two results in words; without it, the largest and its place.
        errors: words in the message of an exception, and the mistake that most likely leads to it.
    """

    def verdict(solved: bool | None, *sentences: str) -> Verdict:
        text = " ".join(end_sentence(s) for s in sentences if s)
        return Verdict(exercise, solved, f"Exercise {exercise}: {text}")

    if answer is None or answer is Ellipsis:
        return verdict(None, "not tried yet")
    if not callable(answer):
        return verdict(False, "not yet", "Give the checker the function itself, without calling it")

    got = [run(read, answer, case) for case in cases]
    if all(isinstance(outcome, NotTried) for outcome in got):
        return verdict(None, "not tried yet", str(got[0]) or missing_return(answer))
    with own_random_numbers():
        expected = [numbers(read(reference, *case.arguments.values())) for case in cases]
    agrees = [same(outcome, want) for outcome, want in zip(got, expected, strict=True)]
    if all(agrees):
        return verdict(True, "right", right, shape_note(got[0], expected[0]))

    first = agrees.index(False)
    outcome, case, want = got[first], cases[first], expected[first]
    if isinstance(outcome, Finding):
        return verdict(False, "not yet", str(outcome))
    mistake = next((m for m in mistakes if explains(m, read, cases, got, expected)), None)
    probably = f"Probably: {mistake.says}" if mistake else ""
    if isinstance(outcome, NotTried):
        return verdict(False, "not yet", probably, f"For {case} it returns nothing")
    if isinstance(outcome, Exception):
        likely = next((says for words, says in (errors or {}).items() if words in str(outcome)), "")
        probably = probably or (f"Probably: {likely}" if likely else "")
        return verdict(False, "not yet", probably, f"For {case} it stopped with {in_words(outcome)}")
    if outcome.squeeze().shape != want.squeeze().shape:
        shapes = f"the result should have the shape {list(want.shape)} and has {list(outcome.shape)}"
        return verdict(False, "not yet", probably, f"For {case} {shapes}")
    if mistake:
        return verdict(False, "not yet", probably)
    told = (difference or largest_difference)(case, outcome.squeeze().reshape(want.shape), want)
    good = [str(case) for case, ok in zip(cases, agrees, strict=True) if ok]
    return verdict(False, "not yet", f"For {case} {told}", f"It is right for {good[0]}" if good else "")


def run(read: Read, function: Callable[..., Any], case: Case) -> Outcome:
    """The numbers that a function returns on a case, or the exception that it ends with."""
    arguments = {name: copy(value) for name, value in case.arguments.items()}
    try:
        with own_random_numbers():
            result = numbers(read(function, *arguments.values()))
    except Exception as error:
        return NotTried() if is_stub(error) else error  # a NotTried may have a reason
    for name, value in arguments.items():
        if isinstance(value, Tensor) and not torch.equal(value, case.arguments[name]):
            return Finding(f"It changes its argument {name} in place, and its caller loses the original")
    return result


def explains(
    mistake: Mistake, read: Read, cases: Sequence[Case], got: Sequence[Outcome], expected: Sequence[Tensor]
) -> bool:
    """Whether the mistake gives the reader's numbers wherever both give any, and somewhere wrong ones."""
    seen = False
    for case, outcome, want in zip(cases, got, expected, strict=True):
        predicted = run(read, mistake.gives, case)
        if isinstance(outcome, Exception) or isinstance(predicted, Exception):
            continue
        if not same(outcome, predicted):
            return False
        seen = seen or not same(predicted, want)
    return seen


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """On the CPU, in float32, with gradients, from a fixed seed; afterwards all of it is as it was."""
    usual = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), torch.enable_grad():
        torch.default_generator.manual_seed(0)
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(usual)


def numbers(value: Any) -> Tensor:
    """A result as float64 numbers, whether it came as a tensor, an array, a number, or a list of these."""
    if value is None or value is Ellipsis:
        raise NotTried
    if isinstance(value, Tensor):
        if value.is_nested:
            raise Finding("It returns a nested tensor; asked is an ordinary one")
        dense = value if value.layout == torch.strided else value.to_dense()
        return dense.detach().cpu().double()
    try:
        if isinstance(value, list | tuple):
            parts = [numbers(v) for v in value]
            if len({part.shape for part in parts}) > 1:
                raise Finding(f"It returns a {type(value).__name__} whose entries differ in shape")
            return torch.stack(parts) if parts else torch.empty(0, dtype=torch.float64)
        return torch.as_tensor(value.tolist() if hasattr(value, "tolist") else value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise Finding(f"It returns a {type(value).__name__} that cannot be read as numbers") from None


def same(one: Outcome, other: Outcome) -> bool:
    """Equal up to rounding and axes of length 1; an exception equals nothing."""
    if isinstance(one, Exception) or isinstance(other, Exception):
        return False
    one, other = one.squeeze(), other.squeeze()
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)


def is_stub(error: Exception) -> bool:
    """A stub raises NotImplementedError (which torch does too, for a dtype) or computes with `...`."""
    text = str(error)
    if isinstance(error, NotImplementedError):
        return "not implemented for" not in text and "aten::" not in text
    return "ellipsis" in text and "einsum" not in text  # whose messages speak of ellipses of their own


def missing_return(answer: Any) -> str:
    """A question for a function that has code, as its names show, and yet returns nothing."""
    code = getattr(answer, "__code__", None)
    return "It has code but returns nothing: is a `return` missing?" if code and code.co_names else ""


def shape_note(got: Outcome, expected: Tensor) -> str:
    """For right numbers with axes of length 1 too many, such as [N, C, 1, 1] for [N, C]."""
    if isinstance(got, Exception) or got.shape == expected.shape:
        return ""
    extra = got.dim() - expected.dim()
    last = {1: "the last axis", 2: "the last two axes"}.get(extra, "the axes of length 1")
    axes = last if got.shape[: expected.dim()] == expected.shape else "the axes of length 1"
    return f"Its shape is {list(got.shape)} instead of {list(expected.shape)}: squeeze {axes} to get there"


def largest_difference(case: Case, got: Tensor, expected: Tensor) -> str:
    """The largest difference and its place."""
    gap = (got - expected).abs().nan_to_num(nan=torch.inf)
    place = [int(i) for i in torch.unravel_index(gap.argmax(), gap.shape)]
    where = f"the largest difference is at {place}: " if place else "it gives "
    return f"{where}{got[tuple(place)]:.4g} instead of {expected[tuple(place)]:.4g}"


def counts(case: Case, got: Tensor, expected: Tensor) -> str:
    """How a wrong count is told."""
    return f"it gives {number(got)} instead of {number(expected)}"


def number(value: Tensor) -> str:
    """A count in words for a reader: as an integer where it is one."""
    return f"{value.item():,.12g}"


def in_words(error: Exception) -> str:
    """An exception's type and the first line of its message, without addresses."""
    text = re.sub(r"0x[0-9a-fA-F]+", "0x…", str(error).strip().split("\n")[0])
    text = text if len(text) <= 160 else text[:159] + "…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def end_sentence(text: str) -> str:
    return text if text.endswith((".", "?", "…")) else text + "."


def describe(name: str, value: Any) -> str:
    return f"{name} {list(value.shape)}" if isinstance(value, Tensor) else f"{name} = {value}"


def copy(value: Any) -> Any:
    """A copy of a tensor or list; anything else as it is."""
    if isinstance(value, Tensor):
        return value.clone()
    return list(value) if isinstance(value, list) else value


def seeded(seed: int) -> torch.Generator:
    """A generator of the checker's own."""
    return torch.Generator("cpu").manual_seed(seed)


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, device="cpu", dtype=torch.float32)


def whole(generator: torch.Generator, low: int, high: int) -> int:
    """A random whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator, device="cpu"))
