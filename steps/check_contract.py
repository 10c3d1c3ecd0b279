"""Keep the rows that hold the contract; put the others aside with the reason."""

from pathlib import Path
from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from tabular.checks.quarantine import Quarantine, check_table
from tabular.problem import Problem
from tabular.tables.snapshot import CheckedRows, Snapshot


@step
def check_contract(
    snapshot: Snapshot, problem: Problem, home: str
) -> tuple[
    Annotated[CheckedRows, "checked_rows"],
    Annotated[pd.DataFrame, "quarantined_values"],
    Annotated[Quarantine, "quarantine"],
]:
    """Type and check the snapshot; write refused values to `quarantine/PROBLEM/HASH.csv`."""
    rows, refused, quarantine = check_table(snapshot, problem, home=Path(home))
    log_metadata({"rows": rows.n_rows, "rows_refused": quarantine.n_refused})
    return rows, refused, quarantine
