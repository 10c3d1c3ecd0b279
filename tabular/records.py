"""Records, such as JSON objects, to typed columns, by the same contract that training keeps.

`tabular.checks` holds tables against the contract with pandera; this module does it for a request,
where neither pandas nor a millisecond is to be had. tests/unit/test_predictor.py holds both against
each other. Needs numpy and pydantic only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tabular.contract import (
    MISSING,
    Array,
    Column,
    Columns,
    Contract,
    Violation,
    category_text,
    outside_range,
    parse_column,
    parse_columns,
    shown,
)
from tabular.errors import DataError, did_you_mean, listed

MAX_REMEMBERED_TEXTS = 10_000

Record = Mapping[str, Any]


class BrokenRuleError(Exception):
    """A single value breaks its column's rule; never leaves the serving modules."""


class Reader:
    """Reads single values of one column; quick where a number is a number, or a text was seen."""

    def __init__(self, column: Column, tokens: frozenset[str]) -> None:
        self._column = column
        self._tokens = tokens
        self._is_number = column.type == "number"
        self._low = -math.inf if column.min is None else column.min
        self._high = math.inf if column.max is None else column.max
        limit = float(np.finfo(np.float32).max)
        self._low, self._high = max(self._low, -limit), min(self._high, limit)
        self._remembered: dict[str | None, Any] = {}

    def read(self, value: Any) -> Any:
        """Read a raw value as a number (NaN where missing) or a category ("" where missing).

        Raises:
            BrokenRuleError: The value breaks the contract; the message is the rule.
        """
        kind = type(value)
        if self._is_number and (kind is float or kind is int) and self._low <= value <= self._high:
            if not self._column.integer or value % 1 == 0:
                return value
        elif kind is str or value is None:
            found = self._remembered.get(value)
            if found is None:
                found = self._read_slowly(value)
                if len(self._remembered) < MAX_REMEMBERED_TEXTS:
                    self._remembered[value] = found
            return found
        return self._read_slowly(value)

    def _read_slowly(self, value: Any) -> Any:
        typed, broken = parse_column(self._column, [value], self._tokens)
        for rule in (*broken.values(), *(rule for _, rule in broken_rules(self._column, typed))):
            raise BrokenRuleError(rule)
        return typed[0]


def read_records(contract: Contract, records: Sequence[Record]) -> tuple[Columns, list[Violation]]:
    """Read n records into typed columns.

    Args:
        contract: The problem's contract.
        records: Raw values by column name; None for a value that is not known. Not changed.

    Returns:
        The typed input columns, order kept, and the values that break the contract.

    Raises:
        DataError: A record lacks an input column, or has one that the contract does not know.
    """
    named = [name_columns(contract, record) for record in records]
    raw = {name: [record[name] for record in named] for name in contract.inputs()}
    typed, violations = parse_columns(contract, raw)
    known = {(violation.row, violation.column) for violation in violations}
    for name, values in typed.items():
        for rows, rule in broken_rules(contract.columns[name], values):
            violations += [
                Violation(row, name, shown(raw[name][row]), rule)
                for row in np.flatnonzero(rows).tolist()
                if (row, name) not in known
            ]
    return typed, sorted(violations, key=lambda v: v.row)


def name_columns(contract: Contract, record: Record) -> Record:
    """Give the record's input columns the contract's names.

    Raises:
        DataError: Input columns are missing, or there are names that the contract does not know.
    """
    inputs = contract.inputs()
    if record.keys() == inputs.keys():
        return record
    names = {
        name: column
        for column, config in contract.columns.items()
        for name in (*config.also_named, column.strip())
    }
    found = {names[n.strip()]: value for n, value in record.items() if n.strip() in names}
    unknown = [name for name in record if name.strip() not in names]
    missing = [name for name in inputs if name not in found]
    if missing or unknown:
        raise DataError(_names_sentence(missing, unknown, list(inputs)))
    return found


def _names_sentence(missing: Sequence[str], unknown: Sequence[str], inputs: Sequence[str]) -> str:
    parts = []
    if missing:
        parts.append(f"{len(missing)} of {len(inputs)} columns missing: {listed(missing)}")
    if unknown:
        hint = did_you_mean(unknown[0], missing or inputs)
        parts.append(f"{len(unknown)} unknown: {listed(unknown)}{hint}")
    return (
        f"predict: {'; '.join(parts)}. The columns are listed at GET /contract; write null for a "
        "value that is not known."
    )


def broken_rules(column: Column, typed: Array) -> Iterable[tuple[npt.NDArray[np.bool_], str]]:
    """Yield, for each rule of the column that n typed values break, which rows break it."""
    if column.type == "category":
        yield from _broken_category_rules(column, typed)
        return
    missing = np.isnan(typed)
    if column.required and missing.any():
        yield missing, "required"
    if (infinite := np.isinf(typed)).any():
        yield infinite, "finite number"
    if (outside := outside_range(column, typed)).any():
        low = "-inf" if column.min is None else f"{column.min:g}"
        high = "inf" if column.max is None else f"{column.max:g}"
        yield outside, f"in [{low}, {high}]"
    if column.integer and (parts := typed % 1 > 0).any():
        yield parts, "whole number"


def _broken_category_rules(
    column: Column, typed: Array
) -> Iterable[tuple[npt.NDArray[np.bool_], str]]:
    if column.required and (missing := typed == MISSING).any():
        yield missing, "required"
    if column.categories is not None and column.unseen == "refuse":
        allowed = {*map(category_text, column.categories), MISSING}
        unseen = np.array([value not in allowed for value in typed], dtype=bool)
        if unseen.any():
            yield unseen, f"one of {listed(column.categories)}"
