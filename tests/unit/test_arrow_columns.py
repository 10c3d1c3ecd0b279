"""Arrow batches are read as rows are: same typed values, same broken rules, same model input."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular.contract import (
    Column,
    Contract,
    Derivation,
    Feature,
    encode,
    parse_column,
    parse_columns,
    shown,
)
from tabular.features import derive
from tabular.records import broken_rules
from tabular.tables.arrow_columns import MANY_VALUES, Texts, encode_batch, read_batch, read_column
from tabular.tables.frames import to_values

COLUMNS = {
    "number": Column(type="number", min=-1, max=100),
    "whole": Column(type="number", integer=True, required=True),
    "clipped": Column(type="number", min=0, max=5, out_of_range="missing"),
    "free": Column(type="category", aliases={"b": "a", "28": "NA"}),
    "listed": Column(type="category", categories=("1", "true", "a"), unseen="refuse"),
    "needed": Column(type="category", required=True, missing_values=("x",)),
    "time": Column(type="time"),
    "date": Column(type="date"),
}
TEXTS = st.sampled_from(
    ["a", "b", " a ", "A", "1", "1.0", "28", "28.0", "true", "NA", "", "nan", "NaN", "inf",
     "-Infinity", " 7 ", "7,5", "1_000", "+5", "1e400", "1e39", "nan(7)", "0x10", "5.", ".5", "-0",
     "12:30", "24:00", "25:00", "0.5", "2024-02-29", "2023-02-29", "x", "101", "4.5"]
)  # fmt: skip
FLOATS = st.one_of(
    st.floats(width=32), st.sampled_from([0.1, -0.0, 28.0, 101.0, 4.5, 0.5, float("nan"), 1e38])
)
DAYS = st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1))
MOMENTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1))
KINDS = {
    "string": (pa.string(), TEXTS),
    "large_string": (pa.large_string(), TEXTS),
    "coded": (pa.dictionary(pa.int8(), pa.string()), TEXTS),
    "int64": (pa.int64(), st.integers(-(2**53), 2**53) | st.integers(-2, 120)),
    "uint8": (pa.uint8(), st.integers(0, 255)),
    "float64": (pa.float64(), FLOATS | st.floats()),
    "float32": (pa.float32(), FLOATS),
    "coded_float": (pa.dictionary(pa.int32(), pa.float32()), FLOATS),
    "bool": (pa.bool_(), st.booleans()),
    "null": (pa.null(), st.none()),
    "decimal": (pa.decimal128(9, 2), st.decimals(-200, 200, places=2)),
    "date32": (pa.date32(), DAYS),
    "moment": (pa.timestamp("us"), MOMENTS),
    "zoned": (pa.timestamp("us", "Europe/Vienna"), MOMENTS),
    "time": (pa.time64("us"), st.times()),
    "list": (pa.list_(pa.int64()), st.just([1]) | st.just([])),
}


def read_by_rows(contract: Contract, raw: dict):
    """The slow way: each value on its own, then the rules, as for records."""
    typed, violations = parse_columns(contract, raw)
    found = [(v.row, v.column, v.value, v.rule) for v in violations]
    known = {(v.row, v.column) for v in violations}
    for name, values in typed.items():
        for rows, rule in broken_rules(contract.columns[name], values):
            found += [
                (int(row), name, shown(raw[name][row]), rule)
                for row in np.flatnonzero(rows)
                if (row, name) not in known
            ]
    return typed, sorted(found)


@st.composite
def arrays(draw, kind: str) -> pa.Array:
    """An Arrow array of a kind, with nulls and repeated values."""
    arrow_type, values = KINDS[kind]
    some = draw(st.lists(values | st.none(), min_size=1, max_size=6))
    return pa.array(some * draw(st.sampled_from([1, 3])), type=arrow_type)


def raw_values(array: pa.Array):
    """As `checks` hands them to the contract; lists one by one, which numpy would stack."""
    if not pa.types.is_list(array.type):
        return to_values(pa.chunked_array([array]))
    return np.fromiter(array.to_pylist(), dtype=object)


@settings(max_examples=500, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(COLUMNS)), kind=st.sampled_from(sorted(KINDS)))
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_batch_is_read_as_its_rows_are(data, name, kind):
    array = data.draw(arrays(kind))
    contract = Contract(
        columns={name: COLUMNS[name]},
        derive={"out": Derivation(function="hour", inputs=(name,))} if name == "time" else
        {"out": Derivation(function="month", inputs=(name,))} if name == "date" else {},
    )  # fmt: skip
    typed, violations = read_batch(contract, pa.record_batch({name: array}))
    expected, broken = read_by_rows(contract, {name: raw_values(array)})
    values = typed[name].whole() if isinstance(typed[name], Texts) else typed[name]
    assert values.dtype == expected[name].dtype
    np.testing.assert_array_equal(values, expected[name])
    assert sorted((v.row, v.column, v.value, v.rule) for v in violations) == broken


@settings(max_examples=300, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)))
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_single_column_is_read_as_the_contract_reads_it(data, kind):
    name = data.draw(st.sampled_from(["number", "clipped", "free", "time", "date", "id"]))
    column = COLUMNS.get(name, Column(type="id"))
    array, missing = data.draw(arrays(kind)), frozenset({"", "na", "28"})
    typed, broken = read_column(column, array, missing)
    expected, expected_broken = parse_column(column, raw_values(array), missing)
    values = typed.whole() if isinstance(typed, Texts) else typed
    np.testing.assert_array_equal(values, expected)
    assert broken == expected_broken


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXTS, max_size=2), n_numbers=st.sampled_from([3, MANY_VALUES + 7]))
def test_many_number_texts_are_read_as_single_ones(texts, n_numbers):
    numbers = [repr(number) for number in np.random.default_rng(1).normal(size=n_numbers)]
    column = pa.array([*numbers, None, *texts])
    contract = Contract(columns={"number": COLUMNS["number"]})
    typed, violations = read_batch(contract, pa.record_batch({"number": column}))
    expected, broken = read_by_rows(contract, {"number": raw_values(column)})
    np.testing.assert_array_equal(typed["number"], expected["number"])
    assert sorted((v.row, v.column, v.value, v.rule) for v in violations) == broken


def test_unreadable_values_and_broken_rules_are_named_by_row():
    contract = Contract(columns={"n": Column(type="number", min=0, max=9, integer=True)})
    _, violations = read_batch(contract, pa.record_batch({"n": ["3", "x", "10.5", None, "x"]}))
    assert [(v.row, v.value, v.rule) for v in violations] == [
        (1, "x", "type number"),
        (2, "10.5", "in [0, 9]"),
        (2, "10.5", "whole number"),
        (4, "x", "type number"),
    ]


def test_model_input_is_that_of_the_contract():
    contract = Contract(
        columns={
            "city": Column(type="category", aliases={"Bombay": "Mumbai"}),
            "fee": Column(type="number"),
            "opened": Column(type="time"),
            "note": Column(type="id"),
        },
        derive={
            "hour": Derivation(function="hour", inputs=("opened",)),
            "part": Derivation(function="part_of_day", inputs=("opened",)),
        },
    )
    features = (
        Feature(name="fee", kind="number"),
        Feature(name="city", kind="category", categories=("Delhi", "Mumbai")),
        Feature(name="hour", kind="number"),
        Feature(name="part", kind="category", categories=("night", "morning")),
    )
    rows = {
        "city": ["Delhi", "Bombay", None, "Paris", "Delhi "],
        "fee": [1.5, None, -2.0, 3e3, 0.1],
        "opened": ["09:30", "01:00", None, "23:59", "12:00"],
    }
    columns, violations = read_batch(contract, pa.record_batch(rows))
    by_hand = [[1.5, 0, 9, 1], [np.nan, 1, 1, 0], [-2, 2, np.nan, 2], [3e3, -1, 23, -1],
               [np.float32(0.1), 0, 12, -1]]  # fmt: skip
    assert violations == []
    np.testing.assert_array_equal(encode_batch(contract, features, columns), np.float32(by_hand))
    typed, _ = parse_columns(contract, rows)
    np.testing.assert_array_equal(
        encode_batch(contract, features, columns), encode(features, derive(contract, typed))
    )


def test_decimals_and_dates_keep_their_value():
    contract = Contract(columns={"n": Column(type="number"), "d": Column(type="date")},
                        derive={"m": Derivation(function="month", inputs=("d",))})  # fmt: skip
    batch = pa.record_batch({"n": [Decimal("1.25")], "d": [dt.date(1970, 2, 1)]})
    columns, _ = read_batch(contract, batch)
    assert columns["n"].tolist() == [1.25]
    assert columns["d"].tolist() == [31.0]
