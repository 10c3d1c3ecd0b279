"""The whole proposal: columns, target, split, leaks, candidates and gates, as a problem's YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tabular.checks.quarantine import check_rows
from tabular.contract import Array
from tabular.errors import DataError, listed
from tabular.features import derive, learn_features
from tabular.problem import Problem
from tabular.proposal import models
from tabular.proposal.columns import Context, Decided, decide_column
from tabular.proposal.facts import facts_of
from tabular.proposal.forms import find_numbers
from tabular.proposal.leaks import LeftOut, leave_out_leaks
from tabular.proposal.moments import derivations
from tabular.proposal.sample import Sample, check_target
from tabular.proposal.splits import SplitDecided, decide_split
from tabular.proposal.target import TargetDecided, decide_target
from tabular.settings import Candidate, Gate, Search, Split
from tabular.tables.frames import frame_columns, typed_columns

MAX_SLICES, MAX_SLICE_VALUES = 3, 8


@dataclass(frozen=True)
class Proposal:
    """What was decided, part by part, and the YAML's keys that say the same.

    `reached` names the metric that the gates are about, and what a quick model scores on it.
    """

    name: str
    target: TargetDecided
    columns: tuple[Decided, ...]
    split: SplitDecided
    left_out: tuple[LeftOut, ...]
    reached: tuple[str, float]
    keys: dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """The user's words: the type of a column, the task, the kind of split."""

    columns: Mapping[str, str]
    task: str = ""
    split: str = ""


NO_ANSWERS = Answers({})


def propose(sample: Sample, target: str, name: str, answers: Answers = NO_ANSWERS) -> Proposal:
    """Propose a problem for a table that nobody has described.

    Args:
        sample: Some of its rows.
        target: The column to predict, as the user wrote it.
        name: The problem's.
        answers: What the user has said already.

    Raises:
        DataError: There is no such column, it cannot be predicted, or nothing is left to predict
            it from.
    """
    target = check_target(sample.rows.column_names, target, sample.where)
    rows = sample.rows.rename_columns([column.strip() for column in sample.rows.column_names])
    facts = {column: facts_of(column, rows[column]) for column in rows.column_names}
    has_comma = _has_decimal_comma(facts.values())
    wanted = decide_target(
        facts.pop(target),
        sample.n_rows,
        sample.where,
        asked=answers.task,
        has_decimal_comma=has_comma,
    )
    context = Context(sample.n_rows, has_comma, _comparable(wanted))
    columns = [decide_column(f, context, answers.columns.get(n, "")) for n, f in facts.items()]
    _refuse_nothing_left(columns, sample.where)
    return _complete(sample, rows, name, wanted, columns, answers)


def _has_decimal_comma(facts: Any) -> bool:
    """Whether some column cannot be read but with decimal commas."""
    return any(
        form is not None and form.numeral.decimal == "," and not form.is_ambiguous
        for one in facts
        if one.numbers is None and any("," in text for text in list(one.counts)[:50])
        for form in [find_numbers(one.counts)]
    )


def _comparable(wanted: TargetDecided) -> Array:
    """The target as numbers that have a mean: (n, 1), or a column for each of several classes."""
    if wanted.task == "multiclass":
        return (wanted.y[:, None] == np.arange(len(wanted.balance))).astype(float)
    return np.nan_to_num(wanted.y, nan=float(np.nanmean(wanted.y)))[:, None]


def _refuse_nothing_left(columns: Sequence[Decided], where: str) -> None:
    if any(column.is_input for column in columns):
        return
    reasons = "; ".join(f"'{column.name}' {column.why}" for column in columns[:5])
    raise DataError(
        f"{where}: no column is left to predict from: {reasons}. Name a table with columns that "
        "describe the rows."
    )


def _complete(
    sample: Sample,
    rows: pa.Table,
    name: str,
    wanted: TargetDecided,
    columns: list[Decided],
    answers: Answers,
) -> Proposal:
    """Add what needs typed rows: leaks, derived columns, split, candidates, gates."""
    keys = _first_keys(sample, name, wanted, columns)
    draft = Problem.model_validate(keys)
    typed = _typed(rows, draft)
    left_out = leave_out_leaks(typed, draft)
    columns = [_without(column, left_out) for column in columns]
    _refuse_nothing_left(columns, sample.where)
    keys["columns"] = {column.name: column.keys for column in columns}
    late = [one.name for one in left_out if one.name in keys["columns"]]
    inputs = {column.name for column in columns if column.is_input}
    keys["derive"] = {
        name: derivation
        for name, derivation in keys["derive"].items()
        if inputs.issuperset(derivation["inputs"]) and name not in {one.name for one in left_out}
    }
    keys["derive"] = _varying(keys, typed)
    _refuse_nothing_to_read(keys, sample.where)
    split = decide_split(typed, Problem.model_validate(keys), columns, answers.split)
    keys |= {"split": split.keys, "leaks": {"after_outcome": late} if late else {}}
    size = _size(keys, typed, sample.n_rows, wanted)
    keys["search"] = models.search_of(wanted.task, size)
    keys["candidates"] = models.candidates_of(wanted.task, size)
    keys["decision"] = models.decision_of(wanted.task, size, split.keys["validation_share"])
    keys["evaluation"] = _evaluation(columns, sample.n_rows)
    reached = models.probe(typed, Problem.model_validate(keys))
    n_test = max(1, int(split.keys["test_share"] * sample.n_rows))
    chance = {"binary": 0.5, "regression": 0.0}.get(wanted.task) or max(
        wanted.balance.values(), default=0.0
    )
    keys["gates"] = models.gates_of(wanted.task, reached, size, chance, n_test)
    metric = models.PROBE_METRIC[wanted.task]
    return Proposal(
        name, wanted, tuple(columns), split, left_out, (metric, reached.mean),
        {key: value for key, value in keys.items() if value not in ({}, [], ())},
    )  # fmt: skip


def _first_keys(
    sample: Sample, name: str, wanted: TargetDecided, columns: Sequence[Decided]
) -> dict[str, Any]:
    """A problem that reads the table, and does not train yet."""
    tokens = dict.fromkeys(token for column in columns for token in column.tokens)
    defaults = Problem.model_fields["missing_values"].default
    metric = models.search_of(wanted.task, models.Size(1, 1, 1, 2))["metric"]
    return {
        "name": name,
        "title": f"{wanted.keys['column']} of {name}",
        "task": wanted.task,
        "seed": Problem.model_fields["seed"].default,
        "source": sample.source,
        "target": wanted.keys,
        "columns": {column.name: column.keys for column in columns},
        "missing_values": [*defaults, *tokens] if tokens else [],
        "derive": derivations(columns, wanted.keys["column"]),
        "split": Split(kind="random").model_dump(),
        "leaks": {},
        "search": Search(metric=metric).model_dump(),
        "candidates": {"lightgbm": Candidate(estimator="lightgbm").model_dump()},
        "decision": {},
        "evaluation": {},
        "gates": [Gate(metric="latency_ms", max=models.LATENCY_MS).model_dump()],
    }


def _typed(rows: pa.Table, draft: Problem) -> pd.DataFrame:
    named = [*(n for n, c in draft.columns.items() if c.type != "ignore"), draft.target.column]
    typed, _, _ = check_rows(rows.select(named), draft)
    return typed


def _without(column: Decided, left_out: Sequence[LeftOut]) -> Decided:
    reason = next((one.why for one in left_out if one.name == column.name), "")
    if not reason:
        return column
    return replace(column, kind="leak", keys={"type": "ignore"}, why=reason, sureness="likely")


def _varying(keys: dict[str, Any], typed: pd.DataFrame) -> dict[str, Any]:
    """Derived columns that have more than one value."""
    draft = Problem.model_validate(keys)
    columns = derive(draft.contract, frame_columns(typed, draft.contract))
    return {
        name: derivation
        for name, derivation in keys["derive"].items()
        if pd.Series(columns[name]).nunique(dropna=False) > 1
    }


def _refuse_nothing_to_read(keys: dict[str, Any], where: str) -> None:
    draft = Problem.model_validate(keys)
    if not draft.derive and not any(column.is_feature for column in draft.columns.values()):
        reasons = listed(f"{name}: {column.type}" for name, column in draft.columns.items())
        raise DataError(f"{where}: no column is left to predict from ({reasons}); add some.")


def _size(
    keys: dict[str, Any], typed: pd.DataFrame, n_rows: int, wanted: TargetDecided
) -> models.Size:
    draft = Problem.model_validate(keys)
    features = learn_features(draft.contract, typed_columns(typed, draft))
    wide = sum(len(f.categories) + 1 if f.kind == "category" else 1 for f in features)
    positive = wanted.keys.get("positive")
    return models.Size(
        n_rows=round(n_rows * wanted.n_known / max(len(wanted.y), 1)),
        n_features=len(features),
        n_wide=wide,
        n_classes=len(wanted.balance),
        positive_share=wanted.balance[positive] if positive else 0.5,
    )


def _evaluation(columns: Sequence[Decided], n_rows: int) -> dict[str, Any]:
    slices = [
        column.name
        for column in columns
        if 2 <= len(column.keys.get("categories", ())) <= MAX_SLICE_VALUES
    ]
    return {"slices": slices[:MAX_SLICES], "min_slice_rows": 20 if n_rows < models.SMALL else 100}
