"""Answered rows as columns: from the entries of a moment to Arrow batches, 1 us a row.

Inputs are logged as they came, not as the model read them: what went wrong on the way can be seen.
"""

from __future__ import annotations

import hashlib
import hmac
import io
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from arro3.core import Array, DataType, Field, RecordBatch, Schema, Table
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
from tabular.records import RawColumns, TableReader, named_columns

HASH_DIGITS = 16
Places = npt.NDArray[np.int64]

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
        runs = ((by_column, list(run)) for by_column, run in groupby(entries, _is_by_column))
        batches = [
            self._by_column(run) if by_column else self._row_by_row(run) for by_column, run in runs
        ]
        table = Table.from_batches(batches, schema=self._schema)
        return (_stream(table), table.num_rows) if table.num_rows else (b"", 0)

    def _by_column(self, entries: Sequence[Entry]) -> RecordBatch:
        answered = [entry.answers for entry in entries if isinstance(entry.answers, Answers)]
        n_rows = [len(answers) for answers in answered]
        return self._record_batch(
            entries,
            np.repeat(np.arange(len(entries)), n_rows),
            np.concatenate([np.arange(n) for n in n_rows]),
            _joined([answers.columns(self._positive) for answers in answered]),
            _joined([answers.given for answers in answered]),
        )

    def _row_by_row(self, entries: Sequence[Entry]) -> RecordBatch:
        """Answers that are dictionaries, without those that are refusals."""
        rows = [
            (entry, row, answer)
            for entry in entries
            for row, answer in enumerate(entry.answers)
            if "error" not in answer
        ]
        records = [entry.records[row] for entry, row, _ in rows]
        return self._record_batch(
            [entry for entry, _, _ in rows],
            np.arange(len(rows)),
            np.array([row for _, row, _ in rows], dtype=np.int64),
            self._said([answer for _, _, answer in rows]),
            self._table.raw_columns(records) or named_columns(self._contract, records),
        )

    def _record_batch(
        self,
        entries: Sequence[Entry],
        entry_of: Places,
        row_of: Places,
        said: Mapping[str, Sequence[Any]],
        given: RawColumns,
    ) -> RecordBatch:
        """One batch of rows, each the `row_of`-th of the `entry_of`-th entry."""
        arrays = {
            "at": _times([entry.at for entry in entries]),
            "request_id": Array([entry.request_id for entry in entries], _TYPES["text"]),
            "version": Array([entry.version for entry in entries], _TYPES["text"]),
            "role": Array([entry.role for entry in entries], _TYPES["text"]),
        }
        places = Array.from_numpy(entry_of)
        arrays = {name: array.take(places) for name, array in arrays.items()}
        arrays["row"] = Array.from_numpy(row_of).cast(_TYPES["place"])
        for name, kind in ANSWER_COLUMNS.items():
            if name not in arrays:
                values = said.get(name) or [None] * len(row_of)
                arrays[name] = Array(values, _TYPES[kind])
        for name, kind in self._inputs.items():
            arrays[INPUT + name] = self._array(self._contract.columns[name], kind, given[name])
        return RecordBatch([arrays[name] for name in self._fields], schema=self._schema)

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

    def _array(self, column: Column, kind: Kind, values: Sequence[Any]) -> Array:
        tokens = self._contract.tokens(column)
        if kind == "number":
            try:
                return Array(values, _TYPES[kind])
            except (TypeError, OverflowError):  # a number that came as text
                return Array([_number(value, tokens) for value in values], _TYPES[kind])
        text = self._hash if column.sensitive else _text
        return _texts(values, lambda value: _known(value, tokens, text))

    def _hash(self, value: Any) -> str:
        text = category_text(value).encode("utf-8", "replace")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:HASH_DIGITS]


def _is_by_column(entry: Entry) -> bool:
    return isinstance(entry.answers, Answers)


def _joined(tables: Sequence[Mapping[str, Sequence[Any]]]) -> dict[str, list[Any]]:
    """Tables of the same columns, one below the other."""
    return {name: list(chain.from_iterable(t[name] for t in tables)) for name in tables[0]}


def _texts(values: Sequence[Any], written: Callable[[Any], str | None]) -> Array:
    """Values as texts; equal ones are written once."""
    texts = {value: written(value) for value in set(values)}
    return Array(list(map(texts.__getitem__, values)), _TYPES["text"])


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
