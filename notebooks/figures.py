"""Drawings of the project's own charts, as a notebook shows them: light or dark, no script."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from tabular import charts
from tabular.card import TEMPLATES, number
from tabular.charts import Frame
from tabular.problem import Problem

Figure = tuple[str, Markup]

N_BINS, N_BARS = 30, 12
PLOT_PX, CAPTION_PX = 330, 60
BARS_PX = re.compile(r'class="bars"[^>]* height="(\d+)"')
LOOKS = "body{padding:0 .2rem}figure{margin:0}figcaption{margin:0 0 .3rem}.bars{min-width:0}"


@dataclass(frozen=True)
class Framed:
    """A page in a frame of its own, so that its looks and the notebook's do not mix."""

    page: str
    height_px: int

    def _repr_html_(self) -> str:
        quoted = html.escape(self.page, quote=True)
        style = f"width:100%;height:{self.height_px}px;border:0"
        return f'<iframe srcdoc="{quoted}" style="{style}"></iframe>'


def show(figures: Iterable[Figure], *, per_row: int = 3) -> Framed:
    """Lay figures (caption, drawing) out in rows."""
    shown = list(figures)
    css = (TEMPLATES / "card.css").read_text(encoding="utf-8")
    body = "".join(
        f"<figure><figcaption><b>{escape(caption)}</b></figcaption>{drawing}</figure>"
        for caption, drawing in shown
    )
    grid = f".plots{{grid-template-columns:repeat({per_row},minmax(0,1fr))}}"
    page = (
        f'<meta name="color-scheme" content="light dark"><style>{css}{LOOKS}{grid}</style>'
        f'<div class="plots">{body}</div>'
    )
    heights = [_height_px(drawing) for _, drawing in shown]
    rows = [max(heights[i : i + per_row]) for i in range(0, len(heights), per_row)]
    return Framed(page, sum(rows) + CAPTION_PX // 2)


def _height_px(drawing: Markup) -> int:
    bars = BARS_PX.search(drawing)
    return int(bars[1]) + CAPTION_PX if bars else PLOT_PX


def histogram(name: str, values: pd.Series, unit: str = "") -> Figure:
    """Rows by value, in thirty bins between the 0.5 and 99.5 % quantiles."""
    known = values.dropna().astype(float)
    low, high = known.quantile([0.005, 0.995])
    counts, edges = np.histogram(known.clip(low, high), bins=N_BINS)
    points = list(zip((edges[:-1] + edges[1:]) / 2, counts.astype(float), strict=True))
    frame = Frame(
        charts.axis_over(unit or "value", edges), charts.axis_over("rows", counts, zero=True)
    )
    return name, charts.columns(f"Rows by {name}", points, frame)


def by_value(name: str, values: pd.Series, outcome: pd.Series) -> Figure:
    """The mean outcome of each value, the most frequent first, with its share of the rows."""
    groups = outcome.groupby(values.fillna("(missing)").replace("", "(missing)"), observed=True)
    table = groups.agg(["mean", "size"]).sort_values("size", ascending=False).head(N_BARS)
    rows = [
        (f"{value} ({size / len(values):.0%})", float(mean), number(float(mean)))
        for value, mean, size in table.itertuples()
    ]
    return name, charts.bars(f"Mean outcome by {name}", rows)


def by_range(name: str, values: pd.Series, outcome: pd.Series) -> Figure:
    """The mean outcome of each tenth of the rows, along a number."""
    tenths = pd.qcut(values, 10, duplicates="drop")
    table = pd.DataFrame({"x": values, "y": outcome}).groupby(tenths, observed=True).mean()
    points = list(zip(table["x"].astype(float), table["y"].astype(float), strict=True))
    frame = Frame(
        charts.axis_over(name, table["x"]), charts.axis_over("mean outcome", table["y"])
    )
    return name, charts.line_chart(f"Mean outcome by {name}", {name: points}, frame, marks=True)


def outcome_of(problem: Problem, target: pd.Series) -> pd.Series:
    """The target as a number: the value, or 1 for the class that is looked at and 0 for others."""
    if problem.task == "regression":
        return target.astype(float)
    return (target == list(problem.target.classes).index(looked_at(problem))).astype(float)


def looked_at(problem: Problem) -> str:
    """The positive class, or the first of several."""
    return problem.target.positive or next(iter(problem.target.classes))


def ranked(values: Mapping[str, float], top: int = N_BARS) -> list[tuple[str, float, str]]:
    """Bars for names and values, the largest first; of one below zero the size is drawn."""
    largest = sorted(values.items(), key=lambda one: -abs(one[1]))[:top]
    return [(name, abs(value), number(float(value))) for name, value in largest]
