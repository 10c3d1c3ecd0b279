"""How a table's values are kept in a collection, and what `--load` refuses before it writes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bson import Decimal128

import run
from tabular.contract import Column, Contract, parse_columns
from tabular.errors import DataError
from tabular.mongo.loading import check_keys
from tabular.mongo.values import stored_value, text_of
from tabular.problem import Problem, load_problem

TOKENS = frozenset({"", "na"})
NUMBER, CATEGORY = Column(type="number"), Column(type="category")
DATE = Column(type="date", format="%d-%m-%Y")


@pytest.mark.parametrize(
    ("column", "raw", "stored"),
    [
        (NUMBER, "28", 28),
        (NUMBER, " 28.50 ", 28.5),
        (NUMBER, "1e3", 1000.0),
        (NUMBER, "abc", "abc"),
        (NUMBER, "inf", "inf"),
        (NUMBER, "9" * 30, float("9" * 30)),
        (NUMBER, "NA", None),
        (NUMBER, 5, 5),
        (NUMBER, Decimal("1.10"), Decimal128("1.10")),
        (CATEGORY, "28", "28"),
        (CATEGORY, " x ", " x "),
        (CATEGORY, "", None),
        (Column(type="id"), "007", "007"),
        (Column(type="time"), "24:05:00", "24:05:00"),
        (DATE, "17-05-2024", dt.datetime(2024, 5, 17)),
        (DATE, "7-5-2024", "7-5-2024"),
        (DATE, "no day", "no day"),
        (DATE, dt.date(2024, 5, 17), dt.datetime(2024, 5, 17)),
    ],
)
def test_stored_value_is_typed_where_nothing_is_lost(column: Column, raw: Any, stored: Any) -> None:
    """Numbers and dates are kept as such, what is missing as null, the rest as it came."""
    value = stored_value(column, raw, TOKENS)
    assert value == stored
    assert type(value) is type(stored)


@pytest.mark.parametrize("column", [NUMBER, CATEGORY, DATE, Column(type="time"), Column(type="id")])
@pytest.mark.parametrize("raw", ["28", "28.0", "0.1", "x", "", "17-05-2024", "12:30", "7-5-2024"])
def test_value_from_the_collection_reads_as_the_one_from_the_file(column: Column, raw: str) -> None:
    """The contract cannot tell where a value came from."""
    contract = Contract(columns={"x": column}, missing_values=("", "NA"))
    kept = stored_value(column, raw, contract.tokens(column))
    from_file, file_breaks = parse_columns(contract, {"x": [raw]})
    from_mongo, mongo_breaks = parse_columns(contract, {"x": [text_of(column, kept)]})
    assert pa.array(from_mongo["x"]).equals(pa.array(from_file["x"])) or (
        from_mongo["x"][0] != from_mongo["x"][0]
    )
    assert [(v.row, v.rule) for v in mongo_breaks] == [(v.row, v.rule) for v in file_breaks]


def problem_with_key(*key: str) -> Problem:
    """Shipped insurance problem with another key."""
    root = Path(__file__).parents[2]
    problem = load_problem("vehicle_insurance", root / "configs" / "problems")
    return problem.model_copy(update={"source": problem.source.model_copy(update={"key": key})})


@pytest.mark.parametrize(
    ("key", "ids", "ages", "says"),
    [
        (
            ("id",),
            ["1", "2", "1"],
            ["3", "3", "3"],
            r"id = 1 stands twice, in rows 1 and 3",
        ),
        (("id",), ["1", "", "3"], ["3", "3", "3"], r"row 2 has no key \(id = None\)"),
        (("id", "Age"), ["1", "1", "1"], ["3", "4", "4.0"], r"id = 1, Age = 4.* in rows 2 and 3"),
    ],
)
def test_key_that_does_not_tell_rows_apart_is_refused(
    key: tuple[str, ...], ids: list[str], ages: list[str], says: str
) -> None:
    """Before anything is written: the second row would overwrite the first, back and forth."""
    batch = pa.RecordBatch.from_pydict({"id": ids, "Age": ages})
    with pytest.raises(DataError, match=says):
        check_keys(problem_with_key(*key), [batch], "t.csv")


def test_key_that_tells_rows_apart_counts_them() -> None:
    """Over all batches."""
    batches = [pa.RecordBatch.from_pydict({"id": [str(n), str(n + 1)]}) for n in (1, 3, 5)]
    assert check_keys(problem_with_key("id"), batches, "t.csv") == 6


@pytest.mark.parametrize(
    ("uri", "kind", "says"),
    [
        ("", "mongodb", "--load: MONGODB_URI is not set; name the server"),
        ("mongodb://h", "csv", "source.kind of problem 'mine' is csv"),
    ],
)
def test_load_without_server_or_collection_says_which(
    uri: str,
    kind: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2 and one sentence."""
    text = (Path(run.ROOT) / "configs" / "problems" / "iris.yaml").read_text()
    if kind == "csv":
        head, _, tail = text.partition("source:\n")
        text = f"{head}source: {{kind: csv, path: x.csv}}\n\ntarget:{tail.partition('target:')[2]}"
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.setenv("MONGODB_URI", uri)
    assert run.main(["--load", "x.csv", "--problem", str(tmp_path / "mine.yaml")]) == 2
    assert says in capsys.readouterr().err
