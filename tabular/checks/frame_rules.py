"""The contract's rules on typed rows, as a pandera schema."""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa

from tabular.checks.targets import range_text
from tabular.contract import MISSING, Column, Contract, category_text, outside_range
from tabular.errors import listed


def frame_schema(contract: Contract) -> pa.DataFrameSchema:
    """The rules that one row can break by itself; a rule's name is its `error`."""
    return pa.DataFrameSchema(
        {
            name: pa.Column(checks=_checks(column), nullable=True, required=False)
            for name, column in contract.columns.items()
            if column.type != "ignore"
        }
    )


def broken_cells(schema: pa.DataFrameSchema, frame: pd.DataFrame) -> list[tuple[int, str, str]]:
    """Row, column and rule of each value of a frame that breaks a rule."""
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        return [
            (int(row), column, rule)
            for row, column, rule in zip(
                cases["index"], cases["column"], cases["check"], strict=True
            )
        ]
    return []


def _checks(column: Column) -> list[pa.Check]:
    checks = []
    if column.min is not None or column.max is not None:
        checks.append(
            pa.Check(
                lambda s: pd.Series(~outside_range(column, s.to_numpy()), index=s.index),
                error=range_text(column),
            )
        )
    if column.integer:
        checks.append(pa.Check(lambda s: (s % 1).fillna(0) == 0, error="whole number"))
    if column.categories is not None and column.unseen == "refuse":
        allowed = {*map(category_text, column.categories), MISSING}
        checks.append(
            pa.Check(lambda s: s.isin(allowed), error=f"one of {listed(column.categories)}")
        )
    if column.required:
        checks.append(
            pa.Check(
                lambda s: s.ne(MISSING) if s.dtype == "str" else s.notna(),
                error="required",
                ignore_na=False,
            )
        )
    return checks
