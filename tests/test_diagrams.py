"""The drawings: each place has its block where `residual` calls it, in all five panels."""

from __future__ import annotations

import pytest

from senet_edu import diagrams
from senet_edu.placement import PLACEMENTS

# (x of the block's column, what stands right before it, what right after it)
WHERE = {
    "standard": (0, "1×1, BN", "+"),
    "pre": (0, "x", "1×1, BN, ReLU"),
    "post": (0, "ReLU", None),
    "identity": (1.5, "skip", None),
    "3x3": (0, "3×3, BN, ReLU", "1×1, BN"),
}


@pytest.mark.parametrize(("axis", "placement"), list(enumerate(PLACEMENTS)), ids=str)
def test_the_block_stands_where_the_words_say(axis: int, placement: str) -> None:
    panel = diagrams.placements().axes[axis]
    assert panel.get_title() == placement
    texts = {(*t.get_position(), t.get_text()) for t in panel.texts if t.get_text()}
    (block,) = [t for t in texts if t[2] == "SE"]
    x, before, after = WHERE[placement]
    column = sorted((t for t in texts if abs(t[0] - block[0]) < 0.2), key=lambda t: -t[1])
    at = column.index(block)
    assert block[0] == x
    assert column[at - 1][2] == before
    assert after == (column[at + 1][2] if at + 1 < len(column) else None)
    boxes = [t[2] for t in column if x == 0 and t[2] not in ("x", "+", "SE")]
    assert boxes == ([*diagrams.BRANCH, "ReLU"] if x == 0 else [])


def test_the_squeeze_and_what_it_does_to_shapes() -> None:
    se, none = ([t.get_text() for t in axis.texts if t.get_text()] for axis in diagrams.squeeze_or_not().axes)
    assert "squeeze: mean" in se
    assert "squeeze: mean" not in none
    assert "s: [C]" in se
    assert "s: [C, H, W]" in none


def test_the_sk_convolution_adds_before_it_squeezes_and_chooses_among_branches() -> None:
    texts = [t.get_text() for t in diagrams.selective().axes[0].texts if t.get_text()]
    middle = ["squeeze: mean", "s: [C]", "W, BN, ReLU", "z: [d]", "A, B", "softmax over branches"]
    assert [t for t in texts if t in middle] == middle
    assert texts.index("+") < texts.index("squeeze: mean")
    assert (texts.count("+"), texts.count("×")) == (2, 2)
