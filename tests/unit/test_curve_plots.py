"""Which plots a report's curves give, and what is marked in them."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from tabular.curve_plots import draw_plots

LINE = [[0.1, 0.2], [0.5, 0.9]]
BINARY = dict.fromkeys(
    (
        "roc",
        "pr",
        "calibration",
        "threshold_precision",
        "threshold_recall",
        "threshold_f1",
        "threshold_cost",
    ),
    LINE,
)


def titles(curves: dict[str, Any], **report: Any) -> list[str]:
    return [plot.title for plot in draw_plots({"curves": curves, **report})]


def test_classes_get_a_plot_each_and_those_by_threshold_share_one() -> None:
    expected = ["ROC", "Precision and recall", "Calibration", "Threshold", "Cost"]
    assert titles(BINARY) == expected


def test_a_regression_shows_its_residuals_by_prediction() -> None:
    curves = {"residuals": [[10.0, 12.0], [20.0, 17.0]], "error_histogram": [[0.0, 3], [1.0, 2]]}
    plots = draw_plots({"curves": curves, "unit": "min"})
    assert [plot.title for plot in plots] == ["Predicted and actual", "Residuals", "Errors"]
    path = re.search(r'<path class="cl s0" d="M(\d+) (\d+)h0M(\d+) (\d+)h0"', plots[1].drawing)
    assert path is not None
    left, up, right, down = map(int, path.groups())
    assert left < right  # 10 is left of 20
    assert up < down  # +2 is above -3
    assert "Actual less predicted, min" in plots[1].drawing


@pytest.mark.parametrize(("threshold", "n_lines"), [(0.31, 1), (7.0, 0), (None, 0), (math.nan, 0)])
def test_threshold_that_was_chosen_is_marked(threshold: float | None, n_lines: int) -> None:
    plots = draw_plots({"curves": BINARY, "decision": {"threshold": threshold}})
    by_title = {plot.title: plot.drawing for plot in plots}
    for title in ("Threshold", "Cost"):
        assert by_title[title].count('class="dg"') == n_lines


def test_each_line_by_threshold_is_named() -> None:
    drawing = next(p.drawing for p in draw_plots({"curves": BINARY}) if p.title == "Threshold")
    assert re.findall(r'class="lg"[^>]*>([^<]+)<', drawing) == ["precision", "recall", "F1"]


def test_curve_without_a_finite_point_is_left_out() -> None:
    assert titles({"roc": [[math.nan, 1.0]], "calibration": [[0.0, 0.0]]}) == ["Calibration"]


def test_unknown_curve_is_drawn_under_its_own_name() -> None:
    assert titles({"gain_by_share": LINE}) == ["gain by share"]
