"""Figures: every one draws what it is given, is labelled and described, is the same bytes twice, and is left closed."""

from __future__ import annotations

import re

import pytest
import torch
from matplotlib import pyplot
from matplotlib.axes import Axes

import senet_edu as se
from senet_edu import figures
from senet_edu.excitations import Excitations, statistics_of


@pytest.fixture(scope="module")
def recorded() -> Excitations:
    torch.manual_seed(0)
    model = se.create_model("se_resnet18", width=1 / 8)
    images, labels = se.shapes(100, seed=0)
    return se.record_excitations(model, images, labels, classes=se.data.SHAPES_CLASSES, precision="no", cpu=True)


# Four images of two classes, three channels: the class says nothing of the first, all of the second, half of the third
GATES = torch.tensor([[0.22, 0.12, 0.52], [0.42, 0.12, 0.72], [0.22, 0.92, 0.72], [0.42, 0.92, 0.92]])
LABELS = torch.tensor([0, 0, 1, 1])
SPREAD = [(0.22, 0.42), (0.12, 0.12), (0.52, 0.72)]  # of the first class: mean 0.32 ± 0.1, 0.12 ± 0, 0.62 ± 0.1
SMALL = Excitations(
    {
        "sigmoid": statistics_of(GATES, LABELS, 2, (0.0, 1.0)),
        "mirrored": statistics_of(1 - GATES, LABELS, 2, (0.0, 1.0)),
        "tanh": statistics_of(2 * GATES - 1, LABELS, 2, (-1.0, 1.0)),
    },
    ("first", "second"),
)
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
    "overheads": lambda r: figures.overheads(
        {"a": ADDED, "b": {k: 2 * v for k, v in reversed(ADDED.items())}}, "added"
    ),
    "trade_off": lambda r: figures.trade_off([TRADE, TRADE], [[0.1, 0.2], None]),
}


def points(axis: Axes) -> list[list[tuple[float, float]]]:
    """Every line of a panel as its points."""
    return [list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in axis.get_lines()]


def bands(axis: Axes) -> list[list[tuple[float, float]]]:
    """Every shaded band of a panel as its lowest and highest value at 0, 1, 2."""
    outlines = [band.get_paths()[0].vertices for band in axis.collections]  # [points, 2]
    at = [[line[line[:, 0] == x, 1] for x in range(3)] for line in outlines]
    return [[(ys.min(), ys.max()) for ys in band] for band in at]


@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_is_a_png_the_same_twice_and_not_open(recorded: Excitations, name: str) -> None:
    torch.manual_seed(0)
    first = figures.png(DRAWN[name](recorded))
    torch.manual_seed(0)
    assert first == figures.png(DRAWN[name](recorded))
    assert first.startswith(b"\x89PNG")
    assert b"tEXt" not in first  # date and version
    assert not pyplot.get_fignums()  # pyplot keeps none, so there is none to close


@pytest.mark.parametrize(
    ("name", "x", "y", "legend"),
    [
        ("class_gates", [*[""] * 6, *["sampled channel"] * 2], ["mean gate", ""] * 4, [*CLASSES, "all classes"]),
        ("gate_map", [*[""] * 3, "channels, sorted", ""], [*[""] * 4, "mean gate"], []),  # and the colours' own
        ("gate_distributions", [*[""] * 4, *["gate"] * 4], ["gates, %", "", "", ""] * 2, []),
        ("class_curves", ["channel"], ["z"], ["a", "b"]),
        ("feature_maps", [""] * 3, ["U", "", ""], []),
        (
            "curves",
            ["epoch"] * 2,
            ["loss on training images", "accuracy, %"],
            ["one", "two", "one, training", "one, not trained on", "two, training", "two, not trained on"],
        ),
        ("bars", [""], ["height"], ["a", "b"]),
        ("lines", ["x"], ["y"], ["a"]),
        ("where_and_which", [""] * 15, ["the picture", *[""] * 4, "where", *[""] * 4, "which", *[""] * 4], []),
        ("squares", [""] * 2, [""] * 2, ["a", "b"]),
        ("dots", [""], ["height"], []),
        ("line_panels", ["x"] * 2, ["y", ""], ["a"]),
        ("overheads", ["added"], [""], ["a", "b"]),
        ("trade_off", ["weights that SE adds"] * 2, ["accuracy, %"] * 2, ["without SE", "with SE"]),
    ],
)
def test_axes_are_labelled(recorded: Excitations, name: str, x: list[str], y: list[str], legend: list[str]) -> None:
    figure = DRAWN[name](recorded)
    legends = figure.legends + [axis.get_legend() for axis in figure.axes if axis.get_legend()]
    assert [axis.get_xlabel() for axis in figure.axes] == x
    assert [axis.get_ylabel() for axis in figure.axes] == y
    assert [text.get_text() for each in legends for text in each.get_texts()] == legend


def test_a_canvas_has_no_frame_above_and_on_the_right() -> None:
    figure, axes = figures.canvas(1, 2, (4, 3))
    assert figure.get_size_inches().tolist() == [4, 3]
    for axis in axes:
        shown = [axis.spines[side].get_visible() for side in ("left", "bottom", "top", "right")]
        assert shown == [True, True, False, False]


def test_class_gates_draw_the_recorded_means(recorded) -> None:
    figure = figures.class_gates(recorded, ["SE_5_2"], CLASSES)
    lines = figure.axes[0].get_lines()
    which = figures.sampled_channels(64)
    for line, label in zip(lines, CLASSES, strict=False):
        k = recorded.classes.index(label)
        assert torch.equal(torch.as_tensor(line.get_ydata()), recorded["SE_5_2"].mean[k, which])
    assert torch.equal(torch.as_tensor(lines[-1].get_ydata()), recorded["SE_5_2"].total_mean[which])
    assert len({line.get_color() for line in lines}) == len(lines)


def test_bands_are_one_standard_deviation_wide() -> None:
    (gates,) = figures.class_gates(SMALL, ["sigmoid"], ["first"], spread=True).axes
    assert bands(gates) == [[pytest.approx(ends) for ends in SPREAD]]
    groups = {"a": torch.tensor([[1.0, 0, 5], [5, 0, 9]]), "b": torch.tensor([[0.0, 4, 8], [0, 4, 8]])}
    (curves,) = figures.class_curves(groups, "z").axes
    assert points(curves) == [[(0, 3), (1, 0), (2, 7)], [(0, 0), (1, 4), (2, 8)]]
    assert bands(curves) == [[(1, 5), (0, 0), (5, 9)], [(0, 0), (4, 4), (8, 8)]]


def test_gate_maps_have_the_most_specific_channels_on_the_left() -> None:
    upper, lower, _ = figures.gate_map(SMALL, ["sigmoid", "mirrored"]).axes
    means = torch.tensor([[0.12, 0.62, 0.32], [0.92, 0.82, 0.32]]).double()  # the second channel, the third, the first
    for axis, expected in ((upper, means), (lower, 1 - means)):
        (picture,) = axis.images
        assert torch.allclose(torch.as_tensor(picture.get_array()), expected)
        assert picture.get_clim() == (0, 1)
        assert [label.get_text() for label in axis.get_yticklabels()] == ["first", "second"]
    turned, _ = figures.gate_map(SMALL, ["sigmoid"], ["second", "first"]).axes
    assert torch.allclose(torch.as_tensor(turned.images[0].get_array()), means.flip(0))
    assert [label.get_text() for label in turned.get_yticklabels()] == ["second", "first"]


def test_gates_below_0_and_above_1_are_drawn() -> None:
    (tanh,) = figures.class_gates(SMALL, ["tanh"], ["first"]).axes
    assert tanh.get_ylim() == (-1, 1)
    assert figures.gate_map(SMALL, ["tanh"]).axes[0].images[0].get_clim() == (-1, 1)
    relu = Excitations({"relu": statistics_of(3 * GATES, LABELS, 2, (0.0, 1.0))}, SMALL.classes)
    (axis,) = figures.class_gates(relu, ["relu"], ["first"]).axes
    assert axis.get_ylim() == (0, pytest.approx(3 * 0.92))
    (axis,) = figures.class_gates(relu, ["relu"], ["first"], spread=True).axes
    assert axis.get_ylim() == (0, pytest.approx(3 * (0.82 + 0.1)))
    lacking = Excitations({"relu": statistics_of(3 * GATES, LABELS, 3, (0.0, 1.0))}, ("first", "second", "none"))
    assert figures.class_gates(lacking, ["relu"], ["first"]).axes[0].get_ylim()[1] > 2
    with pytest.raises(ValueError, match="no block SE_9_9; there are relu"):
        figures.class_gates(relu, ["SE_9_9"], ["first"])
    with pytest.raises(ValueError, match="no block given"):
        figures.gate_map(relu, [])


def test_panels_above_an_empty_place_are_labelled() -> None:
    *axes, empty = figures.gate_distributions(SMALL, ["sigmoid", "mirrored", "sigmoid", "mirrored", "sigmoid"]).axes[:6]
    assert [axis.get_xlabel() for axis in axes] == ["", "gate", "gate", "gate", "gate"]
    assert all(any(label.get_visible() for label in axis.get_xticklabels()) for axis in axes[1:])
    assert not empty.axison


def test_gate_distributions_count_all_gates_of_a_block() -> None:
    spans = {"sigmoid": (GATES, 0, 1), "mirrored": (1 - GATES, 0, 1), "tanh": (2 * GATES - 1, -1, 1)}
    axes = figures.gate_distributions(SMALL, list(spans)).axes
    for axis, (name, (gates, low, high)) in zip(axes, spans.items(), strict=False):
        percent = 100 * torch.histc(gates, 20, low, high) / 12
        edges = torch.linspace(low, high, 21)
        assert [bar.get_height() for bar in axis.patches] == pytest.approx(percent.tolist())
        assert [bar.get_x() for bar in axis.patches] == pytest.approx(edges[:-1].tolist(), abs=1e-6)
        assert points(axis) == [[(0.5, 0), (0.5, 1)]]
        assert axis.get_title() == name


def test_measures_by_depth_are_a_panel_each() -> None:
    rows = [{"block": "SE_2_1", "mean": 0.5, "above": 0.1}, {"block": "SE_2_2", "mean": 0.4, "above": 0.3}]
    left, right = figures.measures_by_depth(rows, {"above": "share above 0.9", "mean": "mean gate"}).axes
    assert points(left) == [[("SE_2_1", 0.1), ("SE_2_2", 0.3)]]
    assert points(right) == [[("SE_2_1", 0.5), ("SE_2_2", 0.4)]]
    assert [left.get_title(), right.get_title()] == ["share above 0.9", "mean gate"]
    assert left.get_ylim()[0] == right.get_ylim()[0] == 0


@pytest.mark.parametrize("colour_channels", [1, 3])
def test_image_grids_show_each_image_under_its_title(colour_channels: int) -> None:
    images = torch.randint(256, (3, colour_channels, 4, 5), dtype=torch.uint8)
    *full, empty = figures.image_grid(images, ["a", "b", "c"], columns=2).axes
    for image, axis in zip(images, full, strict=True):
        assert torch.equal(torch.as_tensor(axis.images[0].get_array()).permute(2, 0, 1), image.expand(3, 4, 5))
    assert [axis.get_title() for axis in full] == ["a", "b", "c"]
    assert not empty.images
    assert not any(axis.axison for axis in [*full, empty])


def test_feature_maps_are_on_one_scale() -> None:
    rows = {"U": torch.tensor([[[0.0, 1]], [[2, 3]]]), "V": torch.tensor([[[-4.0, 5]], [[6, 7]]])}
    axes = figures.feature_maps(rows, ["a", "b"]).axes
    drawn = [axis.images[0] for axis in axes]
    assert [picture.get_array().tolist() for picture in drawn] == [[[0, 1]], [[2, 3]], [[-4, 5]], [[6, 7]]]
    assert [picture.get_clim() for picture in drawn] == [(-4, 7)] * 4
    assert [axis.get_title() for axis in axes] == ["a", "b", "", ""]


def test_curves_show_held_out_images_only_if_there_were_any() -> None:
    unheld = [{"epoch": 1, "loss": 3.0, "accuracy": 0.125}]
    loss, accuracy = figures.curves({"one": HISTORY, "two": unheld}).axes
    assert points(loss) == [[(1, 2.0), (2, 1.5)], [(1, 3.0)]]
    assert points(accuracy) == [[(1, 30), (2, 50)], [(1, 25), (2, 45)], [(1, 12.5)]]


def test_bars_stand_around_their_labels() -> None:
    (axis,) = DRAWN["bars"](None).axes
    assert [[bar.get_height() for bar in group] for group in axis.containers] == [[1, 2], [3, 4]]
    assert [bar.get_center()[0] for bar in axis.patches] == pytest.approx([0, 1, 0.4, 1.4])
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([0.4] * 4)
    assert list(axis.get_xticks()) == pytest.approx([0.2, 1.2])
    assert [label.get_text() for label in axis.get_xticklabels()] == ["x", "y"]


def test_lines_go_through_their_points() -> None:
    (axis,) = figures.lines({"a": ([0, 1], [1, 2]), "b": ([0, 2], [5, 4])}, "x", "y").axes
    assert points(axis) == [[(0, 1), (1, 2)], [(0, 5), (2, 4)]]


@pytest.mark.parametrize(("channels", "count"), [(16, 16), (50, 50), (64, 50), (512, 50)])
def test_sampled_channels_are_distinct_and_reach_both_ends(channels: int, count: int) -> None:
    which = figures.sampled_channels(channels).tolist()
    assert len(set(which)) == count
    assert (which[0], which[-1]) == (0, channels - 1)


def test_an_unknown_class_is_named(recorded) -> None:
    with pytest.raises(ValueError, match=f"no class wolf; there are {', '.join(recorded.classes)}"):
        figures.class_gates(recorded, ["SE_5_2"], [recorded.classes[0], "wolf"])
    with pytest.raises(ValueError, match="no class wolf"):
        figures.gate_map(recorded, ["SE_5_2"], ["wolf"])


def test_more_lines_than_colours_are_refused(recorded) -> None:
    with pytest.raises(ValueError, match="10 lines cannot be told apart"):
        figures.class_gates(recorded, ["SE_5_2"], se.data.SHAPES_CLASSES)


def test_panels_without_a_block_are_empty(recorded) -> None:
    shown = [axis.axison for axis in figures.class_gates(recorded, list(recorded)[:3], CLASSES).axes]
    assert shown == [True, True, True, False]


def test_squares_lie_around_their_middle_pixel() -> None:
    images = se.shapes(2, seed=0)[0]
    axes = figures.squares(images, {"a": (5, 6, 3), "b": (9, 9, 7)}, ["x", "y"]).axes
    assert [axis.get_title() for axis in axes] == ["x", "y"]
    for axis, image in zip(axes, images, strict=True):
        assert torch.equal(torch.as_tensor(axis.images[0].get_array()).permute(2, 0, 1), image)
        a, b = axis.patches
        assert a.get_bbox().extents.tolist() == [4.5, 3.5, 7.5, 6.5]  # columns 5 to 7, rows 4 to 6, edges and all
        assert b.get_bbox().extents.tolist() == [5.5, 5.5, 12.5, 12.5]
        assert a.get_edgecolor() != b.get_edgecolor()


def test_where_weighs_places_and_which_weighs_channels() -> None:
    image, where, which = torch.rand(3, 6, 8), torch.rand(6, 8), torch.tensor([1.0, 0.5, 0.0])
    axes = figures.where_and_which(image, where, which).axes
    drawn = [torch.as_tensor(axis.images[0].get_array()) for axis in axes if axis.images]
    by_which = torch.stack([weight * channel for weight, channel in zip(which, image, strict=True)])
    for first, expected in ((0, image), (5, image * where), (9, by_which)):  # the channels, then all together
        assert torch.equal(torch.stack(drawn[first : first + 3]), expected)
        assert torch.equal(drawn[first + 3].permute(2, 0, 1), expected)
    assert torch.equal(drawn[4], where)
    assert [bar.get_height() for bar in axes[10].patches] == [1.0, 0.5, 0.0]
    assert [axis.get_title() for axis in axes[:5]] == ["weights", "red", "green", "blue", "together"]


def test_every_dot_has_its_height() -> None:
    axis = figures.dots({"a": [1, 2, 3], "b": [2]}, "height", {"mark": 2.5}).axes[0]
    heights = [list(line.get_ydata()) for line in axis.get_lines()]
    assert heights == [[1, 2, 3], [2], [2.5, 2.5]]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["a", "b"]


def test_line_panels_have_scales_of_their_own() -> None:
    left, right = DRAWN["line_panels"](None).axes
    zero = [(0, 0), (1, 0)]
    assert points(left) == [[(0, 1), (1, 2)], zero]
    assert points(right) == [[(0, 5), (1, 9)], zero]
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
    assert points(axis) == [[(0.8, "weights"), (17.0, "bytes")], [(1.6, "weights"), (34.0, "bytes")]]
    assert axis.yaxis_inverted()
    assert first.get_color() != second.get_color()
    with pytest.raises(ValueError, match="b adds nothing to bytes"):
        figures.overheads({"a": ADDED, "b": ADDED | {"bytes": 0.0}}, "added")


def test_trade_off_has_errors_only_where_they_are_known() -> None:
    errors = ([[83.9, 84.1], [83.3, 83.7]], [])
    for axis, ends in zip(DRAWN["trade_off"](None).axes, errors, strict=True):
        (dots,) = axis.containers
        bars = [bar[:, 1] for lines in dots[2] for bar in lines.get_segments()]
        assert bars == [pytest.approx(bar) for bar in ends]
        assert [list(d) for d in (dots[0].get_xdata(), dots[0].get_ydata())] == [[20_000, 2_500_000], [84.0, 83.5]]
        assert [label.get_text() for label in axis.get_xticklabels()] == ["20 k", "2.5 M"]
        assert [text.get_text() for text in axis.texts] == ["r = 2", "r = 16"]
        assert any(list(line.get_ydata()) == [83.0, 83.0] for line in axis.get_lines())
