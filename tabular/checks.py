"""Check a table against its contract with pandera; part bad rows from good ones, with reasons."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow
from pydantic import Field

from tabular.contract import (
    MISSING,
    Column,
    Columns,
    Contract,
    Frozen,
    Violation,
    category_text,
    outside_range,
    parse_columns,
    shown,
)
from tabular.errors import DataError, listed
from tabular.problem import Problem
from tabular.settings import Target

MAX_LISTED = 5


class Quarantine(Frozen):
    """What was refused: counts by rule, and each value with row, column, value and rule."""

    n_rows: int
    n_refused: int
    by_rule: dict[str, int] = Field(default_factory=dict)
    missing_share: dict[str, float] = Field(default_factory=dict)
    out_of_range_share: dict[str, float] = Field(default_factory=dict)
    file: str = ""


def check_rows(
    table: pyarrow.Table, problem: Problem
) -> tuple[pd.DataFrame, pd.DataFrame, Quarantine]:
    """Turn a raw table into typed rows that keep the contract.

    Args:
        table: (n, k) raw rows: the contract's columns and the target.
        problem: Contract and target.

    Returns:
        rows: (n - m, k) typed rows (see `contract.py`), order kept, target last: class place
            (int64) or float64. refused: (v, 4) row, column, value, rule, one line per broken
            value; m <= v. Quarantine: the counts.

    Raises:
        DataError: The target is missing or constant, a column is constant or too often missing, or
            more than `max_refused_share` of the rows break the contract.
    """
    contract = problem.contract
    raw = {
        name: to_values(table.column(name))
        for name in contract.columns
        if name in table.column_names
    }
    typed, violations = parse_columns(contract, raw)
    target, target_violations = parse_target(
        problem, to_values(table.column(problem.target.column))
    )
    _check_missing_share(contract, typed)
    frame = pd.DataFrame({name: as_series(values) for name, values in typed.items()})
    violations += target_violations
    violations += _pandera_violations(contract, frame, raw)
    frame[problem.target.column] = target
    refused = pd.DataFrame(
        [vars(v) for v in violations], columns=["row", "column", "value", "rule"]
    )
    refused = refused.sort_values(["row", "column"], kind="stable").reset_index(drop=True)
    bad_rows = np.unique(refused["row"].to_numpy(dtype=np.int64))
    quarantine = Quarantine(
        n_rows=len(frame),
        n_refused=len(bad_rows),
        by_rule={
            rule: int(n)
            for rule, n in (refused["column"] + ": " + refused["rule"]).value_counts().items()
        },
        missing_share={n: s for n, v in typed.items() if (s := _missing_share(v)) > 0},
        out_of_range_share=_out_of_range_shares(contract, raw, typed),
    )
    rows = frame[~frame.index.isin(bad_rows)].reset_index(drop=True)
    return rows, refused, quarantine


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


def refuse_unlearnable(rows: pd.DataFrame, problem: Problem) -> None:
    """Stop before fitting what cannot be fitted.

    Raises:
        DataError: No rows, one class only, a class with too few rows, or a constant feature.
    """
    target = problem.target
    y = rows[target.column]
    least = 2 * (problem.search.folds + 2)
    if len(rows) < least:
        raise DataError(
            f"{problem.name}: {len(rows)} rows are too few; at least {least} are needed."
        )
    if problem.task == "regression":
        if y.nunique() == 1:
            raise DataError(
                f"{problem.name}: the target '{target.column}' is {y.iloc[0]:g} in every row; "
                "there is nothing to learn. Take rows with different outcomes."
            )
    else:
        names = list(target.classes)
        counts = {name: int((y == place).sum()) for place, name in enumerate(names)}
        if few := [name for name in names if counts[name] < problem.search.folds + 2]:
            raise DataError(
                f"{problem.name}: the target '{target.column}' has {counts[few[0]]} rows of class "
                f"'{few[0]}' ({target.classes[few[0]]!r}); at least {problem.search.folds + 2} of "
                "each class are needed. Take more rows, or correct target.classes."
            )
    features = [name for name, column in problem.columns.items() if column.is_feature]
    if constant := [name for name in features if rows[name].nunique(dropna=False) == 1]:
        raise DataError(
            f"{problem.name}: {listed(constant)} hold one value in every row and tell a model "
            "nothing; set `type: ignore` for them in the problem's YAML."
        )


def to_values(column: pyarrow.ChunkedArray) -> np.ndarray:
    """An Arrow column as numpy: numbers as such, objects elsewhere (None where missing).

    Whole numbers with gaps are objects too, so that none is rounded and each keeps its text.
    """
    is_whole = pyarrow.types.is_integer(column.type) and column.null_count == 0
    return (
        column.to_pandas(types_mapper=None).to_numpy()
        if is_whole or pyarrow.types.is_floating(column.type)
        else np.array(column.to_pylist(), dtype=object)
    )


def as_series(values: np.ndarray) -> pd.Series:
    """A typed column as a pandas series; texts as Arrow strings, an eighth of the room."""
    return pd.Series(values, dtype="str") if values.dtype == object else pd.Series(values)


def frame_columns(frame: pd.DataFrame, contract: Contract) -> Columns:
    """The contract's columns of a typed frame, as `features.derive` and `encode` take them."""
    return {
        name: frame[name].to_numpy(dtype=object if frame[name].dtype == "str" else None)
        for name in contract.columns
        if name in frame
    }


def parse_target(problem: Problem, values: np.ndarray) -> tuple[np.ndarray, list[Violation]]:
    """Read n target values: float64 for regression, else the int64 place in `target.classes`.

    Raises:
        DataError: Values are missing and the YAML does not say `missing: drop`.
    """
    target, name = problem.target, problem.target.column
    tokens = problem.contract.tokens(Column(type="number"))
    place: Mapping[str, int] = {
        category_text(raw): i for i, raw in enumerate(target.classes.values())
    }
    parsed = np.zeros(len(values), dtype=np.float64 if problem.task == "regression" else np.int64)
    missing: list[int] = []
    broken: list[Violation] = []
    for row, value in enumerate(values):
        if value is None or value != value or str(value).strip().casefold() in tokens:
            missing.append(row)
        elif problem.task == "regression":
            number = _number(value)
            if number is None:
                broken.append(Violation(row, name, shown(value), "target: number"))
            elif _outside(target, number):
                broken.append(Violation(row, name, shown(value), f"target: {_range(target)}"))
            else:
                parsed[row] = number
        elif (i := place.get(category_text(value))) is None:
            rule = f"target: one of {listed(target.classes.values())}"
            broken.append(Violation(row, name, shown(value), rule))
        else:
            parsed[row] = i
    if missing and target.missing == "refuse":
        raise DataError(
            f"{problem.name}: the target '{name}' is missing in {len(missing):,} of "
            f"{len(values):,} rows (first: row {missing[0]}). Fill them in, or write "
            "`target.missing: drop`."
        )
    broken += [Violation(row, name, "", "target: missing") for row in missing]
    return parsed, broken


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever has __float__ or is text
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _outside(target: Target, number: float) -> bool:
    return (target.min is not None and number < target.min) or (
        target.max is not None and number > target.max
    )


def _range(limits: Target | Column) -> str:
    low = "-inf" if limits.min is None else f"{limits.min:g}"
    high = "inf" if limits.max is None else f"{limits.max:g}"
    return f"in [{low}, {high}]"


def _missing_share(values: np.ndarray) -> float:
    missing = values == MISSING if values.dtype == object else np.isnan(values)
    return float(np.mean(missing)) if len(values) else 0.0


def _check_missing_share(contract: Contract, typed: Columns) -> None:
    for name, values in typed.items():
        column, share = contract.columns[name], _missing_share(values)
        if share > column.max_missing_share:
            raise DataError(
                f"column '{name}' is missing in {share:.1%} of the rows, max_missing_share is "
                f"{column.max_missing_share:.1%}. Load it anew, or raise the share in the YAML."
            )


def _out_of_range_shares(
    contract: Contract, raw: Mapping[str, np.ndarray], typed: Columns
) -> dict[str, float]:
    """Share of rows whose number was out of range and is read as missing, by column."""
    shares = {}
    for name, values in typed.items():
        column = contract.columns[name]
        if column.out_of_range == "missing":
            kept = column.model_copy(update={"out_of_range": "refuse"})
            unbounded, _ = parse_columns(Contract(columns={name: kept}), {name: raw[name]})
            if n_outside := int(outside_range(column, unbounded[name]).sum()):
                shares[name] = n_outside / len(values)
    return shares


def frame_schema(contract: Contract) -> pa.DataFrameSchema:
    """The contract's rules on typed rows, as a pandera schema; the rule's name is its `error`."""
    return pa.DataFrameSchema(
        {
            name: pa.Column(checks=_checks(column), nullable=True, required=False)
            for name, column in contract.columns.items()
            if column.type != "ignore"
        }
    )


def _checks(column: Column) -> list[pa.Check]:
    checks = []
    if column.min is not None or column.max is not None:
        checks.append(
            pa.Check(
                lambda s: pd.Series(~outside_range(column, s.to_numpy()), index=s.index),
                error=_range(column),
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
    if column.unique:
        checks.append(pa.Check(lambda s: ~s.duplicated() | s.eq(MISSING), error="unique"))
    return checks


def _pandera_violations(
    contract: Contract, frame: pd.DataFrame, raw: Mapping[str, np.ndarray]
) -> list[Violation]:
    try:
        frame_schema(contract).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        return [
            Violation(int(row), column, shown(raw[column][int(row)]), rule)
            for row, column, rule in zip(
                cases["index"], cases["column"], cases["check"], strict=True
            )
        ]
    return []
