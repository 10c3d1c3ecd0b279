"""The model card: one HTML page, complete in itself, made from a report and nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, Template
from markupsafe import Markup

from tabular import charts
from tabular.charts import clip
from tabular.curve_plots import draw_plots
from tabular.settings import LOWER_IS_BETTER

Report = Mapping[str, Any]

TEMPLATES = Path(__file__).parent / "templates"
NONE = "–"
MAX_IMPORTANCES, MAX_SLICES, MAX_RULES, MAX_TRIALS = 15, 36, 10, 12
MAX_SLICE_METRICS = 3
TASKS = {
    "binary": "binary classification",
    "multiclass": "multiclass classification",
    "regression": "regression",
}
IN_TARGET_UNIT = frozenset({"mae", "rmse", "p95_error", "interval_width"})
# Name as people write it, and what the number says.
METRIC_WORDS = {
    "roc_auc": ("ROC AUC", "chance that a positive row ranks above a negative one"),
    "pr_auc": ("PR AUC", "precision averaged over recall; chance level is the base rate"),
    "f1": ("F1", "harmonic mean of precision and recall at the threshold"),
    "f1_macro": ("Macro F1", "F1 averaged over classes, each counted alike"),
    "precision": ("Precision", "share of positive answers that are right"),
    "recall": ("Recall", "share of positive rows that are found"),
    "accuracy": ("Accuracy", "share of rows answered right"),
    "brier": ("Brier score", "mean squared error of the probability; lower is better"),
    "log_loss": ("Log loss", "surprise at the true class, in nats; lower is better"),
    "mae": ("Mean absolute error", "typical miss; lower is better"),
    "rmse": ("Root mean squared error", "large misses weigh more; lower is better"),
    "r2": ("R²", "share of the variance explained"),
    "p95_error": ("95th percentile error", "one row in twenty misses by more; lower is better"),
    "coverage": ("Interval coverage", "share of rows inside their interval"),
    "interval_width": ("Interval width", "full width; lower is better"),
    "extreme_error_share": ("Extreme errors", "share of rows that miss by far; lower is better"),
    "latency_ms": ("Latency, one row (ms)", "time to answer one row"),
    "parity_share": ("Export parity", "share of rows where graph and pipeline agree"),
    "label_disagreement_share": ("Label disagreement", "share of rows labelled differently"),
}
FITTED_WORDS = {
    "none": "None; the model's probabilities are used as they are",
    "sigmoid": "Sigmoid (Platt scaling) on the log-odds, fitted on the validation part",
    "isotonic": "Isotonic, fitted on the validation part",
}


def render_card(report: Report) -> str:
    """Render a report as one HTML page under 100 KB: no script, no outside file.

    Args:
        report: The run's report (see `--report`). Parts that are missing are left out of the page;
            a number that is missing or not finite is shown as a dash.
    """
    return template("card.html").render(
        report=report,
        task_words=TASKS.get(report.get("task", ""), report.get("task", "")),
        gates=_gates(report),
        n_failed=sum(not r["passed"] for r in (report.get("verdict") or {}).get("results", [])),
        metrics=_metrics(report),
        trials=_trials(report),
        plots=draw_plots(report),
        importances=_importances(report),
        slices=_slices(report),
        rules=_top((report.get("quarantine") or {}).get("by_rule"), MAX_RULES),
        missing=_top((report.get("quarantine") or {}).get("missing_share"), MAX_RULES),
        fitted_words=FITTED_WORDS,
        percent=percent,
    )


def number(value: object, extra: int = 0) -> str:
    """Write a number in about three figures (and `extra` more), thousands parted, true minus."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return NONE
    size = abs(value)
    if isinstance(value, int) or size >= 1000:
        text = f"{size:,.0f}"
    elif size >= 2:
        text = f"{size:.{(1 if size >= 100 else 2) + extra}f}"
    elif 0 < size < 0.01:
        text = f"{size:.{1 + extra}g}"
    else:
        text = f"{size:.{3 + extra}f}"
        if size < 1 and float(text) == 1:
            text = "> 0.999"
    return f"−{text}" if value < 0 else text


def seconds(value: object) -> str:
    """Write a duration in seconds to a tenth, or to a hundredth where it is short."""
    if not _is_number(value):
        return NONE
    value = float(value)  # type: ignore[arg-type]
    return f"{value:,.1f}" if value >= 10 else f"{value:.2f}"


def percent(part: object, whole: object = 1) -> str:
    """Write a share in percent."""
    if not (_is_number(part) and _is_number(whole)) or not whole:
        return NONE
    share = 100 * float(part) / float(whole)  # type: ignore[arg-type]
    if 0 < share < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if 99.95 <= share < 100 else f"{round(share, 1):g} %"


def inline(value: object) -> str:
    """Write a nested value on one line: `kind: sample, rows: 20,000`."""
    if value is None or value == "":
        return NONE
    if isinstance(value, Mapping):
        return ", ".join(f"{clip(k, 40)}: {inline(v)}" for k, v in value.items()) or NONE
    if isinstance(value, (list, tuple)):
        return ", ".join(inline(v) for v in value) or NONE
    if _is_number(value) or (isinstance(value, float) and not math.isfinite(value)):
        return number(value)
    return clip(value, 120)


def metric_name(name: str) -> str:
    """Return a metric's name as people write it."""
    return METRIC_WORDS.get(name, (clip(name.replace("_", " ")), ""))[0]


@cache
def template(name: str) -> Template:
    """A page of the templates folder, with the filters that all pages share."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": number,
        "seconds": seconds,
        "inline": inline,
        "clip": clip,
        "metric": metric_name,
        "mark": charts.mark,
    }
    return environment.get_template(name)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _top(counts: Mapping[str, float] | None, n: int) -> list[tuple[str, float]]:
    ranked = sorted((counts or {}).items(), key=lambda kv: -kv[1] if _is_number(kv[1]) else 0.0)
    return ranked[:n]


def _with_unit(name: str, report: Report) -> str:
    unit = report.get("unit") or ""
    return f"{metric_name(name)} ({unit})" if unit and name in IN_TARGET_UNIT else metric_name(name)


def _interval(metric: Mapping[str, Any] | None) -> tuple[float, float] | None:
    ends = [(metric or {}).get(end) for end in ("low", "high")]
    return (float(ends[0]), float(ends[1])) if all(map(_is_number, ends)) else None  # type: ignore[arg-type]


def _gates(report: Report) -> list[dict[str, Any]]:
    rows = []
    for result in (report.get("verdict") or {}).get("results", []):
        interval = _interval(report.get("metrics", {}).get(result["metric"]))
        limit_text = re.search(r"-?\d[\d.]*(?:e[+-]?\d+)?$", str(result["limit"]))
        limit = float(limit_text[0]) if limit_text else None
        kind = (
            "passed"
            if result["passed"]
            else ("warning" if result.get("severity") == "warn" else "failed")
        )
        rows.append(
            {
                **result,
                "kind": kind,
                "name": _with_unit(result["metric"], report),
                "end": _end(result["value"], interval),
                "strip": _gate_strip(result, limit, interval, kind),
            }
        )
    return rows


def _end(value: float, interval: tuple[float, float] | None) -> str:
    return {interval[0]: "low end", interval[1]: "high end"}.get(value, "") if interval else ""


def _gate_strip(
    result: Mapping[str, Any], limit: float | None, interval: tuple[float, float] | None, kind: str
) -> Markup:
    value = result.get("value")
    if limit is None or not _is_number(value):
        return Markup("")
    places = [float(value), limit, *(interval or ())]  # type: ignore[arg-type]
    pad = (max(places) - min(places)) * 0.25 or abs(limit) * 0.1 or 1.0
    return charts.strip(
        f"{metric_name(result['metric'])} is {number(value)}; limit: {result['limit']}",
        value,
        (min(places) - pad, max(places) + pad),
        interval=interval,
        limit=limit,
        allowed="below" if "most" in str(result["limit"]) else "above",
        tone=kind,
    )


def _metrics(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "name": _with_unit(name, report),
            "words": METRIC_WORDS.get(name, ("", ""))[1],
            "value": (m or {}).get("value"),
            "interval": _interval(m),
        }
        for name, m in report.get("metrics", {}).items()
    ]


def _trials(report: Report) -> list[dict[str, Any]]:
    """Return the best trial of each candidate, best first, with a strip on a common scale."""
    trials = [t for t in report.get("trials", []) if _is_number(t.get("mean"))]
    if not trials:
        return []
    chosen = report.get("chosen") or {}
    sign = -1.0 if _lower_wins(report, trials) else 1.0
    ranked = sorted(trials, key=lambda t: -sign * t["mean"])
    best: dict[str, dict[str, Any]] = {}
    for trial in ranked:
        best.setdefault(trial["candidate"], trial)
    shown = list(best.values())[:MAX_TRIALS]
    sds = {id(t): t["sd"] if _is_number(t.get("sd")) else 0.0 for t in shown}
    low = min(t["mean"] - sds[id(t)] for t in shown)
    high = max(t["mean"] + sds[id(t)] for t in shown)
    rows = []
    for t in shown:
        is_chosen = t["candidate"] == chosen.get("candidate")
        tried = [o for o in trials if o["candidate"] == t["candidate"]]
        rows.append(
            {
                **t,
                "is_chosen": is_chosen,
                "n": len(tried),
                "seconds": sum(o["seconds"] for o in tried if _is_number(o.get("seconds"))),
                "strip": charts.strip(
                    f"{t['candidate']}: {number(t['mean'])} ± {number(t.get('sd'))}",
                    t["mean"],
                    (low, high),
                    tone="s0" if is_chosen else "s9",
                    interval=(t["mean"] - sds[id(t)], t["mean"] + sds[id(t)]),
                ),
            }
        )
    return rows


def _lower_wins(report: Report, trials: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether a low mean is good: by the metric's name, else by which trial was chosen."""
    if metric := report.get("search_metric"):
        return metric in LOWER_IS_BETTER
    mean, means = (report.get("chosen") or {}).get("mean"), [t["mean"] for t in trials]
    return bool(_is_number(mean) and abs(mean - min(means)) < abs(mean - max(means)))


def _importances(report: Report) -> dict[str, Any]:
    pairs = {k: v for k, v in (report.get("importances") or {}).items() if _is_number(v)}
    ranked = sorted(pairs.items(), key=lambda kv: -kv[1])
    rest = ranked[MAX_IMPORTANCES:]
    rows = [(name, value, number(float(value))) for name, value in ranked[:MAX_IMPORTANCES]]
    return {
        "chart": charts.bars("Importance by column", rows) if rows else "",
        "n_rest": len(rest),
        "rest": max((v for _, v in rest), default=0.0),
    }


def _slices(report: Report) -> dict[str, Any]:
    """Return slice rows grouped by column, each with a strip of the first metric."""
    slices = [s for s in report.get("slices") or [] if s.get("metrics")]
    names = _shared(s["metrics"] for s in slices)[:MAX_SLICE_METRICS]
    if not names:
        return {}
    first, shown = names[0], slices[:MAX_SLICES]
    overall = (report.get("metrics", {}).get(first) or {}).get("value")
    values = [s["metrics"].get(first) for s in shown] + [overall]
    known = [float(v) for v in values if _is_number(v)] or [0.0]
    pad = (max(known) - min(known)) * 0.08 or 1.0
    span = (min(known) - pad, max(known) + pad)
    rows = [
        {
            **s,
            "is_first": i == 0 or shown[i - 1]["column"] != s["column"],
            "numbers": [s["metrics"].get(n) for n in names],
            "strip": charts.strip(
                f"{clip(s['column'])} {clip(s['value'])}: {number(s['metrics'].get(first))}",
                s["metrics"].get(first),
                span,
                limit=overall if _is_number(overall) else None,
            ),
        }
        for i, s in enumerate(shown)
    ]
    return {
        "names": names,
        "rows": rows,
        "first": first,
        "overall": overall,
        "n_rest": len(slices) - len(shown),
    }


def _shared(metrics: Iterable[Mapping[str, float]]) -> list[str]:
    """Return the metric names in the order first met."""
    return list(dict.fromkeys(name for one in metrics for name in one))
