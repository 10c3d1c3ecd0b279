"""What became true of answered rows: live metrics, and the outcomes' own drift."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tabular.contract import Array, category_text
from tabular.decision import Decision, Floats
from tabular.drift.counts import Counts
from tabular.drift.profile import Profile
from tabular.evaluation import Metric, evaluate
from tabular.settings import Evaluation, Target

# The log keeps one probability of several classes, so that these cannot be told from it.
NEED_ALL_PROBABILITIES = {"multiclass": ("log_loss",)}


def live_metrics(
    joined: pa.Table, decision: Decision, target: Target, config: Evaluation, *, seed: int
) -> dict[str, Metric]:
    """Metrics with 95 % intervals of n answered rows of one version whose outcome is known.

    Args:
        joined: As `prediction_log.reading.joined_labels` gives it.
        decision: The version's.
        target: Says which raw outcome is which class.
        config: As in training; its slices are not looked at.
        seed: Drives the bootstrap.
    """
    y, known = outcome_values(joined.column("outcome"), decision, target)
    rows = joined.filter(pa.array(known))
    if not rows.num_rows:
        return {}
    answers = _calibrated(rows, decision)
    scores = evaluate(decision, answers, y[known], config, seed=seed, slice_values={})
    untold = NEED_ALL_PROBABILITIES.get(decision.task, ())
    return {name: metric for name, metric in scores.metrics.items() if name not in untold}


def outcome_values(
    outcomes: pa.ChunkedArray, decision: Decision, target: Target
) -> tuple[Array, Array]:
    """Raw outcomes as the place of a class or a value (n,), and which of them are one (n,)."""
    raw = outcomes.to_pylist()
    if decision.task == "regression":
        values = np.array([_number(one) for one in raw], dtype=np.float64)
        return values, np.isfinite(values)
    places: Mapping[str, int] = {
        category_text(target.classes[name]): place for place, name in enumerate(decision.classes)
    }
    found = np.array([places.get(category_text(one), -1) for one in raw], dtype=np.int64)
    return found, found >= 0


def count_outcomes(
    joined: pa.Table, profile: Profile, decision: Decision, target: Target
) -> Counts:
    """Outcomes as a column like any other, its classes by their names."""
    y, known = outcome_values(joined.column("outcome"), decision, target)
    counts = Counts(profile)
    names = np.asarray(decision.classes, dtype=object)
    counts.add(names[y[known]] if decision.classes else y[known])
    return counts


def _calibrated(rows: pa.Table, decision: Decision) -> Floats:
    """The answers (n, c) as far as the log tells them: other classes share what is left."""
    if decision.task == "regression":
        return rows.column("value").to_numpy()[:, None]
    p = rows.column("probability").to_numpy()
    if decision.positive is not None:
        answers = np.empty((len(p), 2))
        answers[:, decision.positive], answers[:, 1 - decision.positive] = p, 1 - p
        return answers
    classes = {name: place for place, name in enumerate(decision.classes)}
    said = np.array([classes[name] for name in rows.column("prediction").to_pylist()])
    answers = np.repeat(((1 - p) / (len(classes) - 1))[:, None], len(classes), axis=1)
    answers[np.arange(len(p)), said] = p
    return answers


def _number(text: str) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan
