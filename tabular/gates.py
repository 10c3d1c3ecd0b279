"""Gates: the limits of the YAML against what was measured, and one readable verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import ConfigDict

from tabular.contract import Frozen
from tabular.evaluation import Metric
from tabular.settings import Gate, Severity


class GateResult(Frozen):
    """One gate and what it saw. `value` is the compared number, NaN where nothing was measured."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    metric: str
    limit: str
    value: float
    passed: bool
    severity: Severity
    sentence: str


class Verdict(Frozen):
    """Whether the bundle may go on: no gate of severity block failed."""

    accepted: bool
    results: tuple[GateResult, ...]
    sentence: str


def decide(
    gates: Sequence[Gate], metrics: Mapping[str, Metric], facts: Mapping[str, float]
) -> Verdict:
    """Hold each gate against its metric or fact; what is absent or not finite fails.

    Args:
        metrics: Measured on the test part, with 95 % intervals.
        facts: Numbers without an interval (latency, parity); any `bound` reads the number itself.
    """
    results = tuple(_hold(gate, metrics, facts) for gate in gates)
    failed = [result for result in results if not result.passed]
    blocking = [result for result in failed if result.severity == "block"]
    if blocking:
        sentence = f"Refused: {'; '.join(result.sentence for result in blocking)}."
    else:
        sentence = f"Accepted: {len(results) - len(failed)} of {len(results)} gates hold"
        warned = "; ".join(result.sentence for result in failed)
        sentence += f", warned: {warned}." if failed else "."
    return Verdict(accepted=not blocking, results=results, sentence=sentence)


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
