"""The course's pictures, in colours that colour-blind readers can tell apart, each with its description.

Every function here returns a matplotlib Figure; `show` puts it on the page.
"""

from senet_edu.figures.costs import overheads, trade_off
from senet_edu.figures.gates import (
    class_curves,
    class_gates,
    class_lines,
    gate_distributions,
    gate_map,
    measures_by_depth,
    sampled_channels,
)
from senet_edu.figures.page import COLOURS, canvas, colours, figure_html, image_grid, panels, png, show
from senet_edu.figures.plots import bars, dots, feature_maps, line_panels, lines, squares, where_and_which
from senet_edu.figures.runs import LiveCurves, curves

__all__ = [
    "COLOURS",
    "LiveCurves",
    "bars",
    "canvas",
    "class_curves",
    "class_gates",
    "class_lines",
    "colours",
    "curves",
    "dots",
    "feature_maps",
    "figure_html",
    "gate_distributions",
    "gate_map",
    "image_grid",
    "line_panels",
    "lines",
    "measures_by_depth",
    "overheads",
    "panels",
    "png",
    "sampled_channels",
    "show",
    "squares",
    "trade_off",
    "where_and_which",
]
