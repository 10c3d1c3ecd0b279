"""Check a snapshot against its contract; part bad rows from good ones, with reasons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from tabular.checks.table import ContractCheck, Quarantine, find_repeats
from tabular.errors import DataError
from tabular.files import whole_file
from tabular.problem import Problem
from tabular.tables.snapshot import CheckedRows, Snapshot, write_table

__all__ = ["Quarantine", "check_rows", "check_table", "refuse_too_many"]


def check_table(
    snapshot: Snapshot, problem: Problem, *, home: Path
) -> tuple[CheckedRows, pd.DataFrame, Quarantine]:
    """Write the snapshot's good rows, typed, under `home`/checked, and the bad values beside.

    Returns:
        The typed rows; the refused values and the counts, as `ContractCheck.refused` has them.

    Raises:
        DataError: The table cannot be trusted, or nothing can be learned from it. Then no typed
            rows stay; `home`/quarantine has the refused values.
        StoreError: The disk is full, or cannot be written.
    """
    check = ContractCheck(problem, find_repeats(problem, snapshot.batches))
    refused, quarantine = pd.DataFrame(), Quarantine(n_rows=0, n_refused=0)

    def good_rows() -> Iterator[pa.RecordBatch]:
        nonlocal refused, quarantine
        for batch in snapshot.batches(check.columns_of(snapshot.columns)):
            yield check.keep(batch)
        refused, quarantine = check.refused()
        if len(refused):
            file = home / "quarantine" / problem.name / f"{snapshot.sha256[:16]}.csv"
            with whole_file(file) as unfinished:
                refused.to_csv(unfinished, index=False)
            quarantine = quarantine.model_copy(update={"file": str(file)})
        refuse_too_many(quarantine, refused, problem)
        check.variety.refuse_unlearnable()

    schema = check.schema(check.columns_of(snapshot.columns))
    written = write_table(good_rows(), schema, home / "checked" / problem.name)
    return CheckedRows(**written.model_dump()), refused, quarantine


def check_rows(table: pa.Table, problem: Problem) -> tuple[pd.DataFrame, pd.DataFrame, Quarantine]:
    """Check a table that is in memory.

    Args:
        table: (n, k) raw rows: the contract's columns and the target.
        problem: Contract and target.

    Returns:
        rows: (n - m, k) typed rows (see `contract.py`), order kept, target last: class place
            (int64) or float64. Refused values and counts as `ContractCheck.refused` has them.

    Raises:
        DataError: The target is missing, or a column too often.
    """
    check = ContractCheck(problem, find_repeats(problem, lambda c: table.select(c).to_batches()))
    schema = check.schema(table.column_names)
    kept = [check.keep(batch) for batch in table.to_batches()]
    return pa.Table.from_batches(kept, schema).to_pandas(), *check.refused()


def refuse_too_many(quarantine: Quarantine, refused: pd.DataFrame, problem: Problem) -> None:
    """Stop the run where too many rows broke the contract; call it once the quarantine is written.

    Raises:
        DataError: More than `max_refused_share` of the rows were refused.
    """
    share = quarantine.n_refused / quarantine.n_rows
    if share > problem.max_refused_share:
        worst = sorted(quarantine.by_rule.items(), key=lambda item: -item[1])[:3]
        reasons = "; ".join(f"{rule} ({n:,})" for rule, n in worst)
        first = refused.iloc[0]
        raise DataError(
            f"{problem.name}: {quarantine.n_refused:,} of {quarantine.n_rows:,} rows ({share:.1%}) "
            f"break the contract, max_refused_share is {problem.max_refused_share:.1%}: {reasons}; "
            f"first row {first['row']}, {first['column']} = '{first['value']}'. Mend the data, or "
            "widen the column in the problem's YAML."
        )
