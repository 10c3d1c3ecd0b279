"""Many records at once: read like one by one, and refused with all that is wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular.contract import Column, Contract
from tabular.errors import RecordsError
from tabular.predictor import Predictor
from tabular.records import (
    MAX_REMEMBERED_LENGTH,
    MAX_REMEMBERED_TEXTS,
    CodeReader,
    Reader,
    TableReader,
)
from tests.unit.tiny import CONTRACT, RECORDS, write_tiny

GOOD = st.fixed_dictionaries(
    {
        "age": st.sampled_from([18, 30.0, "44", 90]),
        "fee": st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-9, 9), st.just("NA")),
        "city": st.sampled_from([None, "Delhi", " Delhi", "Bombay", "Paris", "", 28]),
        "opened": st.sampled_from([None, "09:30", "24:05:00", 0.5, "NA"]),
    }
)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor(write_tiny(tmp_path_factory.mktemp("records") / "b"))


def assert_same(table, alone):
    for name, values in table.items():
        for row, one in enumerate(alone):
            left, right = values[row], one[name][0]
            assert left == right or (left != left and right != right)
            assert values.dtype == one[name].dtype


@settings(max_examples=100, deadline=None)
@given(records=st.lists(GOOD, min_size=2, max_size=8))
def test_records_are_read_together_as_they_are_alone(records):
    reader = TableReader(CONTRACT)
    assert_same(reader.read(records), [reader._read_all([record]) for record in records])


@settings(max_examples=100, deadline=None)
@given(records=st.lists(GOOD, min_size=2, max_size=8))
def test_records_are_encoded_together_as_they_are_alone(predictor, records):
    alone = np.concatenate([predictor.encode_record(record) for record in records])
    np.testing.assert_array_equal(predictor.encode_records(records), alone)


def test_plain_records_are_encoded_without_typed_texts(predictor):
    plain = [RECORDS[0], RECORDS[1], {**RECORDS[0], "fee": None, "city": None, "opened": None}]
    by_column = TableReader(CONTRACT).raw_columns
    assert predictor._encode_plain(by_column(plain)) is not None
    for strange in (
        {**plain[0], "city": 28},
        {**plain[0], "city": ["a"]},
        {**plain[0], "age": True},
    ):
        assert predictor._encode_plain(by_column([*plain, strange])) is None
    assert predictor._encode_plain(by_column([*plain, 5])) is None


def test_plain_records_take_the_short_way():
    reader = TableReader(CONTRACT)
    plain = [RECORDS[0], RECORDS[1], {**RECORDS[0], "fee": None, "city": None, "opened": None}]
    short = reader._read_plain(plain)
    assert short is not None
    assert_same(short, [reader._read_all([record]) for record in plain])
    assert reader._read_plain([*plain, RECORDS[2]]) is None  # a number written as text


def test_a_contract_of_one_column_is_read():
    reader = TableReader(Contract(columns={"x": Column(type="number")}))
    np.testing.assert_array_equal(reader.read([{"x": 1}, {"x": None}])["x"], [1, np.nan])


def test_all_that_is_wrong_is_listed_by_row():
    records = [
        RECORDS[0],
        {**RECORDS[0], "age": 17.5, "fee": "much"},
        [1, 2],
        {"age": 30, "fees": 1, "city": None, "opened": None},
        {**RECORDS[0], "age": 10**400},
    ]
    with pytest.raises(RecordsError) as caught:
        TableReader(CONTRACT).read(records)
    found = {(v.row, v.column, v.value[:8], v.rule) for v in caught.value.violations}
    assert found == {
        (1, "age", "17.5", "in [18, 90]"),
        (1, "age", "17.5", "whole number"),
        (1, "fee", "much", "type number"),
        (2, "", "[1, 2]", "an object of column: value"),
        (3, "fee", "", "must be given, null if not known"),
        (3, "fees", "1", "no column of the contract"),
        (4, "age", "10000000", "type number"),
    }
    assert [v.row for v in caught.value.violations] == sorted(
        v.row for v in caught.value.violations
    )
    assert "row 2 must be an object of column: value, got list" in str(caught.value)


def test_what_a_reader_remembers_is_bounded():
    reader = Reader(Column(type="category"), frozenset())
    for number in range(MAX_REMEMBERED_TEXTS + 10):
        assert reader.read(f"c{number}") == f"c{number}"
    assert len(reader._remembered) == MAX_REMEMBERED_TEXTS
    other = Reader(Column(type="category"), frozenset())
    other.read("x" * (MAX_REMEMBERED_LENGTH + 1))
    assert not other._remembered


def test_codes_that_are_remembered_are_bounded_and_right():
    column = Column(type="category", aliases={"x": "a"})
    reader = CodeReader(Reader(column, frozenset()), {"a": 0, "": 1})
    for _ in range(2):
        np.testing.assert_array_equal(reader.read_all(["a", None, "x", "b"]), [0, 1, 0, -1])
    reader.read_all([f"c{number}" for number in range(MAX_REMEMBERED_TEXTS)])
    reader.read_all(["d" * (MAX_REMEMBERED_LENGTH + 1)])
    assert len(reader._remembered) == 4
    np.testing.assert_array_equal(reader.read_all(["c7", "a"]), [-1, 0])
    for strange in (1, True, 1.5, ["a"]):
        assert reader.read_all(["a", strange]) is None
