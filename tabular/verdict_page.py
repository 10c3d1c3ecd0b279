"""The verdict as a page: how far a version goes, gate by gate, beside the champion."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from tabular import charts
from tabular.card import TASKS, number, template
from tabular.challenge import Comparison, Gain
from tabular.gates import ALIASES, GateResult, Verdict
from tabular.judging import EvaluationSet
from tabular.problem import Problem
from tabular.settings import LOWER_IS_BETTER

MAX_RESULTS, MAX_SLICES = 60, 40


def render_verdict(verdict: Verdict, evaluation_set: EvaluationSet, problem: Problem) -> str:
    """Render a verdict as one HTML page under 100 KB, with the looks of the model card."""
    comparison = verdict.comparison
    return template("verdict.html").render(
        problem=problem,
        task_words=TASKS[problem.task],
        verdict=verdict,
        comparison=comparison,
        lower_is_better=comparison.metric in LOWER_IS_BETTER,
        evaluation_set=evaluation_set,
        aliases=[_alias(alias, verdict, problem) for alias in ALIASES],
        gates=[_gate(result) for result in verdict.results[:MAX_RESULTS]],
        n_gates_left=max(0, len(verdict.results) - MAX_RESULTS),
        gain_strip=_whole_strip(comparison, problem.promotion.min_gain),
        slices=_slices(comparison, problem.promotion.max_slice_loss),
        n_slices_left=max(0, len(comparison.slices) - MAX_SLICES),
    )


def _alias(alias: str, verdict: Verdict, problem: Problem) -> dict[str, Any]:
    """One row of the ladder: an alias, whether the version gets it, and why."""
    own = [r for r in verdict.results if r.alias == alias]
    n_held = sum(r.passed for r in own)
    if alias == ALIASES[0]:
        words = "every version that was trained to its end"
    elif ALIASES.index(alias) > ALIASES.index(problem.promotion.carries_to):
        words = f"by hand only: promotion.carries_to is {problem.promotion.carries_to}"
    else:
        words = f"{n_held} of its {len(own)} gates hold" if own else "asks for nothing of its own"
    carries = verdict.carries[alias]  # type: ignore[index]
    return {"name": alias, "kind": "passed" if carries else "failed", "words": words}


def _gate(result: GateResult) -> dict[str, Any]:
    return {**result.model_dump(), "kind": _kind(result.passed, result.severity)}


def _kind(passed: bool, severity: str = "block") -> str:
    return "passed" if passed else {"warn": "warning"}.get(severity, "failed")


def _whole_strip(comparison: Comparison, min_gain: float) -> Markup:
    whole = comparison.whole
    if whole is None:
        return Markup("")
    kind = _kind(whole.gain.value >= min_gain and whole.gain.low > 0)
    return _strip(whole, "all rows", min_gain, _span([whole], min_gain), kind)


def _slices(comparison: Comparison, max_loss: float | None) -> list[dict[str, Any]]:
    shown = comparison.slices[:MAX_SLICES]
    limit = 0.0 if max_loss is None else -max_loss
    span = _span(list(shown), limit)
    return [
        {
            "is_first": place == 0 or shown[place - 1].column != one.column,
            "score": one,
            "strip": _strip(
                one,
                f"{one.column} {one.value}",
                limit,
                span,
                "s0" if max_loss is None else _kind(one.gain.value >= limit),
            ),
        }
        for place, one in enumerate(shown)
    ]


def _span(gains: list[Gain], limit: float) -> tuple[float, float]:
    places = [0.0, limit, *(end for one in gains for end in (one.gain.low, one.gain.high))]
    pad = (max(places) - min(places)) * 0.1 or 1.0
    return min(places) - pad, max(places) + pad


def _strip(gain: Gain, what: str, limit: float, span: tuple[float, float], tone: str) -> Markup:
    return charts.strip(
        f"{charts.clip(what)}: gain {number(gain.gain.value)}, at least {number(limit)}",
        gain.gain.value,
        span,
        interval=(gain.gain.low, gain.gain.high),
        limit=limit,
        allowed="above",
        tone=tone,
    )
