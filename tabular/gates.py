"""Gates: the limits of the YAML against what was measured, and one readable verdict.

The champion is a gate too, and so is each slice: whoever takes its place must not do worse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import get_args

from pydantic import ConfigDict

from tabular.challenge import Comparison, Gain
from tabular.contract import Frozen
from tabular.evaluation import Metric
from tabular.settings import Alias, Gate, Promotion, Severity

# A percentile interval over fewer rows says too little to put one model in another's place.
MIN_ROWS = 100
SLICE_GAIN = "gain_in_"  # how the metric of a slice's result begins
ALIASES: tuple[Alias, ...] = get_args(Alias)  # a version is led through them in this order
BY_HAND = 'to replace it all the same: --promote VERSION --to production --override "reason"'


class GateResult(Frozen):
    """One gate and what it saw. `value` is the compared number, NaN where nothing was measured.

    A version must hold it to be named by `alias`, and by the aliases after it.
    """

    model_config = ConfigDict(ser_json_inf_nan="constants")

    metric: str
    limit: str
    value: float
    passed: bool
    severity: Severity
    alias: Alias
    sentence: str


class Verdict(Frozen):
    """How far the bundle goes: to each alias whose gates of severity block hold, all before it too.

    `carries` is cut at the problem's `promotion.carries_to`, and `accepted` says whether it comes
    so far.
    """

    accepted: bool
    carries: dict[Alias, bool]
    results: tuple[GateResult, ...]
    sentence: str
    comparison: Comparison


def decide(
    gates: Sequence[Gate],
    metrics: Mapping[str, Metric],
    facts: Mapping[str, float],
    promotion: Promotion,
    comparison: Comparison,
) -> Verdict:
    """Hold each gate against its metric or fact; what is absent or not finite fails.

    Args:
        gates: The limits of the YAML.
        metrics: Measured on the test part, with 95 % intervals.
        facts: Numbers without an interval (latency, parity); any `bound` reads the number itself.
        promotion: What is asked against the champion, and how far the verdict may carry.
        comparison: What was found against the champion.
    """
    results = (
        *(_hold(gate, metrics, facts) for gate in gates),
        *_hold_champion(comparison, promotion),
        *_hold_slices(comparison, promotion),
    )
    asked = ALIASES[: ALIASES.index(promotion.carries_to) + 1]
    carries = {alias: alias in asked and not _blocking(results, alias) for alias in ALIASES}
    return Verdict(
        accepted=carries[promotion.carries_to],
        carries=carries,
        results=results,
        sentence=_sentence(results, carries, promotion.carries_to),
        comparison=comparison,
    )


def _blocking(results: Sequence[GateResult], alias: Alias) -> list[GateResult]:
    """What keeps a version from an alias: failed gates of its own and of the aliases before it."""
    counted = ALIASES[: ALIASES.index(alias) + 1]
    return [r for r in results if not r.passed and r.severity == "block" and r.alias in counted]


def _sentence(
    results: Sequence[GateResult], carries: Mapping[Alias, bool], carries_to: Alias
) -> str:
    if blocking := _blocking(results, carries_to):
        reached = [alias for alias in ALIASES if carries[alias]][-1]
        reasons = "; ".join(result.sentence for result in blocking)
        return f"Refused for {carries_to}: {reasons}. It goes no further than {reached}."
    failed = [result for result in results if not result.passed]
    warned = f", warned: {'; '.join(result.sentence for result in failed)}" if failed else ""
    n_held = len(results) - len(failed)
    return f"Accepted for {carries_to}: {n_held} of {len(results)} gates hold{warned}."


def _hold(gate: Gate, metrics: Mapping[str, Metric], facts: Mapping[str, float]) -> GateResult:
    value = _compared(gate, metrics, facts)
    holds_min = gate.min is None or value >= gate.min
    holds_max = gate.max is None or value <= gate.max
    passed = math.isfinite(value) and holds_min and holds_max
    limit = f"at least {gate.min:g}" if gate.min is not None else f"at most {gate.max:g}"
    name = gate.metric
    if gate.bound != "value" and name in metrics:
        name = f"{name} ({gate.bound} end of its 95 % interval)"
    if not math.isfinite(value):
        sentence = f"{name} was not measured, and must be {limit}"
    else:
        joined = "as it must be" if passed else "and must be"
        sentence = f"{name} is {_shown(value, gate)}, {joined} {limit}"
    return GateResult(
        metric=gate.metric,
        limit=limit,
        value=value,
        passed=passed,
        severity=gate.severity,
        alias=gate.alias,
        sentence=sentence,
    )


def _compared(gate: Gate, metrics: Mapping[str, Metric], facts: Mapping[str, float]) -> float:
    if gate.metric in metrics:
        metric = metrics[gate.metric]
        return {"value": metric.value, "low": metric.low, "high": metric.high}[gate.bound]
    return facts.get(gate.metric, math.nan)


def _shown(value: float, gate: Gate) -> str:
    """Write a value in 4 digits, or in as many as it takes to tell it from the limit."""
    limit = gate.min if gate.min is not None else gate.max
    short = f"{value:.4g}"
    return short if value == limit or float(short) != limit else repr(float(value))


def _hold_champion(comparison: Comparison, promotion: Promotion) -> tuple[GateResult, ...]:
    """One result: the gain must reach `min_gain`, and its interval lie above zero."""
    if not comparison.champion:
        return ()
    whole = comparison.whole
    gains = whole is not None and whole.gain.value >= promotion.min_gain and whole.gain.low > 0
    is_enough = whole is not None and whole.n_rows >= MIN_ROWS
    result = GateResult(
        metric="gain_over_champion",
        limit=f"at least {promotion.min_gain:g}, interval above 0",
        value=math.nan if whole is None else whole.gain.value,
        passed=gains and is_enough,
        severity="block",
        alias="production",
        sentence=_champion_sentence(comparison, promotion.min_gain, gains=gains),
    )
    return (result,)


def _champion_sentence(comparison: Comparison, min_gain: float, *, gains: bool) -> str:
    champion, whole = f"the champion {comparison.champion}", comparison.whole
    if comparison.obstacle:
        return f"{champion} could not be re-scored ({comparison.obstacle}); {BY_HAND}"
    if whole is None:
        return (
            f"{comparison.metric} is not defined on the test rows that are left to compare with "
            f"{champion} ({comparison.n_left_out:,} were left out); {BY_HAND}"
        )
    shown = _gain_words(comparison.metric, whole)
    if whole.gain.high < 0:
        return f"it is worse than {champion}: {shown}"
    if not gains:
        by = f" by {min_gain:g}" if min_gain else ""
        return f"it is no better than {champion}{by}: {shown}"
    if whole.n_rows < MIN_ROWS:
        return (
            f"{shown}, too few rows to call it better than {champion}, as {MIN_ROWS} are needed "
            f"({comparison.n_left_out:,} were left out); {BY_HAND}"
        )
    return f"it is better than {champion}: {shown}"


def _gain_words(metric: str, whole: Gain) -> str:
    return (
        f"{metric} is {whole.challenger:.4g} against {whole.champion:.4g} on the same "
        f"{whole.n_rows:,} test rows, a gain of {whole.gain.value:.2g} "
        f"(95 % interval {whole.gain.low:.2g} to {whole.gain.high:.2g})"
    )


def _hold_slices(comparison: Comparison, promotion: Promotion) -> tuple[GateResult, ...]:
    """One result a slice that both have a value for, where the YAML sets a limit."""
    if promotion.max_slice_loss is None:
        return ()
    allowed = -promotion.max_slice_loss
    return tuple(
        GateResult(
            metric=f"{SLICE_GAIN}{one.column}: {one.value}",
            limit=f"at least {allowed:g}",
            value=one.gain.value,
            passed=one.gain.value >= allowed,
            severity="block",
            alias="production",
            sentence=(
                f"on {one.column} {one.value}, {_gain_words(comparison.metric, one)}, "
                f"{'as it' if one.gain.value >= allowed else 'and'} must be at least {allowed:g}"
            ),
        )
        for one in comparison.slices
    )
