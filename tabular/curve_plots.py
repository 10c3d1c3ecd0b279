"""The curves of a report as plots with captions: how a model behaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from markupsafe import Markup

from tabular import charts
from tabular.charts import Axis, Frame, clip

Curve = list[tuple[float, float]]

BY_THRESHOLD = {
    "threshold_precision": "precision",
    "threshold_recall": "recall",
    "threshold_f1": "F1",
}
SMALL, LARGE = (240.0, 226.0), (366.0, 262.0)


class Plot(NamedTuple):
    """A drawing and the words below it."""

    title: str
    caption: str
    drawing: Markup


@dataclass(frozen=True)
class _Scene:
    """What all plots of one report share."""

    curves: Mapping[str, Curve]
    size: tuple[float, float]
    unit: str
    threshold: float | None

    def frame(self, x: Axis, y: Axis) -> Frame:
        return Frame(x, y, *self.size)

    def titled(self, title: str) -> str:
        return f"{title}, {self.unit}" if self.unit else title


def draw_plots(report: Mapping[str, Any]) -> list[Plot]:
    """One plot for each curve that has a finite point; those by threshold share one.

    Args:
        report: The run's report; `curves`, `unit` and `decision.threshold` are read.
    """
    curves = {
        name: kept
        for name, points in (report.get("curves") or {}).items()
        if (kept := charts.finite(points))
    }
    draws = {
        key: draw
        for name in curves
        for key, draw in _PLOTS.get(name, {name: _unknown(name)}).items()
    }
    threshold = (report.get("decision") or {}).get("threshold")
    size = SMALL if len(draws) >= 3 else LARGE
    scene = _Scene(curves, size, str(report.get("unit") or ""), threshold)
    return [draw(scene) for draw in draws.values()]


def _share(title: str) -> Axis:
    return Axis(title, 0.0, 1.0)


def _xs(points: Curve) -> list[float]:
    return [x for x, _ in points]


def _ys(points: Curve) -> list[float]:
    return [y for _, y in points]


def _roc(scene: _Scene) -> Plot:
    frame = scene.frame(_share("False positive rate"), _share("True positive rate"))
    series = {"roc": scene.curves["roc"]}
    drawing = charts.line_chart("ROC curve", series, frame, diagonal=True)
    return Plot("ROC", "Dashed: chance.", drawing)


def _precision_recall(scene: _Scene) -> Plot:
    frame = scene.frame(_share("Recall"), _share("Precision"))
    drawing = charts.line_chart("Precision by recall", {"pr": scene.curves["pr"]}, frame)
    return Plot("Precision and recall", "One point per threshold.", drawing)


def _calibration(scene: _Scene) -> Plot:
    points = scene.curves["calibration"]
    top = min(1.0, max(*_xs(points), *_ys(points)) * 1.08) or 1.0
    frame = scene.frame(Axis("Predicted probability", 0, top), Axis("Observed share", 0, top))
    title = "Observed share by predicted probability"
    drawing = charts.line_chart(title, {"calibration": points}, frame, diagonal=True, marks=True)
    return Plot("Calibration", "Dashed: a probability that means what it says.", drawing)


def _thresholds(scene: _Scene) -> Plot:
    named = {words: scene.curves[n] for n, words in BY_THRESHOLD.items() if n in scene.curves}
    frame = scene.frame(_threshold_axis(*named.values()), _share(""))
    title = "Precision, recall and F1 by threshold"
    drawing = charts.line_chart(title, named, frame, upright=scene.threshold)
    return Plot("Threshold", "What each would give. Dashed: the one chosen.", drawing)


def _cost(scene: _Scene) -> Plot:
    points = scene.curves["threshold_cost"]
    frame = scene.frame(
        _threshold_axis(points), charts.axis_over("Cost by row", _ys(points), zero=True)
    )
    drawing = charts.line_chart(
        "Cost by threshold", {"cost": points}, frame, upright=scene.threshold
    )
    return Plot(
        "Cost", "Of wrong answers, as the YAML prices them. Dashed: the threshold chosen.", drawing
    )


def _threshold_axis(*curves: Curve) -> Axis:
    return Axis("Threshold", 0.0, max(x for points in curves for x in _xs(points)) or 1.0)


def _predicted_by_actual(scene: _Scene) -> Plot:
    points = [(actual, predicted) for predicted, actual in scene.curves["residuals"]]
    both = [*_xs(points), *_ys(points)]
    frame = scene.frame(
        charts.axis_over(scene.titled("Actual"), both),
        charts.axis_over(scene.titled("Predicted"), both),
    )
    drawing = charts.scatter("Predicted by actual value", points, frame, diagonal=True)
    return Plot("Predicted and actual", f"{len(points)} test rows. Dashed: no error.", drawing)


def _residuals(scene: _Scene) -> Plot:
    points = [(predicted, actual - predicted) for predicted, actual in scene.curves["residuals"]]
    frame = scene.frame(
        charts.axis_over(scene.titled("Predicted"), _xs(points)),
        charts.axis_over(scene.titled("Actual less predicted"), _ys(points)),
    )
    drawing = charts.scatter("Residual by predicted value", points, frame, level=0.0)
    return Plot("Residuals", "The same rows. A slope or a funnel is a fault.", drawing)


def _errors(scene: _Scene) -> Plot:
    points = scene.curves["error_histogram"]
    frame = scene.frame(
        charts.axis_over(scene.titled("Error"), _xs(points)),
        charts.axis_over("Rows", _ys(points), zero=True),
    )
    drawing = charts.columns("Rows by error", points, frame)
    return Plot("Errors", "Test rows by error.", drawing)


def _unknown(name: str) -> Callable[[_Scene], Plot]:
    """A curve that this page has no words for."""

    def draw(scene: _Scene) -> Plot:
        points = scene.curves[name]
        frame = scene.frame(charts.axis_over("", _xs(points)), charts.axis_over("", _ys(points)))
        drawing = charts.line_chart(name, {name: points}, frame)
        return Plot(clip(name.replace("_", " ")), "", drawing)

    return draw


# By curve: what is drawn of it, by a key that plots of several curves share.
_PLOTS: dict[str, dict[str, Callable[[_Scene], Plot]]] = {
    "roc": {"roc": _roc},
    "pr": {"pr": _precision_recall},
    "calibration": {"calibration": _calibration},
    **{name: {"threshold": _thresholds} for name in BY_THRESHOLD},
    "threshold_cost": {"cost": _cost},
    "residuals": {"actual": _predicted_by_actual, "residuals": _residuals},
    "error_histogram": {"errors": _errors},
}
