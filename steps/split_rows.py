"""Split the rows so that no test row is seen before the final evaluation."""

from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from tabular.problem import Problem
from tabular.split import split_table
from tabular.tables.snapshot import CheckedRows


@step
def split_rows(
    rows: CheckedRows, problem: Problem
) -> tuple[
    Annotated[pd.DataFrame, "train_rows"],
    Annotated[pd.DataFrame, "validation_rows"],
    Annotated[pd.DataFrame, "test_rows"],
    Annotated[dict[str, int], "part_sizes"],
]:
    """Part the rows by the YAML's rule; `part_sizes` says how many rows each part was drawn of."""
    parts = split_table(rows, problem)
    log_metadata(
        {
            "rows": rows.n_rows,
            "train": len(parts.train),
            "validation": len(parts.validation),
            "test": len(parts.test),
        }
    )
    return parts.train, parts.validation, parts.test, parts.n_rows
