"""Live metrics beside gates and test metrics: does what moved hurt?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tabular.contract import Frozen
from tabular.evaluation import Metric
from tabular.prediction_log.performance import VersionPerformance
from tabular.settings import LOWER_IS_BETTER, Gate

# `unknown`: too few outcomes. `missed`: a gate is missed with confidence. `worse`: no gate is, but
# the live interval lies on the wrong side of the test part's.
State = Literal["unknown", "missed", "worse", "holds"]


class LiveMetric(Frozen):
    """A metric of answered rows, beside that of the test part (None where it has none)."""

    metric: str
    live: Metric
    test: Metric | None
    state: State
    sentence: str


class Live(Frozen):
    """What the outcomes say of the version in production.

    `n_labels` are its rows of the window whose outcome is known, `n_new` all that came in since it
    was trained. `versions` are all that answered in the window, in production or in the shadow.
    """

    version: str
    n_labels: int = 0
    n_new: int = 0
    state: State = "unknown"
    metrics: tuple[LiveMetric, ...] = ()
    sentence: str = ""
    versions: tuple[VersionPerformance, ...] = ()


def hold_live(
    version: str,
    measured: Mapping[str, Metric],
    tested: Mapping[str, Any],
    gates: Sequence[Gate],
    *,
    n_labels: int,
    n_new: int,
    min_labels: int,
) -> Live:
    """Hold live metrics against gates and test metrics.

    Args:
        version: Whose answers were measured.
        measured: Live metrics with 95 % intervals.
        tested: The report's metrics of the test part, as JSON.
        gates: The YAML's; the end of the interval that must miss one is the better end, so that
            chance alone misses none.
        n_labels: Rows of the window with an outcome.
        n_new: The same since the version was trained.
        min_labels: Fewer say nothing.
    """
    if n_labels < min_labels:
        return Live(
            version=version,
            n_labels=n_labels,
            n_new=n_new,
            sentence=f"{n_labels:,} outcomes are known, too few to say: {min_labels:,} are needed",
        )
    limits = {gate.metric: gate for gate in gates if gate.severity == "block"}
    held = tuple(
        _hold(name, metric, tested.get(name), limits.get(name)) for name, metric in measured.items()
    )
    states = {one.state for one in held}
    state = next((s for s in ("missed", "worse") if s in states), "holds" if held else "unknown")
    named = [one.sentence for one in held if one.state == state and state != "holds"]
    words = "; ".join(named) or f"on {n_labels:,} outcomes the model does as well as it was tested"
    return Live.model_validate(
        {
            "version": version,
            "n_labels": n_labels,
            "n_new": n_new,
            "state": state,
            "metrics": held,
            "sentence": words,
        }
    )


def _hold(name: str, live: Metric, tested: Any, gate: Gate | None) -> LiveMetric:
    test = Metric.model_validate(tested) if tested else None
    shown = f"live {name} is {live.value:.4g} (95 % interval {live.low:.4g} to {live.high:.4g})"
    state: State = "holds"
    if gate is not None and _misses(live, gate):
        state = "missed"
        limit = f"at least {gate.min:g}" if gate.min is not None else f"at most {gate.max:g}"
        shown += f", and its gate asks for {limit}"
    elif test is not None and _is_worse(name, live, test):
        state = "worse"
    if test is not None:
        shown += f"; on the test part it was {test.value:.4g}"
    return LiveMetric(metric=name, live=live, test=test, state=state, sentence=shown)


def _misses(live: Metric, gate: Gate) -> bool:
    """Whether the whole interval lies beyond the gate."""
    below = gate.min is not None and live.high < gate.min
    return below or (gate.max is not None and live.low > gate.max)


def _is_worse(name: str, live: Metric, test: Metric) -> bool:
    if name in LOWER_IS_BETTER:
        return live.low > test.high
    return live.high < test.low
