"""Raw values become typed columns, and typed columns the model input."""

import math
from datetime import date, datetime, time
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular.contract import (
    Column,
    Contract,
    Feature,
    Violation,
    category_text,
    encode,
    match_columns,
    parse_columns,
    shown,
)
from tabular.errors import DataError
from tabular.moments import parse_date, parse_time


def read(column, values):
    typed, violations = parse_columns(Contract(columns={"c": column}), {"c": values})
    return typed["c"], violations


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        ("21:55", 1315),
        ("21:55:00", 1315),
        ("9:55 PM", 1315),
        ("9:55:30 p.m.", 1315),
        ("12:05 am", 5),
        ("12pm", 720),
        (" 09:05 ", 545),
        ("00:00", 0),
        ("24:05:00", 5),
        ("24:00", 0),
        ("0.458333333", 660),
        (0.458333333, 660),
        ("1", 0),
        (1, 0),
        ("0", 0),
        (time(14, 30), 870),
        (datetime(2022, 3, 1, 14, 30), 870),
    ],
)
def test_parse_time_reads_every_form(written, minutes):
    assert parse_time(written) == minutes


@pytest.mark.parametrize(
    "written", ["25:00", "12:60", "12:30:99", "-1:30", "12", "-0.1", "noon", "1:2:3:4", "10:"]
)
def test_parse_time_refuses_what_is_no_time(written):
    values, violations = read(Column(type="time"), [written])
    assert np.isnan(values[0])
    assert violations == [Violation(0, "c", written, "type time")]


@given(st.integers(0, 1439))
def test_parse_time_reads_a_minute_the_same_in_each_form(minute):
    clock = f"{minute // 60:02d}:{minute % 60:02d}"
    share = f"{minute / 1440:.9f}"
    assert parse_time(clock) == parse_time(clock + ":00") == parse_time(share) == minute


def test_parse_date_counts_days_from_1970():
    assert parse_date("02-01-1970", "%d-%m-%Y") == 1
    assert parse_date(date(1970, 1, 3), "") == 2
    assert parse_date(datetime(1970, 1, 1, 12), "") == 0.5
    assert parse_date(np.datetime64("1970-01-11"), "") == 10
    assert parse_date("1970-01-01T02:00+02:00", "%Y-%m-%dT%H:%M%z") == 0


def test_date_of_another_form_is_a_violation():
    values, violations = read(Column(type="date", format="%d-%m-%Y"), ["31-02-2022", "", None])
    assert np.isnan(values).all()
    assert [v.rule for v in violations] == ["type date"]


def test_numbers_are_float32_and_missing_texts_nan():
    values, violations = read(Column(type="number"), ["1.5", " 2 ", 3, "NaN ", "", None, "N/A"])
    assert values.dtype == np.float32
    assert values[:3].tolist() == [1.5, 2, 3]
    assert np.isnan(values[3:]).all()
    assert violations == []


def test_numbers_refuse_text_and_infinity():
    values, violations = read(Column(type="number"), ["abc", "inf", "-1e999", "1e39", [1]])
    assert np.isnan(values).all()
    rules = ["type number", *["finite number"] * 3, "type number"]
    assert [v.rule for v in violations] == rules


def test_numbers_out_of_range_are_missing_where_the_contract_says_so():
    column = Column(type="number", min=1, max=5, out_of_range="missing")
    values, violations = read(column, [0, 1, 5, 6])
    assert np.isnan(values).tolist() == [True, False, False, True]
    assert violations == []


def test_a_column_can_have_missing_values_of_its_own():
    values, _ = read(Column(type="number", missing_values=("-999", "unknown")), ["unknown", "7"])
    assert np.isnan(values[0])
    assert values[1] == 7


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.text(max_size=8),
            st.integers(),
            st.floats(),
            st.booleans(),
            st.lists(st.integers(), max_size=2),
        ),
        max_size=6,
    ),
    st.sampled_from(["number", "category", "time", "date", "id"]),
)
def test_parse_never_fails_and_gives_each_row_a_value_or_a_missing_one(raw, kind):
    values, violations = read(Column(type=kind), raw)
    assert len(values) == len(raw)
    if kind in ("category", "id"):
        assert all(isinstance(v, str) for v in values)
    else:
        assert not np.isinf(values).any()
        assert all(np.isnan(values[v.row]) for v in violations)


@given(st.lists(st.floats(width=32, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_read_the_same_as_array_list_and_text(numbers):
    column = Column(type="number")
    as_array, _ = read(column, np.array(numbers))
    as_list, _ = read(column, numbers)
    as_text, _ = read(column, [repr(x) for x in numbers])
    np.testing.assert_array_equal(as_array, as_list)
    np.testing.assert_array_equal(as_array, as_text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("28.0", "28"),
        (28.0, "28"),
        (28, "28"),
        (np.float32(28), "28"),
        (Decimal("28.0"), "28"),
        (" Fog ", "Fog"),
        ("1.50", "1.50"),
        (1.5, "1.5"),
        (True, "true"),
        ("-1.0", "-1"),
    ],
)
def test_category_text_writes_a_code_one_way(value, text):
    assert category_text(value) == text


def test_categories_keep_true_apart_from_one():
    for values in ([1, True], [True, 1]):
        assert sorted(read(Column(type="category"), values)[0]) == ["1", "true"]


def test_categories_take_aliases_and_missing_texts():
    column = Column(type="category", aliases={"conditions Fog": "Fog", "conditions NaN": "NaN"})
    values, _ = read(column, ["conditions Fog", "Fog ", "conditions NaN", None, math.nan])
    assert values.tolist() == ["Fog", "Fog", "", "", ""]


def test_a_list_in_place_of_a_category_is_a_violation():
    values, violations = read(Column(type="category"), [["Fog"], {"a": 1}, "Fog"])
    assert values.tolist() == ["", "", "Fog"]
    assert [(v.row, v.rule) for v in violations] == [(0, "type category"), (1, "type category")]


def test_shown_cuts_long_values():
    assert shown("x" * 100) == "x" * 60 + "..."


def test_match_columns_takes_other_names_and_blanks():
    contract = Contract(
        columns={
            "Weather": Column(type="category", also_named=("Weatherconditions",)),
            "Age": Column(type="number"),
            "note": Column(type="ignore"),
        }
    )
    found = match_columns(contract, ["Weatherconditions", " Age ", "extra"], where="a.csv")
    assert found == {"Weather": "Weatherconditions", "Age": " Age "}


def test_match_columns_names_the_missing_and_the_nearest():
    contract = Contract(columns={"fuel": Column(type="number"), "age": Column(type="number")})
    with pytest.raises(DataError, match=r"a\.csv: 1 of 2 .*\['fuel'\] \(did you mean 'feul'\?\)"):
        match_columns(contract, ["feul", "age"], where="a.csv")


def test_match_columns_refuses_a_name_that_stands_twice():
    contract = Contract(columns={"age": Column(type="number")})
    with pytest.raises(DataError, match="'age' stands twice; rename"):
        match_columns(contract, ["age", "age "], where="a.csv")


def test_encode_gives_codes_missing_and_unseen():
    features = [
        Feature(name="x", kind="number"),
        Feature(name="c", kind="category", categories=("a", "b")),
    ]
    columns = {
        "x": np.array([1, np.nan, 2, 3], dtype=np.float32),
        "c": np.array(["b", "", "zebra", "a"], dtype=object),
    }
    matrix = encode(features, columns)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, [[1, 1], [np.nan, 2], [2, -1], [3, 0]])


@given(st.permutations(range(6)))
def test_encode_follows_row_order(order):
    features = [Feature(name="c", kind="category", categories=("a", "b"))]
    values = np.array(["a", "b", "", "z", "b", "a"], dtype=object)
    np.testing.assert_array_equal(
        encode(features, {"c": values[list(order)]}), encode(features, {"c": values})[list(order)]
    )


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        ({"type": "category", "min": 1}, "min is for type number, got type category"),
        ({"type": "number", "categories": ["a"]}, "categories is for type category"),
        ({"type": "number", "format": "%Y"}, "format is for type date"),
        ({"type": "number", "min": 5, "max": 1}, "min must be at most max, got min 5 and max 1"),
        ({"type": "category", "categories": ["a", "a"]}, "must not repeat a value"),
    ],
)
def test_column_refuses_keys_that_do_not_fit(keys, part):
    with pytest.raises(ValueError, match=part):
        Column(**keys)
