"""Typed columns in other clothes: Arrow columns, pandas frames, numpy arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from tabular.contract import Array, Columns, Contract, shown
from tabular.features import derive
from tabular.problem import Problem


def to_values(column: pa.ChunkedArray | pa.Array) -> Array:
    """An Arrow column as numpy: numbers as such, objects elsewhere (None where missing).

    Whole numbers with gaps are objects too, so that none is rounded and each keeps its text.
    """
    is_whole = pa.types.is_integer(column.type) and column.null_count == 0
    return (
        column.to_pandas(types_mapper=None).to_numpy()
        if is_whole or pa.types.is_floating(column.type)
        else np.array(column.to_pylist(), dtype=object)
    )


def as_series(values: Array) -> pd.Series:
    """A typed column as a pandas series; texts as Arrow strings, an eighth of the room."""
    return pd.Series(values, dtype="str") if values.dtype == object else pd.Series(values)


def frame_columns(frame: pd.DataFrame, contract: Contract) -> Columns:
    """The contract's columns of a typed frame, as `features.derive` and `encode` take them."""
    return {
        name: frame[name].to_numpy(dtype=object if frame[name].dtype == "str" else None)
        for name in contract.columns
        if name in frame
    }


def typed_columns(rows: pd.DataFrame, problem: Problem) -> Columns:
    """Contract columns of typed rows, with the derived ones."""
    return derive(problem.contract, frame_columns(rows, problem.contract))


def raw_text(values: pa.Array, row: int) -> str:
    """A raw value as the quarantine shows it."""
    if pa.types.is_floating(values.type):
        return shown(values.slice(row, 1).to_numpy(zero_copy_only=False)[0])
    return shown(values[row].as_py())
