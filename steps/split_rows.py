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
    """Part the rows by the YAML's rule.

    `part_sizes` says how many rows of how many, and how many the winner is fitted on.
    """
    parts = split_table(rows, problem)
    sizes = {
        "train": len(parts.train),
        "validation": len(parts.validation),
        "test": len(parts.test),
    }
    log_metadata({"rows": rows.n_rows, **sizes})
    drawn_of = {f"{part}_of": n_rows for part, n_rows in parts.n_rows.items()}
    counts = {**sizes, **drawn_of, "fitted": parts.n_fitted}
    return parts.train, parts.validation, parts.test, counts
