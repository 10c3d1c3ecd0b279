"""Split the rows so that no test row is seen before the final evaluation."""

from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from tabular import split
from tabular.problem import Problem


@step
def split_rows(
    rows: pd.DataFrame, problem: Problem
) -> tuple[
    Annotated[pd.DataFrame, "train_rows"],
    Annotated[pd.DataFrame, "validation_rows"],
    Annotated[pd.DataFrame, "test_rows"],
]:
    """Part the rows by the YAML's rule; sizes stand in the metadata."""
    parts = split.split_rows(rows, problem)
    log_metadata(
        {
            "rows": len(rows),
            "train": len(parts.train),
            "validation": len(parts.validation),
            "test": len(parts.test),
        }
    )
    return parts.train, parts.validation, parts.test
