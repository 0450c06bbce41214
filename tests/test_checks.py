"""The exercise checkers: right answers pass in any style, wrong ones are named, stubs are not tried yet."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import torch
import wrong_answers_01  # noqa: F401 (importing adds its answers)
import wrong_answers_03  # noqa: F401
import wrong_answers_04  # noqa: F401
import wrong_answers_10  # noqa: F401
import wrong_answers_A  # noqa: F401
from wrong_answers import RIGHT, STUBS, WRONG

from senet_edu import checks
from senet_edu.checks import appendix_a, chapter01, chapter02, chapter03, chapter04, chapter05, chapter07, chapter10
from senet_edu.checks.verdicts import Mistake

NUMBERS = {
    "convolution": "1.1",
    "receptive_field": "1.2",
    "colour_gates": "1.3",
    "squeeze": "2.1",
    "excite": "2.2",
    "gate_gradient": "2.4",
    "se_block": "2.3",
    "se_weights": "3.1",
    "added_weights": "3.2",
    "multiply_adds": "3.3",
    "se_bytes": "3.4",
    "residual_unit": "4.1",
    "placement_weights": "4.2",
    "parameter_groups": "5.2",
    "triangle": "5.1",
    "paired_difference": "5.3",
    "class_means": "7.1",
    "specificity": "7.2",
    "openers": "7.3",
    "whole_kernel": "10.1",
    "select": "10.2",
    "sk_weights": "10.3",
    "closer": "10.4",
    "map_sizes": "A.1",
    "confusion": "A.2",
}


def returns_none(*arguments): ...


def returns_ellipsis(*arguments):
    return ...


def raises(*arguments):
    raise NotImplementedError("your turn")


def computes_with_ellipsis(*arguments):
    z = ...
    return z / 2


COMMON_STUBS = [None, ..., returns_none, returns_ellipsis, raises, computes_with_ellipsis]
FUNCTIONS = [name for name in NUMBERS if name != "se_block"]


def judge(name, answer):
    """The verdict, with what holds for every verdict."""
    state = torch.get_rng_state()
    verdict = getattr(checks, name)(answer)
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"
    assert verdict.exercise == NUMBERS[name]
    assert repr(verdict) == verdict.message
    beginning = {None: "not tried yet.", True: "right.", False: "not yet."}[verdict.solved]
    assert verdict.message.startswith(f"Exercise {NUMBERS[name]}: {beginning}")
    assert verdict.message.endswith((".", "?", "…"))
    assert "\n" not in verdict.message
    return verdict


@pytest.mark.parametrize(
    ("name", "style"), [(name, style) for name, styles in RIGHT.items() for style in styles], ids=str
)
def test_right_answers_pass(name, style):
    verdict = judge(name, RIGHT[name][style])
    assert verdict.solved, verdict


@pytest.mark.parametrize(
    ("name", "answer", "phrase"),
    [pytest.param(name, *pair, id=f"{name}-{pair[1]}") for name, pairs in WRONG.items() for pair in pairs],
)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_wrong_answers_are_named(name, answer, phrase):
    verdict = judge(name, answer)
    assert verdict.solved is False, verdict
    assert phrase in verdict.message


@pytest.mark.parametrize(
    ("name", "stub"),
    [(name, stub) for name in FUNCTIONS for stub in COMMON_STUBS]
    + [(name, stub) for name, stubs in STUBS.items() for stub in stubs]
    + [("se_block", None), ("se_block", ...)],
)
def test_stubs_are_not_tried_yet(name, stub):
    assert judge(name, stub).solved is None


def test_right_answers_pass_whatever_the_reader_computes_in() -> None:
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        for name in NUMBERS:
            for style, answer in RIGHT[name].items():
                assert getattr(checks, name)(answer).solved, (name, style)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(usual)


def test_einsums_own_ellipsis_is_no_stub():
    verdict = judge("squeeze", lambda u: torch.einsum("nc->nc", u))
    assert verdict.solved is False and "einsum" in verdict.message


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_cases_are_made_on_the_cpu(name):
    """Whatever a reader has set as the default; "meta" makes tensors without numbers."""
    with torch.device("meta"):
        assert getattr(checks, name)(next(iter(RIGHT[name].values()))).solved


def test_a_missing_return_is_asked_for():
    assert "is a `return` missing?" in judge("squeeze", STUBS["squeeze"][0]).message
    assert judge("squeeze", returns_none).message == "Exercise 2.1: not tried yet."


def test_axes_of_length_1_are_told():
    message = judge("squeeze", RIGHT["squeeze"]["keepdim"]).message
    assert "Its shape is [2, 4, 1, 1] instead of [2, 4]: squeeze the last two axes" in message
    message = judge("specificity", RIGHT["specificity"]["keepdim"]).message
    assert "Its shape is [1, 5] instead of [5]: squeeze the axes of length 1" in message


def test_a_wrong_shape_tells_expected_and_got():
    message = judge("squeeze", lambda u: u.mean(dim=(0, 1))).message
    assert message == (
        "Exercise 2.1: not yet. Probably: pooled over the batch and the channels (dim=(0, 1)); it should be "
        "the height and the width, dim=(2, 3). For u [2, 4, 5, 7] the result should have the shape [2, 4] "
        "and has [5, 7]."
    )


def test_biases_are_mentioned():
    assert "(with biases)" in judge("se_block", RIGHT["se_block"]["linear"]).message
    assert "(with one bias)" in judge("se_block", RIGHT["se_block"]["one bias"]).message
    assert "(without biases)" in judge("se_block", RIGHT["se_block"]["sequential"]).message


@pytest.mark.parametrize("name", NUMBERS)
def test_messages_repeat_and_leave_the_generator_alone(name):
    answers = [wrong for wrong, _ in WRONG[name][:4]]
    torch.manual_seed(1)
    first = [judge(name, answer) for answer in answers]
    torch.manual_seed(2)
    with torch.no_grad():
        assert [judge(name, answer) for answer in answers] == first


MISTAKES = {
    "convolution": chapter01.convolution_mistakes(),
    "receptive_field": chapter01.receptive_field_mistakes(),
    "colour_gates": chapter01.gate_mistakes(),
    "squeeze": chapter02.squeeze_mistakes(),
    "excite": chapter02.excite_mistakes(),
    "gate_gradient": chapter02.gradient_mistakes(),
    "se_weights": chapter03.weights_mistakes(),
    "added_weights": chapter03.equation_mistakes(),
    "multiply_adds": chapter03.arithmetic_mistakes(),
    "se_bytes": chapter03.bytes_mistakes(),
    "residual_unit": chapter04.unit_mistakes(),
    "placement_weights": chapter04.place_mistakes(),
    "parameter_groups": chapter05.group_mistakes(),
    "triangle": chapter05.triangle_mistakes(),
    "paired_difference": chapter05.paired_mistakes(),
    "class_means": chapter07.class_means_mistakes(),
    "specificity": chapter07.specificity_mistakes(),
    "openers": chapter07.openers_mistakes(),
    "whole_kernel": chapter10.kernel_mistakes(),
    "select": chapter10.select_mistakes(),
    "sk_weights": chapter10.weight_mistakes(),
    "closer": chapter10.closer_mistakes(),
    "map_sizes": appendix_a.size_mistakes(),
    "confusion": appendix_a.confusion_mistakes(),
}


@pytest.mark.parametrize(
    ("name", "mistake"), [(name, m) for name, mistakes in MISTAKES.items() for m in mistakes], ids=str
)
def test_every_mistake_is_told_from_every_other(name, mistake: Mistake):
    """On these inputs no mistake gives the right numbers, nor those of a mistake told in other words."""
    assert mistake.says in judge(name, lambda *arguments: mistake.gives(*arguments)).message


def test_the_corpus_is_large_enough():
    assert set(RIGHT) == set(WRONG) == set(STUBS) == set(NUMBERS) == set(checks.__all__) - {"Verdict"}
    assert all(len(RIGHT[name]) >= 3 and len(WRONG[name]) >= 6 for name in NUMBERS)


def test_docstrings_state_the_exercise():
    for name, number in NUMBERS.items():
        assert (inspect.getdoc(getattr(checks, name)) or "").startswith(f"Exercise {number}")


def test_verdicts_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        judge("squeeze", None).solved = True
