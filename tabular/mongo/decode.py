"""BSON documents to Arrow batches, by pymongoarrow wherever a field holds values of one type.

pymongoarrow reads a field as the one type it is told, and stops at a value of another. It is told
what the field held before; a reply that it stops at is decoded by pymongo and read by the rules of
`mongo_values`, so that no value is lost (docs/adr/0011).
"""

from __future__ import annotations

import datetime as dt
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
import pyarrow as pa
import pyarrow.compute as pc
from bson import Decimal128, ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion

from tabular.contract import Column
from tabular.mongo.ids import document_bounds
from tabular.mongo.values import EXACT_WHOLE, NoNumberError, number_of, text_of

with warnings.catch_warnings():  # it was built for an Arrow whose classes were a few bytes smaller
    warnings.filterwarnings("ignore", message=".*size changed", category=RuntimeWarning)
    from pymongoarrow.api import Schema
    from pymongoarrow.context import PyMongoArrowContext
    from pymongoarrow.types import Decimal128Type, ObjectIdType

# Dates out of Python's range and broken UTF-8 are for the contract to refuse, not for the driver.
CODEC: CodecOptions[Any] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO, unicode_decode_error_handler="replace"
)
SAMPLE_DOCUMENTS = 200
KINDS = (bool, float, dt.datetime, Decimal128, ObjectId)
# The byte before a field's name that tells its type.
DOUBLE, BOOLEAN, NULL = b"\x01", b"\x08", b"\x0a"


@dataclass(frozen=True)
class Field:
    """A column, and the names in a reply that may hold it, the first that is there counts."""

    name: str
    column: Column
    keys: tuple[str, ...]


class Decoder:
    """Reads replies one after the other, and remembers what their fields held.

    `absent` names columns that no document had a value for. `schema` is that of the last batch: a
    number column turns to text, for good, at its first value that is no number.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields
        self._kinds: dict[str, type] = {}
        self._texts: set[str] = set()
        self.absent = {field.name for field in fields}

    @property
    def schema(self) -> pa.Schema:
        """One field for each column: float64 for numbers, string for all else."""
        return pa.schema([(f.name, self._type(f)) for f in self._fields])

    def decode(self, reply: bytes) -> pa.RecordBatch:
        """Read a reply: whole BSON documents, end to end; one row for each, order kept."""
        if not self._kinds:
            self._learn(bson.decode_all(_head(reply, SAMPLE_DOCUMENTS), CODEC))
        try:
            arrays = self._by_type(reply)
        except (TypeError, ValueError, OverflowError):  # a value of another type; ArrowInvalid too
            documents = bson.decode_all(reply, CODEC)
            self._learn(documents)
            arrays = self._by_value(documents)
        self.absent -= {
            field.name
            for field, array in zip(self._fields, arrays, strict=True)
            if field.name in self.absent and _is_there(field, array, reply)
        }
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def widened(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """An earlier batch in today's schema: numbers of what are texts by now as texts."""
        arrays = [
            array if array.type == self._type(field) else as_texts(field.column, array)
            for field, array in zip(self._fields, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _type(self, field: Field) -> pa.DataType:
        is_number = field.column.type == "number" and field.name not in self._texts
        return pa.float64() if is_number else pa.string()

    def _learn(self, documents: Iterable[Mapping[str, Any]]) -> None:
        keys = {key: field.column for field in self._fields for key in field.keys}
        seen: dict[str, Counter[type]] = {key: Counter() for key in keys}
        for document in documents:
            for key in keys:
                value = document.get(key)
                if value is not None:
                    seen[key][_kind(value)] += 1
        for key, column in keys.items():
            default = self._kinds.get(key, float if column.type == "number" else str)
            self._kinds[key] = max(seen[key], key=seen[key].__getitem__, default=default)

    def _by_type(self, reply: bytes) -> list[pa.Array]:
        context = PyMongoArrowContext(Schema(self._kinds))
        context.process_bson_stream(reply)
        table = context.finish()
        arrays = []
        for field in self._fields:
            parts = [
                self._one_type(field, _whole(table.column(key)), key, reply) for key in field.keys
            ]
            arrays.append(pc.coalesce(*parts) if len(parts) > 1 else parts[0])
        return arrays

    def _one_type(self, field: Field, array: pa.Array, key: str, reply: bytes) -> pa.Array:
        kind, is_number = array.type, field.column.type == "number"
        if pa.types.is_string(kind):
            array.validate(full=True)  # the server takes broken UTF-8; Arrow does not look
        if self._type(field) == pa.float64():
            return array if pa.types.is_floating(kind) else as_numbers(array)
        if pa.types.is_string(kind) and not is_number:
            return array
        if pa.types.is_floating(kind) and not is_number:
            _refuse_ambiguous(array, key, reply)
        return as_texts(field.column, array)

    def _by_value(self, documents: Sequence[Mapping[str, Any]]) -> list[pa.Array]:
        arrays = []
        for field in self._fields:
            values = [_first(document, field.keys) for document in documents]
            if self._type(field) == pa.float64():
                try:
                    arrays.append(pa.array([number_of(v) for v in values], type=pa.float64()))
                    continue
                except NoNumberError:
                    self._texts.add(field.name)
            texts = [text_of(field.column, v) for v in values]
            arrays.append(pa.array(texts, type=pa.string()))
        return arrays


def as_texts(column: Column, array: pa.Array) -> pa.Array:
    """The values as `mongo_values.text_of` writes them, each distinct one written once."""
    distinct, places = _distinct(array)
    return pa.array([text_of(column, value) for value in distinct], type=pa.string()).take(places)


def as_numbers(array: pa.Array) -> pa.Array:
    """The values as `mongo_values.number_of` reads them, each distinct one read once."""
    distinct, places = _distinct(array)
    return pa.array([number_of(value) for value in distinct], type=pa.float64()).take(places)


def _distinct(array: pa.Array) -> tuple[list[Any], pa.Array]:
    kind = array.type
    if isinstance(kind, pa.ExtensionType):
        array = array.storage
    coded = array.dictionary_encode()
    distinct = coded.dictionary.to_pylist()
    if isinstance(kind, ObjectIdType):
        distinct = [ObjectId(value) for value in distinct]
    if isinstance(kind, Decimal128Type):
        distinct = [Decimal128.from_bid(value) for value in distinct]
    return distinct, coded.indices


def _head(reply: bytes, n_documents: int) -> bytes:
    return reply[: document_bounds(reply)[: n_documents + 1][-1]]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)


def _is_there(field: Field, array: pa.Array, reply: bytes) -> bool:
    """Whether a document has the field, be it null or NaN, which are both null in Arrow."""
    names = [mark + key.encode() + b"\0" for key in field.keys for mark in (NULL, DOUBLE)]
    return len(array) > array.null_count or any(name in reply for name in names)


def _first(document: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((v for key in keys if (v := document.get(key)) is not None), None)


def _kind(value: Any) -> type:
    """What pymongoarrow is told that a field holds; text, where it knows no better."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float
    return next((kind for kind in KINDS if isinstance(value, kind)), str)


def _refuse_ambiguous(numbers: pa.Array, key: str, reply: bytes) -> None:
    """A float64 says neither that it was a boolean nor, beyond 2^53, which whole number it was."""
    largest = pc.max(pc.abs(numbers)).as_py()
    if BOOLEAN + key.encode() + b"\0" in reply or (largest is not None and largest > EXACT_WHOLE):
        raise TypeError(f"{key} holds more than a float64 can")
