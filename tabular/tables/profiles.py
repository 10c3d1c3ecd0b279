"""What a table's columns hold, counted batch by batch: the ground for comparing two tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tabular.checks.targets import TARGET_MISSING, read_target
from tabular.contract import MISSING, Array, Column, category_text, outside_range
from tabular.problem import Problem
from tabular.tables.arrow_columns import Texts, read_column

MAX_CATEGORIES = 1_000


@dataclass
class ColumnProfile:
    """Counts of n rows of one column.

    `categories`, and `unseen` (those that a contract does not list), hold the first 1,000 at most.
    """

    stored_as: str
    n_rows: int = 0
    n_missing: int = 0
    n_unreadable: int = 0
    n_outside: int = 0
    n_unseen: int = 0
    categories: set[str] = field(default_factory=set)
    unseen: set[str] = field(default_factory=set)

    def share(self, n: int) -> float:
        """A count as a share of the rows."""
        return n / max(self.n_rows, 1)

    @property
    def missing_share(self) -> float:
        """Rows without a value, as a share."""
        return self.share(self.n_missing)


def profile_columns(
    problem: Problem, batches: Iterable[pa.RecordBatch]
) -> dict[str, ColumnProfile]:
    """Count what is in the columns of a table.

    Args:
        problem: Its contract says how values are read.
        batches: Raw columns under the contract's names, some of them or all, the target too.
    """
    profiles: dict[str, ColumnProfile] = {}
    for batch in batches:
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            profile = profiles.setdefault(name, ColumnProfile(str(values.type)))
            profile.n_rows += len(values)
            if name == problem.target.column:
                _count_target(problem, values, profile)
            elif problem.columns[name].type != "ignore":
                tokens = problem.contract.tokens(problem.columns[name])
                _count_column(problem.columns[name], values, tokens, profile)
    return profiles


def _count_target(problem: Problem, values: pa.Array, profile: ColumnProfile) -> None:
    _, broken = read_target(problem, values)
    rules = Counter(broken.values())
    profile.n_missing += rules.pop(TARGET_MISSING, 0)
    if problem.task == "regression":
        profile.n_unreadable += rules.pop("target: number", 0)
        profile.n_outside += rules.total()
        return
    strange = [row for row, rule in broken.items() if rule != TARGET_MISSING]
    profile.n_unseen += len(strange)
    _add(profile.unseen, (category_text(values[row].as_py()) for row in strange))


def _count_column(
    column: Column, values: pa.Array, tokens: frozenset[str], profile: ColumnProfile
) -> None:
    kept = column.model_copy(update={"out_of_range": "refuse"})
    typed, broken = read_column(kept, values, tokens)
    profile.n_unreadable += len(broken)
    if isinstance(typed, Texts):
        counts = np.bincount(typed.places, minlength=len(typed.distinct))
        n_missing = int(counts[typed.distinct == MISSING].sum())
        if column.type == "category":
            _count_categories(column, typed.distinct, counts, profile)
    else:
        n_missing = int(np.isnan(typed).sum())
        profile.n_outside += int(outside_range(column, typed).sum())
    profile.n_missing += n_missing - len(broken)  # what is unreadable is typed as missing


def _count_categories(
    column: Column, distinct: Array, counts: npt.NDArray[np.int64], profile: ColumnProfile
) -> None:
    held = (counts > 0) & (distinct != MISSING)
    _add(profile.categories, distinct[held])
    if column.categories is not None:
        is_listed = np.isin(distinct.astype(str), [*map(category_text, column.categories)])
        profile.n_unseen += int(counts[held & ~is_listed].sum())
        _add(profile.unseen, distinct[held & ~is_listed])


def _add(known: set[str], texts: Iterable[str]) -> None:
    """Take up new texts while there is room, so that free text does not fill the memory."""
    for text in texts:
        if len(known) >= MAX_CATEGORIES:
            return
        known.add(text)
