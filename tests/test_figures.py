"""Figures: every one is drawn, described, closed, and the same bytes twice."""

from __future__ import annotations

import re

import pytest
import torch

import senet_edu as se
from senet_edu import figures


@pytest.fixture(scope="module")
def recorded() -> se.excitations.Excitations:
    torch.manual_seed(0)
    model = se.create_model("se_resnet18", width=1 / 8)
    images, labels = se.shapes(100, seed=0)
    return se.record_excitations(model, images, labels, classes=se.data.SHAPES_CLASSES, precision="no", cpu=True)


HISTORY = [
    {"epoch": 1, "loss": 2.0, "accuracy": 0.3, "validation_accuracy": 0.25},
    {"epoch": 2, "loss": 1.5, "accuracy": 0.5, "validation_accuracy": 0.45},
]
CLASSES = se.data.SHAPES_CLASSES[:4]
ADDED = {"weights": 0.8, "bytes": 17.0}
TRADE = ("ours", "accuracy, %", {"r = 2": (20_000.0, 84.0), "r = 16": (2_500_000.0, 83.5)}, 83.0)
DRAWN = {
    "class_gates": lambda r: figures.class_gates(r, list(r), CLASSES),
    "class_gates with spread": lambda r: figures.class_gates(r, list(r)[:3], CLASSES, spread=True),
    "gate_map": lambda r: figures.gate_map(r, list(r)[::2]),
    "gate_distributions": lambda r: figures.gate_distributions(r, list(r)),
    "measures_by_depth": lambda r: figures.measures_by_depth(r.summary(), {"movement": "movement"}),
    "class_curves": lambda r: figures.class_curves({"a": torch.rand(9, 5), "b": torch.rand(9, 5)}, "z"),
    "feature_maps": lambda r: figures.feature_maps({"U": torch.rand(3, 8, 8)}, ["a", "b", "c"]),
    "image_grid": lambda r: figures.image_grid(se.shapes(12, seed=0)[0], [str(i) for i in range(12)]),
    "curves": lambda r: figures.curves({"one": HISTORY, "two": HISTORY[:1]}),
    "bars": lambda r: figures.bars({"a": [1, 2], "b": [3, 4]}, ["x", "y"], "height"),
    "lines": lambda r: figures.lines({"a": ([0, 1], [1, 2])}, "x", "y"),
    "where_and_which": lambda r: figures.where_and_which(
        torch.rand(3, 6, 8), torch.rand(6, 8), torch.tensor([1.0, 0.5, 0.0])
    ),
    "squares": lambda r: figures.squares(se.shapes(2, seed=0)[0], {"a": (5, 6, 3), "b": (9, 9, 7)}, ["x", "y"]),
    "dots": lambda r: figures.dots({"a": [1, 2, 3], "b": [2]}, "height", {"mark": 2}),
    "line_panels": lambda r: figures.line_panels(
        {"p": {"a": ([0, 1], [1, 2])}, "q": {"a": ([0, 1], [5, 9])}}, "x", "y"
    ),
    "overheads": lambda r: figures.overheads({"a": ADDED, "b": {k: 2 * v for k, v in ADDED.items()}}, "added"),
    "trade_off": lambda r: figures.trade_off([TRADE, TRADE], [0.1, None]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_is_a_png_and_the_same_twice(recorded, name: str) -> None:
    torch.manual_seed(0)
    first = figures.png(DRAWN[name](recorded))
    torch.manual_seed(0)
    assert first == figures.png(DRAWN[name](recorded))
    assert first.startswith(b"\x89PNG")


def test_axes_are_labelled(recorded) -> None:
    for name in ("class_gates", "gate_distributions", "class_curves", "curves", "lines", "line_panels"):
        labelled = DRAWN[name](recorded).axes
        assert any(axis.get_xlabel() for axis in labelled), name
        assert any(axis.get_ylabel() for axis in labelled), name


def test_class_gates_draw_the_recorded_means(recorded) -> None:
    figure = figures.class_gates(recorded, ["SE_5_2"], CLASSES)
    lines = figure.axes[0].get_lines()
    which = figures.sampled_channels(64)
    for line, label in zip(lines, CLASSES, strict=False):
        k = recorded.classes.index(label)
        assert torch.equal(torch.as_tensor(line.get_ydata()), recorded["SE_5_2"].mean[k, which])
    assert torch.equal(torch.as_tensor(lines[-1].get_ydata()), recorded["SE_5_2"].total_mean[which])
    assert len({line.get_color() for line in lines}) == len(lines)


@pytest.mark.parametrize(("channels", "count"), [(16, 16), (50, 50), (64, 50), (512, 50)])
def test_sampled_channels_are_distinct_and_reach_both_ends(channels: int, count: int) -> None:
    which = figures.sampled_channels(channels).tolist()
    assert len(set(which)) == count
    assert (which[0], which[-1]) == (0, channels - 1)


def test_more_lines_than_colours_are_refused(recorded) -> None:
    with pytest.raises(ValueError, match="10 lines cannot be told apart"):
        figures.class_gates(recorded, ["SE_5_2"], se.data.SHAPES_CLASSES)


def test_panels_without_a_block_are_empty(recorded) -> None:
    shown = [axis.axison for axis in figures.class_gates(recorded, list(recorded)[:3], CLASSES).axes]
    assert shown == [True, True, True, False]


def test_squares_lie_around_their_middle_pixel() -> None:
    figure = figures.squares(se.shapes(2, seed=0)[0], {"a": (5, 6, 3), "b": (9, 9, 7)}, ["x", "y"])
    for axis in figure.axes:
        a, b = axis.patches
        assert a.get_bbox().extents.tolist() == [4.5, 3.5, 7.5, 6.5]  # columns 5 to 7, rows 4 to 6, edges and all
        assert b.get_bbox().extents.tolist() == [5.5, 5.5, 12.5, 12.5]
        assert a.get_edgecolor() != b.get_edgecolor()


def test_where_weighs_places_and_which_weighs_channels() -> None:
    image, where, which = torch.rand(3, 6, 8), torch.rand(6, 8), torch.tensor([1.0, 0.5, 0.0])
    drawn = [axis.images[0].get_array() for axis in figures.where_and_which(image, where, which).axes if axis.images]
    red, green, blue, together = (torch.as_tensor(drawn[i]) for i in (5, 6, 7, 8))  # the second row, after its weights
    assert torch.equal(torch.stack([red, green, blue]), image * where)
    assert torch.equal(together.permute(2, 0, 1), image * where)
    for channel, (weight, shown) in enumerate(zip(which, drawn[9:12], strict=True)):
        assert torch.equal(torch.as_tensor(shown), weight * image[channel])


def test_every_dot_has_its_height() -> None:
    axis = figures.dots({"a": [1, 2, 3], "b": [2]}, "height", {"mark": 2.5}).axes[0]
    heights = [list(line.get_ydata()) for line in axis.get_lines()]
    assert heights == [[1, 2, 3], [2], [2.5, 2.5]]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["a", "b"]


def test_line_panels_have_scales_of_their_own() -> None:
    left, right = DRAWN["line_panels"](None).axes
    assert left.get_ylim()[1] < 3 < 5 < right.get_ylim()[1]
    assert [left.get_title(), right.get_title()] == ["p", "q"]


def test_line_panels_share_a_scale_if_asked() -> None:
    low, high = {"a": ([0, 1], [0, 0.1])}, {"a": ([0, 1], [0, 5])}
    left, right = figures.line_panels({"p": low, "q": high}, "x", "y", shared=True).axes
    assert left.get_ylim() == right.get_ylim()


def test_page_keeps_picture_and_description() -> None:
    page = figures.figure_html(DRAWN["lines"](None), alt='one line, "rising" & <bold>')
    assert 'alt="one line, &quot;rising&quot; &amp; &lt;bold&gt;"' in page
    assert re.search(r'src="data:image/png;base64,[\w+/=]{1000,}"', page)


def test_a_figure_needs_a_description() -> None:
    with pytest.raises(ValueError, match="description"):
        figures.show(DRAWN["lines"](None), alt=" ")


def test_live_curves_redraw_one_output(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython.display

    shown, updated = [], []

    class Handle:
        def update(self, page) -> None:
            updated.append(page.data)

    def display(page, display_id):
        assert display_id
        shown.append(page.data)
        return Handle()

    monkeypatch.setattr(IPython.display, "display", display)
    live = figures.LiveCurves("a net")
    live(HISTORY[:1])
    live(HISTORY)
    assert len(shown) == len(updated) == 1
    assert "After epoch 2: loss 1.50" in updated[0]


def test_overheads_are_where_they_belong() -> None:
    (axis,) = DRAWN["overheads"](None).axes
    first, second = axis.get_lines()
    assert axis.get_xscale() == "log"
    assert list(first.get_xdata()) == [0.8, 17.0]
    assert list(second.get_xdata()) == [1.6, 34.0]
    assert axis.yaxis_inverted()
    assert first.get_color() != second.get_color()
    with pytest.raises(ValueError, match="b adds nothing to bytes"):
        figures.overheads({"a": ADDED, "b": ADDED | {"bytes": 0.0}}, "added")


def test_trade_off_has_its_spread_only_where_it_is_known() -> None:
    for axis, bars in zip(DRAWN["trade_off"](None).axes, (True, False), strict=True):
        (dots,) = axis.containers
        assert dots.has_yerr is bars
        assert [list(d) for d in (dots[0].get_xdata(), dots[0].get_ydata())] == [[20_000, 2_500_000], [84.0, 83.5]]
        assert [label.get_text() for label in axis.get_xticklabels()] == ["20 k", "2.5 M"]
        assert [text.get_text() for text in axis.texts] == ["r = 2", "r = 16"]
        assert any(list(line.get_ydata()) == [83.0, 83.0] for line in axis.get_lines())
