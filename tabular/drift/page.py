"""A look at a window as a page: what is due, live metrics, what moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabular import charts
from tabular.card import number, percent, template
from tabular.drift.compare import ColumnDrift
from tabular.drift.due import Due
from tabular.drift.live import Live, LiveMetric
from tabular.drift.window import Drift
from tabular.problem import Problem

MAX_COLUMNS, MAX_ALARMS = 36, 2
SHOWN_DRIFT = 2.0  # the strip ends at twice the limit
KINDS = {"missed": "failed", "worse": "warning"}


def render_monitoring(drift: Drift, live: Live, due: Due, problem: Problem) -> str:
    """Render a look as one HTML page under 100 KB, with the looks of the model card."""
    return template("monitoring.html").render(
        problem=problem,
        drift=drift,
        window=drift.window,
        live=live,
        due=due,
        metrics=[_metric(one) for one in live.metrics],
        answers=_rows(drift.answers),
        columns=_rows(drift.columns[:MAX_COLUMNS]),
        n_columns_left=max(0, len(drift.columns) - MAX_COLUMNS),
    )


def _rows(columns: Sequence[ColumnDrift]) -> list[dict[str, Any]]:
    return [
        {
            "column": one.column,
            "kind": "failed" if one.alarms else "passed",
            "alarms": one.alarms[:MAX_ALARMS],
            "importance": percent(one.importance) if one.role != "prediction" else "",
            "drift": one.drift,
            "strip": charts.strip(
                f"{charts.clip(one.column)}: drift {number(one.drift)}, alarms above 1",
                min(one.drift, SHOWN_DRIFT),
                (0.0, SHOWN_DRIFT),
                limit=1.0,
                allowed="below",
                tone="failed" if one.alarms else "passed",
            ),
        }
        for one in columns
    ]


def _metric(one: LiveMetric) -> dict[str, Any]:
    places = [one.live.low, one.live.high, *([one.test.low, one.test.high] if one.test else [])]
    pad = (max(places) - min(places)) * 0.2 or 1.0
    kind = KINDS.get(one.state, "passed")
    strip = charts.strip(
        f"{charts.clip(one.metric)}: live {number(one.live.value)}",
        one.live.value,
        (min(places) - pad, max(places) + pad),
        interval=(one.live.low, one.live.high),
        limit=one.test.value if one.test else None,
        tone=kind,
    )
    return {"row": one, "kind": kind, "strip": strip}
