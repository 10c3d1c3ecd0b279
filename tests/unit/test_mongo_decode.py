"""BSON replies to Arrow batches, held against reading value by value."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from typing import Any

import bson
import pyarrow as pa
import pytest
from bson import Binary, Decimal128, Int64, ObjectId

from tabular.contract import UNREADABLE, Column, Contract, parse_columns
from tabular.mongo.decode import Decoder, Field
from tabular.mongo.ids import last_document, query_after
from tabular.mongo.reading import server_query
from tabular.mongo.values import text_of
from tabular.settings import Source

NUMBER, CATEGORY, ID = Column(type="number"), Column(type="category"), Column(type="id")
TIME, DATE = Column(type="time"), Column(type="date", format="%Y-%m-%d")
NOON = dt.datetime(2024, 5, 17, 12, 30)
OID = ObjectId("507f191e810c19729de860ea")


def reply(documents: Sequence[Mapping[str, Any]]) -> bytes:
    """Documents as a server sends them: end to end."""
    return b"".join(map(bson.encode, documents))


def decode(column: Column, *replies: Sequence[Any]) -> list[Any]:
    """The values of one column over several replies; `...` is a field that is not there."""
    decoder = Decoder([Field("x", column, ("x",))])
    batches = [
        decoder.decode(reply([{} if value is ... else {"x": value} for value in values]))
        for values in replies
    ]
    table = pa.Table.from_batches([decoder.widened(batch) for batch in batches])
    return table.column("x").to_pylist()


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (28, 28.0),
        (28.5, 28.5),
        (Int64(2**40), 2.0**40),
        (Decimal128("0.25"), 0.25),
        (" 12.5 ", 12.5),
        ("1e3", 1000.0),
        (True, 1.0),
        (None, None),
        (float("nan"), None),
        (Decimal128("NaN"), None),
        (..., None),
    ],
)
@pytest.mark.parametrize("beside", [1.0, Decimal128("7"), "7"])
def test_number_column_reads_what_is_a_number_whatever_stands_beside_it(
    value: Any, number: float | None, beside: Any
) -> None:
    """A number is read from each type that can hold one, and what is missing stays missing."""
    assert decode(NUMBER, [beside, value])[1] == number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abc", "abc"),
        (NOON, f"{UNREADABLE}2024-05-17 12:30:00"),
        (OID, f"{UNREADABLE}{OID}"),
        ([1], f"{UNREADABLE}[1]"),
        ({"a": 1}, f"{UNREADABLE}{{'a': 1}}"),
        (Binary(b"7"), f"{UNREADABLE}b'7'"),
    ],
)
def test_number_column_turns_to_text_at_a_value_that_is_no_number(value: Any, text: str) -> None:
    """Nothing becomes a silent NaN: the contract sees the value, and the numbers before it too."""
    read = decode(NUMBER, [1, 2.5, None], [value, True, Int64(3), "4.50"], [10**6, 0.1])
    assert read == ["1", "2.5", None, text, "1", "3", "4.5", "1000000", "0.1"]
    _, violations = parse_columns(Contract(columns={"x": NUMBER}), {"x": read})
    assert [v.row for v in violations] == [3]
    assert UNREADABLE not in violations[0].value


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (CATEGORY, "Delhi", "Delhi"),
        (CATEGORY, 28, "28"),
        (CATEGORY, 28.0, "28"),
        (CATEGORY, 28.5, "28.5"),
        (CATEGORY, Int64(2**60 + 1), str(2**60 + 1)),
        (CATEGORY, Decimal128("28.0"), "28"),
        (CATEGORY, True, "true"),
        (CATEGORY, False, "false"),
        (CATEGORY, float("nan"), None),
        (CATEGORY, OID, str(OID)),
        (ID, OID, str(OID)),
        (ID, 7, "7"),
        (TIME, NOON, "12:30:00"),
        (TIME, 0.5, "0.5"),
        (DATE, NOON, "2024-05-17"),
        (DATE, "2024-05-17", "2024-05-17"),
        (Column(type="date", format="%d.%m.%Y %H:%M"), NOON, "17.05.2024 12:30"),
    ],
)
@pytest.mark.parametrize("beside", ["text", 3, 0.5, True, NOON, OID, Decimal128("2")])
def test_text_column_writes_a_value_one_way_whatever_stands_beside_it(
    column: Column, value: Any, text: str | None, beside: Any
) -> None:
    """The same value gives the same text alone, in a field of one type, and in a mixed one."""
    assert decode(column, [value]) == [text]
    assert decode(column, [value] * 5, [beside] * 5 + [value])[10] == text
    assert decode(column, [beside] * 5, [value, None, ...])[5:] == [text, None, None]


def test_text_that_stands_for_missing_is_left_to_the_contract() -> None:
    """Which texts mean missing is the contract's to say, so it gets to see them."""
    read = decode(NUMBER, [1, "", "n/a"])
    typed, violations = parse_columns(
        Contract(columns={"x": NUMBER}, missing_values=("", "N/A")), {"x": read}
    )
    assert violations == []
    assert pa.array(typed["x"], from_pandas=True).to_pylist() == [1.0, None, None]


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, Binary(b"x")])
def test_category_that_is_no_single_value_breaks_the_contract(value: Any) -> None:
    """A list or a document is no category of its own."""
    read = decode(CATEGORY, ["a", "b", value])
    typed, violations = parse_columns(Contract(columns={"x": CATEGORY}), {"x": read})
    assert typed["x"].tolist() == ["a", "b", ""]
    assert [(v.row, v.rule) for v in violations] == [(2, "type category")]


def test_moment_beyond_the_calendar_breaks_the_contract() -> None:
    """BSON holds years that Python does not; such a row is refused, not the whole table."""
    raw = bson.encode({"x": NOON}) + bson.encode({"x": bson.datetime_ms.DatetimeMS(10**15)})
    batch = Decoder([Field("x", DATE, ("x",))]).decode(raw)
    read = batch.column("x").to_pylist()
    _, violations = parse_columns(Contract(columns={"x": DATE}), {"x": read})
    assert [v.row for v in violations] == [1]


def test_broken_utf8_is_read_with_a_mark() -> None:
    """A byte that is no text becomes the replacement character; Arrow would carry it on."""
    raw = bson.encode({"x": "caf#"}).replace(b"#", b"\xe9")
    batch = Decoder([Field("x", CATEGORY, ("x",))]).decode(raw)
    assert batch.column("x").to_pylist() == ["caf�"]


def test_absent_names_columns_that_no_document_has() -> None:
    """A field that is null or NaN somewhere is there; one that no document names is not."""
    fields = [Field(name, NUMBER, (name,)) for name in ("a", "b", "c", "age")]
    decoder = Decoder(fields)
    decoder.decode(reply([{"a": 1, "dosage": 2}, {"b": None}]))
    assert decoder.absent == {"c", "age"}
    decoder.decode(reply([{"c": float("nan")}]))
    assert decoder.absent == {"age"}


def test_first_of_a_columns_names_counts() -> None:
    """A column that goes by two names is read from the first that a document has."""
    decoder = Decoder([Field("x", NUMBER, ("x", "old x"))])
    read = decoder.decode(reply([{"x": 1, "old x": 9}, {"old x": 2}, {"x": None, "old x": 3}]))
    assert read.column("x").to_pylist() == [1.0, 2.0, 3.0]
    mixed = decoder.decode(reply([{"x": "1", "old x": 9}, {"old x": 2}, {"x": None, "old x": 3}]))
    assert mixed.column("x").to_pylist() == [1.0, 2.0, 3.0]


def test_random_replies_equal_reading_value_by_value() -> None:
    """Two thousand documents of every type, in replies of random size."""
    rng = random.Random(7)  # noqa: S311  # a test draws the same each time
    values = [None, 1, 2.5, "3", "x", True, NOON, OID, Decimal128("1.10"), [1], Int64(2**55), ...]
    columns = {"n": NUMBER, "c": CATEGORY, "i": ID, "t": TIME, "d": DATE}
    rows: list[dict[str, Any]] = []
    for _ in range(2000):
        kinds = values[:3] if len(rows) < 700 else values
        picked = {name: rng.choice(kinds) for name in columns}
        rows.append({name: value for name, value in picked.items() if value is not ...})
    decoder = Decoder([Field(name, column, (name,)) for name, column in columns.items()])
    batches, start = [], 0
    while start < len(rows):
        end = start + rng.randint(1, 90)
        batches.append(decoder.decode(reply(rows[start:end])))
        start = end
    table = pa.Table.from_batches([decoder.widened(batch) for batch in batches])
    for name, column in columns.items():
        oracle = [text_of(column, row.get(name)) for row in rows]
        assert table.column(name).to_pylist() == oracle


def test_last_document_is_found_among_many() -> None:
    """Also where a text holds what looks like the start of a document."""
    documents = [{"_id": n, "x": "\x10_id\0" * n} for n in range(50)]
    assert bson.decode(last_document(reply(documents))) == documents[-1]


def test_query_after_an_id_reaches_all_later_types() -> None:
    """A comparison finds values of its own type only, so later types are named."""
    clause = query_after("k", {"a": 1})
    assert clause["$and"][0] == {"a": 1}
    own, later = clause["$and"][1]["$or"]
    assert own == {"_id": {"$gt": "k"}}
    assert {"object", "objectId", "date"} <= set(later["_id"]["$type"])
    assert not {"string", "int", "double", "null"} & set(later["_id"]["$type"])


def test_query_of_the_yaml_may_name_ids_and_days() -> None:
    """A YAML date is midnight of that day; `$oid` and `$date` are read as in extended JSON."""
    query = {"_id": {"$gt": {"$oid": str(OID)}}, "day": {"$gte": dt.date(2024, 5, 17)}}
    query |= {"at": NOON, "word": {"$in": ["a", 1, 2.5, None, True]}}
    source = Source(kind="mongodb", database="d", collection="c", query=query)
    read = server_query(source)
    assert read["_id"] == {"$gt": OID}
    assert read["day"]["$gte"].replace(tzinfo=None) == dt.datetime(2024, 5, 17)
    assert read["at"].replace(tzinfo=None) == NOON
    assert read["word"] == query["word"]
