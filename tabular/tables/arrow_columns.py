"""Arrow batches to typed columns and model input, by the contract, without a loop over rows.

A value is read by `contract.parse_column` and held against `records.broken_rules`, as anywhere
else, but each distinct value only once: a column of a million rows with fifty categories is fifty
readings and one lookup. tests/unit/test_arrow_columns.py holds it against the reading row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tabular.contract import (
    MISSING,
    Array,
    Column,
    Contract,
    Feature,
    Matrix,
    Violation,
    encode,
    parse_column,
    shown,
)
from tabular.features import derive
from tabular.records import broken_rules

Places = npt.NDArray[np.int64]

# Below this Arrow's way of reading numbers saves nothing.
MANY_VALUES = 100


@dataclass(frozen=True)
class Texts:
    """A category column of n rows: row i holds `distinct[places[i]]`.

    `distinct` (m,) object of str, "" where missing; a text may stand in it twice. `places` (n,).
    """

    distinct: Array
    places: Places

    def __len__(self) -> int:
        return len(self.places)

    def whole(self) -> Array:
        """The column as `contract.parse_column` gives it: object of str (n,)."""
        return self.distinct[self.places]


BatchColumns = Mapping[str, Array | Texts]


@dataclass(frozen=True)
class RawValues:
    """Distinct raw values (m,) of a column, and which of them each of n rows holds."""

    distinct: Array
    places: Places | None  # None: row i holds value i

    def spread(self, values: Array) -> Array:
        """From one value for each distinct one to one for each row."""
        return values if self.places is None else values[self.places]


def read_batch(
    contract: Contract, batch: pa.RecordBatch
) -> tuple[dict[str, Array | Texts], list[Violation]]:
    """Read the input columns of a batch of n rows.

    Args:
        contract: The problem's contract.
        batch: Its columns have the contract's names; those that are no input are not looked at.

    Returns:
        The typed input columns (see `contract.py`; categories as `Texts`), order kept, and the
        values that break the contract by row, unreadable ones first: those are missing in the
        columns. Rows count from 0 in the batch.
    """
    typed: dict[str, Array | Texts] = {}
    unreadable: list[Violation] = []
    against_rules: list[Violation] = []
    for name, column in contract.inputs().items():
        raw = raw_values(column, batch.column(name))
        values, broken = _parse(column, raw, contract.tokens(column))
        typed[name] = _typed(column, raw, values)
        unreadable += _violations(name, raw, _unreadable(broken, len(values)))
        readable = np.ones(len(values), dtype=bool)
        readable[list(broken)] = False
        rules = ((rows & readable, rule) for rows, rule in broken_rules(column, values))
        against_rules += _violations(name, raw, rules)
    return typed, sorted(unreadable + against_rules, key=lambda v: v.row)


def read_column(
    column: Column, values: pa.Array, missing: frozenset[str]
) -> tuple[Array | Texts, dict[int, str]]:
    """`contract.parse_column` for an Arrow array; texts (ids too) as `Texts`."""
    if column.type == "id" and pa.types.is_integer(values.type):  # each once, and a text at once
        texts = pc.fill_null(values.cast(pa.string()), MISSING).to_numpy(zero_copy_only=False)
        return Texts(texts, np.arange(len(texts))), {}
    raw = raw_values(column, values)
    distinct, broken = _parse(column, raw, missing)
    by_row = {
        row: rule
        for breaks, rule in _unreadable(broken, len(distinct))
        for row in np.flatnonzero(raw.spread(breaks)).tolist()
    }
    return _typed(column, raw, distinct), by_row


def encode_batch(contract: Contract, features: Sequence[Feature], columns: BatchColumns) -> Matrix:
    """The model input float32 (n, k) of typed input columns, as `contract.encode` writes it."""
    arrays = {name: v for name, v in columns.items() if not isinstance(v, Texts)}
    whole: BatchColumns = {**columns, **derive(contract, arrays)}
    n_rows = len(next(iter(whole.values())))
    matrix = np.empty((n_rows, len(features)), dtype=np.float32)
    for place, feature in enumerate(features):
        values = whole[feature.name]
        distinct = values.distinct if isinstance(values, Texts) else values
        codes = encode([feature], {feature.name: distinct})[:, 0]
        matrix[:, place] = codes[values.places] if isinstance(values, Texts) else codes
    return matrix


def raw_values(column: Column, values: pa.Array) -> RawValues:
    kind = values.type
    # Whole numbers with gaps are read one by one: as floats they would be other texts, and large
    # ones other numbers.
    is_whole = pa.types.is_integer(kind) and values.null_count == 0
    if column.type == "number" and (is_whole or pa.types.is_floating(kind)):
        return RawValues(_objects(values), None)
    if column.type == "date" and pa.types.is_date32(kind):
        return RawValues(_objects(values), None)
    if pa.types.is_dictionary(kind):
        return _coded(values.dictionary.to_pylist(), values.indices)
    try:
        coded = values.dictionary_encode()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # such as lists
        return RawValues(_objects(values), None)
    return _coded(_objects(coded.dictionary), coded.indices)


def _coded(distinct: Sequence[object] | Array, indices: pa.Array) -> RawValues:
    """Null is one more distinct value, the last: NaN among floats, as numpy has it."""
    is_float = isinstance(distinct, np.ndarray) and distinct.dtype.kind == "f"
    null = np.nan if is_float else None
    places = pc.fill_null(indices.cast(pa.int64()), len(distinct)).to_numpy(zero_copy_only=False)
    return RawValues(_object_array([*distinct, null]), places)


def _objects(values: pa.Array) -> Array:
    """Numbers as numpy numbers, NaN where null; moments as numpy's; anything else as objects."""
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_date32(kind):
        return values.to_numpy(zero_copy_only=False)
    return _object_array(values.to_pylist())


def _object_array(values: Iterable[object]) -> Array:
    """Each value as it is: numpy would make numbers of its own numbers, and rows of lists."""
    return np.fromiter(values, dtype=object)


def _parse(column: Column, raw: RawValues, missing: frozenset[str]) -> tuple[Array, dict[int, str]]:
    if column.type == "date" and raw.distinct.dtype.kind == "M":
        days = raw.distinct.astype("datetime64[D]").astype(np.float64)
        return np.where(np.isnat(raw.distinct), np.nan, days), {}
    is_plain = column.type == "number" and column.is_plain
    numbers = _cast_numbers(raw.distinct) if is_plain else None
    return parse_column(column, raw.distinct if numbers is None else numbers, missing)


def _cast_numbers(distinct: Array) -> Array | None:
    """Many texts that are plain numbers as float64 at once; None where one of them is not.

    Arrow and Python read plain decimals alike. Blanks, underscores, words and infinities are left
    to `parse_column`, and so is a handful, where nothing is to be gained.
    """
    if distinct.dtype != object or len(distinct) < MANY_VALUES:
        return None
    try:
        texts = pa.array(distinct, type=pa.string())
        numbers = pc.cast(texts, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
    is_plain = bool(pc.all(pc.is_finite(numbers), min_count=0).as_py())
    return numbers.to_numpy(zero_copy_only=False) if is_plain else None


def _typed(column: Column, raw: RawValues, values: Array) -> Array | Texts:
    if column.type in ("category", "id"):
        places = np.arange(len(values)) if raw.places is None else raw.places
        return Texts(values, places)
    return raw.spread(values)


def _unreadable(
    broken: Mapping[int, str], n_values: int
) -> Iterable[tuple[npt.NDArray[np.bool_], str]]:
    for rule in dict.fromkeys(broken.values()):
        breaks = np.zeros(n_values, dtype=bool)
        breaks[[place for place, its_rule in broken.items() if its_rule == rule]] = True
        yield breaks, rule


def _violations(
    name: str, raw: RawValues, rules: Iterable[tuple[npt.NDArray[np.bool_], str]]
) -> list[Violation]:
    found = []
    for breaks, rule in rules:
        if breaks.any():
            values = range(len(breaks)) if raw.places is None else raw.places
            found += [
                Violation(row, name, shown(raw.distinct[values[row]]), rule)
                for row in np.flatnonzero(raw.spread(breaks)).tolist()
            ]
    return found
