"""A table held against its contract, batch by batch, in memory that does not grow with its rows.

Batches are cut as anybody likes: typed rows, refused values and counts are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import Field

from tabular.checks.frame_rules import broken_cells, frame_schema
from tabular.checks.repeats import Mask, repeated_rows
from tabular.checks.targets import TARGET_MISSING, read_target
from tabular.checks.variety import Variety
from tabular.contract import MISSING, Array, Column, Frozen, Violation, outside_range
from tabular.errors import DataError
from tabular.problem import Problem
from tabular.tables.arrow_columns import Texts, read_column
from tabular.tables.frames import as_series, raw_text

MAX_LISTED_VALUES = 100_000

Read = Callable[[list[str]], Iterator[pa.RecordBatch]]


class Quarantine(Frozen):
    """What was refused: counts by rule, and each value with row, column, value and rule.

    Of `n_values` refused values the first `n_listed` stand in the file, in the order of the rows.
    """

    n_rows: int
    n_refused: int
    n_values: int = 0
    n_listed: int = 0
    by_rule: dict[str, int] = Field(default_factory=dict)
    missing_share: dict[str, float] = Field(default_factory=dict)
    out_of_range_share: dict[str, float] = Field(default_factory=dict)
    file: str = ""


class ContractCheck:
    """Takes the batches of one table in their order and remembers what was wrong with them."""

    def __init__(self, problem: Problem, repeated: Mapping[str, Mask]) -> None:
        self.variety = Variety(problem)
        self._problem = problem
        self._rules = frame_schema(problem.contract)
        self._repeated = repeated
        self._n_rows = self._n_refused = self._n_target_missing = 0
        self._first_target_missing = -1
        self._n_missing: Counter[str] = Counter()
        self._n_outside: Counter[str] = Counter()
        self._by_rule: Counter[str] = Counter()
        self._listed: list[Violation] = []

    def columns_of(self, names: tuple[str, ...]) -> list[str]:
        """Those of a table's columns that are typed, in the contract's order, target last."""
        known = [n for n, c in self._problem.columns.items() if c.type != "ignore" and n in names]
        return [*known, self._problem.target.column]

    def schema(self, names: list[str]) -> pa.Schema:
        """What `keep` gives for a table of these columns."""
        kinds = {"category": pa.string(), "id": pa.string(), "date": pa.float64()}
        target = pa.float64() if self._problem.task == "regression" else pa.int64()
        *columns, last = self.columns_of(tuple(names))
        fields = [(n, kinds.get(self._problem.columns[n].type, pa.float32())) for n in columns]
        return pa.schema([*fields, (last, target)])

    def keep(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Type the next rows and give those that keep the contract, order kept."""
        *columns, target = self.columns_of(tuple(batch.schema.names))
        found: list[Violation] = []
        typed = {name: self._read(name, batch.column(name), found) for name in columns}
        frame = pd.DataFrame({name: as_series(values) for name, values in typed.items()})
        found += self._against_target(batch.column(target), frame)
        for row, column, rule in broken_cells(self._rules, frame.drop(columns=target)):
            found.append(Violation(row, column, raw_text(batch.column(column), row), rule))
        found += self._against_earlier_rows(batch)
        bad_rows = sorted({violation.row for violation in found})
        self._remember(found, len(bad_rows))
        good = frame.drop(index=bad_rows) if bad_rows else frame
        self.variety.add(good)
        self._n_rows += batch.num_rows
        schema = self.schema(batch.schema.names)
        return pa.RecordBatch.from_pandas(good, schema=schema, preserve_index=False)

    def _read(self, name: str, values: pa.Array, found: list[Violation]) -> Array:
        """One typed column; what is unreadable or out of range is counted on the way."""
        column, contract = self._problem.columns[name], self._problem.contract
        read_as = column.model_copy(update={"out_of_range": "refuse"})
        typed, broken = read_column(read_as, values, contract.tokens(column))
        whole = typed.whole() if isinstance(typed, Texts) else typed
        if column.out_of_range == "missing":
            outside = outside_range(column, whole)
            self._n_outside[name] += int(outside.sum())
            whole = np.where(outside, np.float32(np.nan), whole)
        found += [Violation(row, name, raw_text(values, row), rule) for row, rule in broken.items()]
        self._n_missing[name] += int(_is_missing(whole).sum())
        return whole

    def _against_target(self, values: pa.Array, frame: pd.DataFrame) -> list[Violation]:
        """Put the target into the frame, and name the rows that have none."""
        name = self._problem.target.column
        frame[name], broken = read_target(self._problem, values)
        missing = [row for row, rule in broken.items() if rule == TARGET_MISSING]
        if missing and self._n_target_missing == 0:
            self._first_target_missing = self._n_rows + min(missing)
        self._n_target_missing += len(missing)
        return [
            Violation(row, name, "" if rule == TARGET_MISSING else raw_text(values, row), rule)
            for row, rule in broken.items()
        ]

    def _against_earlier_rows(self, batch: pa.RecordBatch) -> list[Violation]:
        end = self._n_rows + batch.num_rows
        return [
            Violation(row, name, raw_text(batch.column(name), row), "unique")
            for name, repeated in self._repeated.items()
            for row in np.flatnonzero(repeated[self._n_rows : end]).tolist()
        ]

    def _remember(self, found: list[Violation], n_bad_rows: int) -> None:
        self._n_refused += n_bad_rows
        self._by_rule.update(f"{v.column}: {v.rule}" for v in found)
        room = MAX_LISTED_VALUES - len(self._listed)
        found = sorted(found, key=lambda v: (v.row, v.column))[:room]
        start = self._n_rows
        self._listed += [Violation(start + v.row, v.column, v.value, v.rule) for v in found]

    def refused(self) -> tuple[pd.DataFrame, Quarantine]:
        """What was refused in all batches.

        Returns:
            (v, 4) row, column, value, rule, one line for each of the first 100,000 broken values;
            and the counts.

        Raises:
            DataError: The target is missing and the YAML does not say `missing: drop`, or a column
                is missing more often than it may be.
        """
        self._refuse_missing()
        refused = pd.DataFrame(
            [vars(v) for v in self._listed], columns=["row", "column", "value", "rule"]
        )
        return refused, Quarantine(
            n_rows=self._n_rows,
            n_refused=self._n_refused,
            n_values=self._by_rule.total(),
            n_listed=len(refused),
            by_rule=dict(self._by_rule.most_common()),
            missing_share={name: n / self._n_rows for name, n in self._n_missing.items() if n},
            out_of_range_share={name: n / self._n_rows for name, n in self._n_outside.items() if n},
        )

    def _refuse_missing(self) -> None:
        problem, target = self._problem, self._problem.target
        if self._n_target_missing and target.missing == "refuse":
            raise DataError(
                f"{problem.name}: the target '{target.column}' is missing in "
                f"{self._n_target_missing:,} of {self._n_rows:,} rows (first: row "
                f"{self._first_target_missing}). Fill them in, or write `target.missing: drop`."
            )
        for name, n in self._n_missing.items():
            share, limit = n / max(self._n_rows, 1), problem.columns[name].max_missing_share
            if share > limit:
                raise DataError(
                    f"column '{name}' is missing in {share:.1%} of the rows, max_missing_share is "
                    f"{limit:.1%}. Load it anew, or raise the share in the YAML."
                )


def find_repeats(problem: Problem, read: Read) -> dict[str, Mask]:
    """For each column that must be unique, the rows whose value an earlier row has.

    Args:
        problem: Its contract says which columns.
        read: Gives the named columns of the table from its start; called for each column.
    """

    def typed(name: str, column: Column) -> Iterator[Array]:
        for batch in read([name]):
            values, _ = read_column(column, batch.column(0), problem.contract.tokens(column))
            yield values.whole() if isinstance(values, Texts) else values

    return {
        name: repeated_rows(partial(typed, name, column))
        for name, column in problem.columns.items()
        if column.unique and column.type != "ignore"
    }


def _is_missing(values: Array) -> Mask:
    return np.asarray(values == MISSING if values.dtype == object else np.isnan(values))
