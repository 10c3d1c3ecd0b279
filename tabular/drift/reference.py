"""What a bundle keeps of its training rows, so that later windows can be held against them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from tabular.bundle import Bundle, ServedContract
from tabular.contract import Array, Columns, Contract, Frozen
from tabular.decision import Decision, Floats
from tabular.drift.compare import effects_of
from tabular.drift.counts import Counts
from tabular.drift.profile import Profile, Role, profile_of_quantiles
from tabular.features import derive
from tabular.tables.frames import frame_columns

# The movement that a column had in training is taken from windows in order of time, which overlap
# where there are few rows, but never fewer than for five that do not.
N_WINDOWS, MIN_WINDOWS = 40, 5
WINDOW_ROWS, MIN_WINDOW_ROWS = 1_000, 400
PROFILE_ROWS = 10_000
PROFILES = "profiles"  # the key in reference.json
NATURAL_KINDS = ("distribution", "shift", "missing", "unseen", "range")

Rows = npt.NDArray[np.intp]


class Reference(Frozen):
    """Profiles by column (derived ones included), of the answers, and of the outcome."""

    columns: dict[str, Profile]
    answers: dict[str, Profile] = Field(default_factory=dict)
    outcome: Profile | None = None


@dataclass(frozen=True)
class Drawn:
    """Rows of a table to learn from: a sample of all, and windows in order of time (places)."""

    rows: pd.DataFrame
    sample: Rows
    windows: list[Rows]


def learn_reference(
    train: pd.DataFrame,
    validation: pd.DataFrame,
    answer: Callable[[Columns], Floats],
    served: ServedContract,
    decision: Decision,
    *,
    target: str,
    seed: int,
) -> Reference:
    """Profiles of training rows, and how far they moved by themselves.

    Args:
        train: Typed rows.
        validation: Typed rows that the model was not fitted on, whose answers are the reference:
            to its own training rows a model answers too surely.
        answer: Typed columns of n rows to calibrated answers (n, c).
        served: Contract and features.
        decision: Turns answers into labels.
        target: The column with the outcome: the place in `decision.classes`, or the value.
        seed: Draws the sample.
    """
    contract = served.contract
    known = {feature.name: feature.categories for feature in served.features}
    drawn, held = (draw_rows(rows, contract, seed=seed) for rows in (train, validation))
    answers = logged_answers(answer(frame_columns(held.rows, contract)), decision)
    y = drawn.rows[target].to_numpy()
    outcome = np.asarray(decision.classes, dtype=object)[y] if decision.classes else y
    return Reference(
        columns={
            name: _learn(values, role, drawn, inputs, known.get(name, ()))
            for name, (values, role, inputs) in _watched(drawn.rows, contract).items()
        },
        answers={n: _learn(values, "prediction", held) for n, values in answers.items()},
        outcome=_learn(outcome, "outcome", drawn, categories=decision.classes),
    )


def draw_rows(rows: pd.DataFrame, contract: Contract, *, seed: int) -> Drawn:
    """A sample of at most 10,000 rows, and 40 windows from the first to the last moment, or none.

    The contract's first date tells the time; of one day, its last time of day.
    """
    order = _in_order_of_time(rows, contract)
    n_rows = min(WINDOW_ROWS, len(order) // MIN_WINDOWS)
    starts = np.linspace(0, len(order) - n_rows, N_WINDOWS).astype(int)
    windows = [order[start : start + n_rows] for start in starts]
    if n_rows < MIN_WINDOW_ROWS:
        windows = []
    sample = np.random.default_rng(seed).permutation(len(rows))[:PROFILE_ROWS]
    chosen = np.unique(np.concatenate([sample, *windows]))
    places = np.searchsorted(chosen, sample)
    return Drawn(rows.iloc[chosen], places, [np.searchsorted(chosen, one) for one in windows])


def _in_order_of_time(rows: pd.DataFrame, contract: Contract) -> Rows:
    """Places of the rows that tell their date, the oldest first; none where no column does."""
    by_type = {c.type: name for name, c in reversed(contract.columns.items()) if name in rows}
    times = [name for name, c in contract.columns.items() if c.type == "time" and name in rows]
    if "date" not in by_type:
        return np.array([], dtype=np.intp)
    days = rows[by_type["date"]].to_numpy()
    order = np.lexsort([*(rows[name].to_numpy() for name in times[-1:]), days])
    return order[~np.isnan(days[order])]


def _watched(
    rows: pd.DataFrame, contract: Contract
) -> dict[str, tuple[Array, Role, tuple[str, ...]]]:
    """Values, role and what it is made of, by input column and derived column."""
    columns = frame_columns(rows, contract)
    found: dict[str, tuple[Array, Role, tuple[str, ...]]] = {}
    for name, column in contract.inputs().items():
        role: Role = "feature" if column.is_feature else "raw"
        if column.type in ("date", "time"):
            role = "moment"
        found[name] = (columns[name], role, ())
    whole = derive(contract, columns)
    for name, one in contract.derive.items():
        found[name] = (whole[name], "feature", one.inputs)
    return found


def logged_answers(calibrated: Floats, decision: Decision) -> dict[str, Array]:
    """Of answers (n, c) what the prediction log keeps: `value`, or `prediction` and `probability`.

    The probability is that of the positive class, or of the predicted one where there are several.
    """
    if decision.task == "regression":
        return {"value": calibrated[:, 0]}
    labels = decision.labels(calibrated)
    said = labels if decision.positive is None else np.full(len(labels), decision.positive)
    return {
        "prediction": np.asarray(decision.classes, dtype=object)[labels],
        "probability": calibrated[np.arange(len(labels)), said],
    }


def _learn(
    values: Array,
    role: Role,
    drawn: Drawn,
    inputs: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
) -> Profile:
    profile = Profile.of_values(values[drawn.sample], role, inputs).with_categories(categories)
    natural: dict[str, float] = {}
    for rows in drawn.windows:
        counts = Counts(profile)
        counts.add(values[rows])
        for kind, effect in effects_of(counts).items():
            natural[kind] = max(natural.get(kind, 0.0), effect)
    kept = {kind: effect for kind, effect in natural.items() if kind in NATURAL_KINDS}
    return profile.model_copy(update={"natural": kept})


def read_reference(bundle: Bundle) -> Reference:
    """A bundle's reference; of one that has percentiles only, what these allow."""
    raw: Mapping[str, Any] = bundle.read_json("reference.json")
    if PROFILES in raw:
        return Reference.model_validate(raw[PROFILES])
    contract, n_rows = bundle.contract.contract, raw["n_rows"]
    known = {feature.name: feature.categories for feature in bundle.contract.features}
    columns = {}
    for name, column in contract.inputs().items():
        role: Role = "feature" if column.is_feature else "raw"
        if column.type in ("date", "time"):
            role = "moment"
        profile = profile_of_quantiles(raw["columns"][name], role, n_rows)
        columns[name] = profile.with_categories(known.get(name, ()))
    return Reference(columns=columns, answers=_old_answers(raw, bundle.decision, n_rows))


def _old_answers(raw: Mapping[str, Any], decision: Decision, n_rows: int) -> dict[str, Profile]:
    answers = raw.get("answer", [])
    if not answers or decision.task == "multiclass":
        return {}
    name, place = ("value", 0) if decision.positive is None else ("probability", decision.positive)
    return {name: profile_of_quantiles(answers[place], "prediction", n_rows)}
