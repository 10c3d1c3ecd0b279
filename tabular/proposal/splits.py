"""How rows are parted: by group or by time where the table has such a column, else at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tabular.errors import DataError
from tabular.leaks.measures import rank_correlation
from tabular.problem import Problem
from tabular.proposal.columns import Decided, Sureness
from tabular.settings import Split
from tabular.split import split_rows

MIN_MOMENTS = 20
MIN_KNOWN = 0.98
IN_ORDER = 0.995  # rank correlation of a date with the place of its row
FEW_ROWS = 1_000


@dataclass(frozen=True)
class SplitDecided:
    """The `split` part, why, and what it may be instead."""

    keys: dict[str, Any]
    why: str
    sureness: Sureness = "sure"
    choices: tuple[str, ...] = ()


def decide_split(
    rows: pd.DataFrame, draft: Problem, columns: Sequence[Decided], asked: str = ""
) -> SplitDecided:
    """Say how rows are parted.

    Args:
        rows: (n, k) typed rows of a sample in their order.
        draft: The problem as it is so far.
        columns: Its columns; those with `is_group` name groups.
        asked: The user's word, or an empty text.
    """
    plain = _plain(draft, len(rows))
    found = [s for s in (_by_group(columns, plain), _by_time(rows, draft, plain)) if s]
    possible = [one for one in found if _parts_well(rows, draft, one.keys)]
    kinds = [one.keys["kind"] for one in possible]
    if asked in kinds:
        return possible[kinds.index(asked)]
    if not possible or asked == plain["kind"]:
        return SplitDecided(plain, "no column names groups or tells the order of the rows")
    first = possible[0]
    return SplitDecided(first.keys, first.why, "unsure", (*kinds, plain["kind"]))


def _plain(draft: Problem, n_rows: int) -> dict[str, Any]:
    kind = "random" if draft.task == "regression" else "stratified"
    validation = 0.15 if n_rows < FEW_ROWS and draft.task != "regression" else 0.1
    return {"kind": kind, "test_share": 0.2, "validation_share": validation}


def _by_group(columns: Sequence[Decided], plain: dict[str, Any]) -> SplitDecided | None:
    group = next((c for c in columns if c.is_group and c.keys["type"] == "id"), None)
    if group is None:
        return None
    keys = {**plain, "kind": "group", "group_columns": [group.name]}
    return SplitDecided(keys, f"'{group.name}' {group.why}: they stay on one side")


def _by_time(rows: pd.DataFrame, draft: Problem, plain: dict[str, Any]) -> SplitDecided | None:
    for name, column in draft.columns.items():
        if column.type != "date":
            continue
        days = rows[name].to_numpy()
        known = ~np.isnan(days)
        if known.mean() < MIN_KNOWN or len(np.unique(days[known])) < MIN_MOMENTS:
            continue
        if abs(rank_correlation(days[known], np.flatnonzero(known))) >= IN_ORDER:
            keys = {**plain, "kind": "time", "time_column": name}
            return SplitDecided(keys, f"rows stand in the order of '{name}': the latest are tested")
    return None


def _parts_well(rows: pd.DataFrame, draft: Problem, keys: dict[str, Any]) -> bool:
    """Whether every part has rows, and every class."""
    try:
        parts = split_rows(rows, draft.model_copy(update={"split": Split.model_validate(keys)}))
    except DataError:
        return False
    if draft.task == "regression":
        return min(len(parts.validation), len(parts.test)) >= len(rows) / 50
    n_classes = rows[draft.target.column].nunique()
    return all(
        part[draft.target.column].nunique() == n_classes
        for part in (parts.train, parts.validation, parts.test)
    )
