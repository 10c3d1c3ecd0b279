"""Keep the rows that hold the contract; put the others aside with the reason."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import pyarrow.parquet as pq
from zenml import log_metadata, step

from tabular.checks import Quarantine, check_rows, refuse_too_many, refuse_unlearnable
from tabular.files import whole_file
from tabular.problem import Problem
from tabular.snapshot import Snapshot


@step
def check_contract(
    snapshot: Snapshot, problem: Problem, home: str
) -> tuple[
    Annotated[pd.DataFrame, "checked_rows"],
    Annotated[pd.DataFrame, "quarantined_values"],
    Annotated[Quarantine, "quarantine"],
]:
    """Type and check the snapshot; write refused values to `quarantine/PROBLEM/HASH.csv`."""
    rows, refused, quarantine = check_rows(pq.read_table(snapshot.path), problem)
    if len(refused):
        path = Path(home) / "quarantine" / problem.name / f"{snapshot.sha256[:16]}.csv"
        with whole_file(path) as unfinished:
            refused.to_csv(unfinished, index=False)
        quarantine = quarantine.model_copy(update={"file": str(path)})
    refuse_too_many(quarantine, refused, problem)
    refuse_unlearnable(rows, problem)
    log_metadata({"rows": len(rows), "rows_refused": quarantine.n_refused})
    return rows, refused, quarantine
