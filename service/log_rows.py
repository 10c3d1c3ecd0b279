"""Answered rows as columns: from the entries of a moment to one Arrow batch, 2 us a row.

Inputs are logged as they came, not as the model read them: what went wrong on the way can be seen.
"""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from arro3.core import Array, DataType, Field, Schema, Table
from arro3.io import write_ipc_stream

from service.live import Model
from service.many_answers import Answers, RowAnswer
from tabular.contract import Column, category_text, is_missing
from tabular.prediction_log.names import (
    ANSWER_COLUMNS,
    INPUT,
    LABEL_COLUMNS,
    PRODUCTION,
    Kind,
    input_columns,
)
from tabular.prediction_log.outcomes import Label
from tabular.prediction_log.settings import LogConfig
from tabular.records import TableReader, name_columns

HASH_DIGITS = 16
_MICROSECONDS = 1_000_000

_TYPES: dict[Kind, DataType] = {
    "time": DataType.timestamp("us", tz="UTC"),
    "text": DataType.utf8(),
    "place": DataType.int32(),
    "number": DataType.float64(),
}


_LABELS = Schema([Field(name, _TYPES[kind]) for name, kind in LABEL_COLUMNS.items()])


class Entry(NamedTuple):
    """One answered request: its records as they came, and the answers to them.

    `model` is production's, whose contract names the columns; `version` is who answered.
    """

    at: float
    request_id: str
    model: Model
    records: Sequence[Any]
    answers: Sequence[RowAnswer]
    version: str
    role: str = PRODUCTION


class Rows:
    """Answered rows: their records, and by column of the log what was answered to them."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.columns: dict[str, list[Any]] = {name: [] for name in ANSWER_COLUMNS}

    def add(self, records: Iterable[Any], columns: Mapping[str, Sequence[Any]]) -> None:
        """Add rows; what has no column is missing."""
        self.records += records
        n_rows = len(columns["row"])
        for name, values in self.columns.items():
            values += columns.get(name) or [None] * n_rows


class LogRows:
    """Writes entries by the contract of one model."""

    def __init__(self, model: Model, config: LogConfig, key: bytes) -> None:
        self._contract = model.predictor.contract
        self._table = TableReader(self._contract)
        self._decision = model.predictor.decision
        place = self._decision.positive
        self._positive = None if place is None else self._decision.classes[place]
        self._key = key
        self._inputs = input_columns(self._contract, config.sensitive)
        kinds = ANSWER_COLUMNS | {INPUT + name: kind for name, kind in self._inputs.items()}
        self._fields = {name: Field(name, _TYPES[kind]) for name, kind in kinds.items()}
        self._schema = Schema(list(self._fields.values()))
        self.columns = tuple(kinds.items())

    def batch(self, entries: Sequence[Entry]) -> tuple[bytes, int]:
        """The answered rows as an Arrow IPC stream, and how many they are."""
        rows = self._answered(entries)
        if not rows.records:
            return b"", 0
        answers = {
            name: Array(rows.columns[name], _TYPES[kind])
            for name, kind in ANSWER_COLUMNS.items()
            if kind != "time"
        }
        arrays = {"at": _times(rows.columns["at"])} | answers | self._given(rows.records)
        table = Table([arrays[name] for name in self._fields], schema=self._schema)
        return _stream(table), len(rows.records)

    def _answered(self, entries: Sequence[Entry]) -> Rows:
        rows = Rows()
        for is_by_column, some in groupby(entries, key=_is_by_column):
            if not is_by_column:
                rows.add(*self._row_by_row(some))
                continue
            for entry in some:
                rows.add(entry.records, self._by_column(entry))
        return rows

    def _by_column(self, entry: Entry) -> dict[str, Sequence[Any]]:
        assert isinstance(entry.answers, Answers)  # noqa: S101  # as `_is_by_column` found
        n_rows = len(entry.answers)
        return {
            "at": [entry.at] * n_rows,
            "request_id": [entry.request_id] * n_rows,
            "row": range(n_rows),
            "version": [entry.version] * n_rows,
            "role": [entry.role] * n_rows,
            **entry.answers.columns(self._positive),
        }

    def _row_by_row(self, entries: Iterable[Entry]) -> tuple[list[Any], dict[str, Sequence[Any]]]:
        """Records and columns of answers that are dictionaries, without those that are refusals."""
        rows = [
            (entry, row, answer)
            for entry in entries
            for row, answer in enumerate(entry.answers)
            if "error" not in answer
        ]
        columns: dict[str, Sequence[Any]] = {
            "at": [entry.at for entry, _, _ in rows],
            "request_id": [entry.request_id for entry, _, _ in rows],
            "row": [row for _, row, _ in rows],
            "version": [entry.version for entry, _, _ in rows],
            "role": [entry.role for entry, _, _ in rows],
            **self._said([answer for _, _, answer in rows]),
        }
        return [entry.records[row] for entry, row, _ in rows], columns

    def _said(self, answers: Sequence[RowAnswer]) -> dict[str, list[Any]]:
        if self._decision.task == "regression":
            ends = [answer["interval"] or (None, None) for answer in answers]
            return {
                "value": [answer["prediction"] for answer in answers],
                "low": [low for low, _ in ends],
                "high": [high for _, high in ends],
            }
        if self._positive is None:
            probability = [answer["confidence"] for answer in answers]
        else:
            probability = [answer["probabilities"][self._positive] for answer in answers]
        return {
            "prediction": [answer["prediction"] for answer in answers],
            "probability": probability,
        }

    def _given(self, records: Sequence[Any]) -> dict[str, Array]:
        raw = self._table.raw_columns(records)
        if raw is None:  # other names than the contract's
            named = [name_columns(self._contract, record) for record in records]
            raw = {name: [record[name] for record in named] for name in self._inputs}
        return {
            INPUT + name: self._array(self._contract.columns[name], kind, raw[name])
            for name, kind in self._inputs.items()
        }

    def _array(self, column: Column, kind: Kind, values: Sequence[Any]) -> Array:
        tokens = self._contract.tokens(column)
        if kind == "number":
            try:
                return Array(values, _TYPES[kind])
            except (TypeError, OverflowError):  # a number that came as text
                return Array([_number(value, tokens) for value in values], _TYPES[kind])
        text = self._hash if column.sensitive else _text
        known = {value: _known(value, tokens, text) for value in set(values)}
        return Array([known[value] for value in values], _TYPES[kind])

    def _hash(self, value: Any) -> str:
        text = category_text(value).encode("utf-8", "replace")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:HASH_DIGITS]


def _is_by_column(entry: Entry) -> bool:
    return isinstance(entry.answers, Answers)


def label_batch(labels: Sequence[Label]) -> bytes:
    """Outcomes as an Arrow IPC stream."""
    columns = {
        "request_id": Array([label.request_id for label in labels], _TYPES["text"]),
        "row": Array([label.row for label in labels], _TYPES["place"]),
        "outcome": Array([label.outcome for label in labels], _TYPES["text"]),
        "at": _times([label.at.timestamp() for label in labels]),
    }
    return _stream(Table([columns[name] for name in LABEL_COLUMNS], schema=_LABELS))


def _times(seconds: Sequence[float]) -> Array:
    moments = np.array(seconds) * _MICROSECONDS
    return Array.from_numpy(moments.astype(np.int64)).cast(_TYPES["time"])


def _stream(table: Table) -> bytes:
    stream = io.BytesIO()
    write_ipc_stream(table, stream, compression=None)
    return stream.getvalue()


def _known(value: Any, tokens: frozenset[str], text: Callable[[Any], str]) -> str | None:
    return None if is_missing(value, tokens) else text(value)


def _text(value: Any) -> str:
    """A text as it came; half of a surrogate pair, which no file can hold, as a question mark."""
    text = value if isinstance(value, str) else category_text(value)
    return text.encode("utf-8", "replace").decode("utf-8")


def _number(value: Any, tokens: frozenset[str]) -> float | None:
    if is_missing(value, tokens):
        return None
    number = float(value)
    return number if number == number else None
