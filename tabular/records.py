"""Records, such as JSON objects, to typed columns, by the same contract that training keeps.

`tabular.checks` holds tables against the contract with pandera; this module does it for a request,
where neither pandas nor a millisecond is to be had. tests/unit/test_predictor.py holds both against
each other. Needs numpy and pydantic only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from tabular.contract import (
    MISSING,
    Array,
    Column,
    Columns,
    Contract,
    Matrix,
    Violation,
    category_text,
    outside_range,
    parse_column,
    parse_columns,
    shown,
)
from tabular.errors import RecordsError, did_you_mean, listed
from tabular.moments import date_text

MAX_REMEMBERED_TEXTS = 2_000
MAX_REMEMBERED_LENGTH = 64
MAX_NAME = 60
# So many rows are laid out by column while they are in the processor's cache.
PICKED_ROWS = 512
# What true and false are in a record; a table's own column of them is read as 1 and 0.
NOT_A_NUMBER = "type number"

_NUMBERS = {int, float, type(None)}
_TEXTS = {str, type(None)}

Record = Mapping[str, Any]
RawColumns = Mapping[str, Sequence[Any]]


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
                if len(self._remembered) < MAX_REMEMBERED_TEXTS and (
                    value is None or len(value) <= MAX_REMEMBERED_LENGTH
                ):
                    self._remembered[value] = found
            return found
        return self._read_slowly(value)

    def read_all(self, values: Sequence[Any]) -> Array | None:
        """Read n raw values of plain JSON types; None where one is of another, or is refused."""
        if self._is_number:
            return self._read_numbers(values)
        found = self.read_distinct(values)
        if found is None:
            return None
        return np.array([found[value] for value in values], dtype=dtype_of(self._column.type))

    def read_distinct(self, values: Sequence[Any]) -> dict[str | None, Any] | None:
        """What each text among n raw values is read as; None as in `read_all`."""
        try:
            distinct = set(values)
            if not set(map(type, distinct)) <= _TEXTS:
                return None
            return {value: self.read(value) for value in distinct}
        except (BrokenRuleError, TypeError):  # lists and objects are not hashable
            return None

    def _read_numbers(self, values: Sequence[Any]) -> Array | None:
        kinds = set(map(type, values))
        if not kinds <= _NUMBERS:
            return None
        try:
            numbers = np.array(values, dtype=np.float64)  # None becomes NaN
        except OverflowError:
            return None
        # False too where one is missing: NaN is not inside.
        is_inside = (
            np.minimum.reduce(numbers) >= self._low and np.maximum.reduce(numbers) <= self._high
        )
        if is_inside and (
            not self._column.integer
            or float not in kinds
            or not np.count_nonzero(np.rint(numbers) != numbers)
        ):
            return numbers.astype(np.float32)
        typed, broken = parse_column(self._column, numbers, self._tokens)
        return None if broken or any(broken_rules(self._column, typed)) else typed

    def _read_slowly(self, value: Any) -> Any:
        if self._is_number and isinstance(value, bool):
            raise BrokenRuleError(NOT_A_NUMBER)
        typed, broken = parse_column(self._column, [value], self._tokens)
        for rule in (*broken.values(), *(rule for _, rule in broken_rules(self._column, typed))):
            raise BrokenRuleError(rule)
        return typed[0]


class CodeReader:
    """Reads the texts of a category column as the model's codes; quick where all were seen."""

    def __init__(self, reader: Reader, codes: Mapping[str, int]) -> None:
        self._reader = reader
        self._codes = codes
        self._remembered: dict[str | None, float] = {}

    def read_all(self, values: Sequence[Any]) -> Matrix | None:
        """The codes (n,) of n raw values, -1 where unseen; None as in `Reader.read_all`."""
        try:
            known = map(self._remembered.__getitem__, values)
            return np.fromiter(known, np.float32, len(values))
        except (KeyError, TypeError):
            found = self._reader.read_distinct(values)
        if found is None:
            return None
        coded = {value: float(self._codes.get(text, -1)) for value, text in found.items()}
        if len(self._remembered) + len(coded) <= MAX_REMEMBERED_TEXTS and all(
            value is None or len(value) <= MAX_REMEMBERED_LENGTH for value in coded
        ):
            self._remembered |= coded
        return np.array([coded[value] for value in values], dtype=np.float32)


def dtype_of(column_type: str) -> npt.DTypeLike:
    """The type of a typed column's array (see `tabular.contract`)."""
    return {"category": object, "date": np.float64}.get(column_type, np.float32)


def raw_value(column: Column, typed: Any) -> str | float | None:
    """A typed value as JSON has it; `Reader.read` gives the typed value again."""
    if column.type == "category":
        return str(typed) or None
    if math.isnan(typed):
        return None
    if column.type == "time":
        return f"{int(typed) // 60:02d}:{int(typed) % 60:02d}"
    if column.type == "date":
        return date_text(float(typed), column.format)
    return float(typed)


class TableReader:
    """Reads many records at once, column by column. Threads may share it."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._inputs = contract.inputs()
        self.readers = {n: Reader(c, contract.tokens(c)) for n, c in self._inputs.items()}
        self._pick = itemgetter(*self._inputs)

    def read(self, records: Sequence[Any]) -> Columns:
        """Read n records into typed input columns, order kept.

        Args:
            records: Raw values by column name; None for a value that is not known. Not changed.
                What is no mapping is refused as such.

        Raises:
            RecordsError: A record lacks a column, has an unknown one, or a value breaks the
                contract; all that is wrong is listed.
        """
        plain = self._read_plain(records)
        return self._read_all(records) if plain is None else plain

    def raw_columns(self, records: Sequence[Any]) -> RawColumns | None:
        """Raw values by column; None where a record has not just the contract's names."""
        n_inputs = len(self._inputs)
        columns: list[list[Any]] = [[] for _ in self._inputs]
        try:
            if set(map(len, records)) != {n_inputs}:
                return None
            for start in range(0, len(records), PICKED_ROWS):
                rows = map(self._pick, records[start : start + PICKED_ROWS])
                picked = [rows] if n_inputs == 1 else zip(*rows, strict=True)
                for column, values in zip(columns, picked, strict=True):
                    column += values
        except (KeyError, TypeError):
            return None
        return dict(zip(self._inputs, columns, strict=True))

    def _read_plain(self, records: Sequence[Any]) -> Columns | None:
        """Records with just the contract's names and values that hold it; None for any other."""
        raw = self.raw_columns(records)
        if raw is None:
            return None
        typed: Columns = {}
        for name, reader in self.readers.items():
            column = reader.read_all(raw[name])
            if column is None:
                return None
            typed[name] = column
        return typed

    def _read_all(self, records: Sequence[Any]) -> Columns:
        """What `_read_plain` leaves: other names, and values to be refused with their reason."""
        named, violations, sentence = name_rows(self.contract, records)
        rows = list(named)
        raw = {name: [record[name] for record in named.values()] for name in self._inputs}
        typed, broken = parse_columns(self.contract, raw)
        broken += [
            Violation(row, name, shown(value).lower(), NOT_A_NUMBER)
            for name, column in self._inputs.items()
            if column.type == "number"
            for row, value in enumerate(raw[name])
            if isinstance(value, bool)
        ]
        known = {(violation.row, violation.column) for violation in broken}
        for name, values in typed.items():
            for at_fault, rule in broken_rules(self.contract.columns[name], values):
                broken += [
                    Violation(row, name, shown(raw[name][row]), rule)
                    for row in np.flatnonzero(at_fault).tolist()
                    if (row, name) not in known
                ]
        violations += [replace(violation, row=rows[violation.row]) for violation in broken]
        if violations:
            violations.sort(key=lambda violation: violation.row)
            raise RecordsError(sentence or _broken_sentence(violations), violations)
        return typed


def name_rows(
    contract: Contract, records: Sequence[Any]
) -> tuple[dict[int, Record], list[Violation], str]:
    """Give each record the contract's names.

    Returns:
        The named records by row, what is wrong with the names of the others, and the sentence
        about the first of those.
    """
    named: dict[int, Record] = {}
    violations: list[Violation] = []
    sentence = ""
    for row, record in enumerate(records):
        if not isinstance(record, Mapping):
            what = type(record).__name__
            violations.append(Violation(row, "", shown(record), "an object of column: value"))
            sentence = sentence or (
                f"predict: row {row} must be an object of column: value, got {what}. The columns "
                "are listed at GET /contract."
            )
            continue
        try:
            named[row] = name_columns(contract, record)
        except RecordsError as error:
            violations += [replace(violation, row=row) for violation in error.violations]
            sentence = sentence or str(error)
    return named, violations, sentence


def name_columns(contract: Contract, record: Record) -> Record:
    """Give the record's input columns the contract's names.

    Raises:
        RecordsError: Input columns are missing, or there are names that the contract does not
            know; the row is counted as 0.
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
        at_fault = [Violation(0, name, "", "must be given, null if not known") for name in missing]
        at_fault += [
            Violation(0, shown(name), shown(record[name]), "no column of the contract")
            for name in unknown
        ]
        raise RecordsError(_names_sentence(missing, unknown, list(inputs)), at_fault)
    return found


def named_columns(contract: Contract, records: Sequence[Record]) -> RawColumns:
    """The raw values by column of records that `name_columns` names."""
    named = [name_columns(contract, record) for record in records]
    return {name: [record[name] for record in named] for name in contract.inputs()}


def _names_sentence(missing: Sequence[str], unknown: Sequence[str], inputs: Sequence[str]) -> str:
    parts = []
    if missing:
        parts.append(f"{len(missing)} of {len(inputs)} columns missing: {listed(missing)}")
    if unknown:
        hint = did_you_mean(unknown[0][:MAX_NAME], missing or inputs)
        names = listed(name[:MAX_NAME] for name in unknown)
        parts.append(f"{len(unknown)} unknown: {names}{hint}")
    return (
        f"predict: {'; '.join(parts)}. The columns are listed at GET /contract; write null for a "
        "value that is not known."
    )


def _broken_sentence(violations: Sequence[Violation]) -> str:
    first, n_more = violations[0], len(violations) - 1
    more = f" ({n_more} more broken)" if n_more else ""
    return (
        f"predict: row {first.row}, column '{first.column}': got '{first.value}', the rule is: "
        f"{first.rule}{more}. The columns are listed at GET /contract."
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
