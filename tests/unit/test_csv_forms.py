"""A CSV file is read however it is written, or refused."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tabular.errors import DataError
from tabular.settings import Source
from tabular.tables.csv_forms import SEPARATORS, CsvForm, find_form
from tabular.tables.readers import open_table

ROWS = [["größe", "a.b", "a b"], ["1,5", "x\ny", "no"], ["2,5", 'say "so"', ""]]


def written(separator: str, encoding: str) -> bytes:
    file = io.StringIO()
    csv.writer(file, delimiter=separator).writerows(ROWS)
    return file.getvalue().encode(encoding)


def rows_of(path: Path, **form: str) -> list[list[str]]:
    table = open_table(str(path), **form)
    rows = pa.Table.from_batches(table.batches(table.names))
    return [list(table.names), *map(list, zip(*rows.to_pydict().values(), strict=True))]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", SEPARATORS)
def test_form_is_found_in_the_file(separator: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(written(separator, encoding))
    assert rows_of(tmp_path / "a.csv") == ROWS


def test_eight_bit_encoding_must_be_named(tmp_path: Path) -> None:
    """Its bytes say nothing of which one it is."""
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(written(";", "cp1252")))
    with pytest.raises(DataError, match=r"a\.txt\.gz: cannot be read as csv"):
        rows_of(path)
    assert rows_of(path, encoding="cp1252") == ROWS


def test_encoding_that_lacks_a_byte_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n\x81,2\n")
    with pytest.raises(DataError, match="cannot be read as csv"):
        rows_of(tmp_path / "a.csv", encoding="cp1252")


def test_first_line_that_names_the_separator_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"sep=;\r\n" + written(";", "utf-8"))
    assert rows_of(tmp_path / "a.csv") == ROWS


def test_separator_that_is_given_counts() -> None:
    assert find_form(b"a;b\n1;2\n", separator=",") == CsvForm(",")


def test_cut_off_head_does_not_hide_the_separator() -> None:
    """The first bytes of a long file end anywhere: in the middle of a row, or within quotes."""
    head = b'a;b,c;d\n1;"x, y;z";2\n1;"x'
    assert find_form(head).separator == ";"


@given(st.lists(st.integers(0, 9_999), min_size=2, max_size=30))
def test_decimal_commas_do_not_look_like_separators(numbers: list[int]) -> None:
    lines = [f"{n};{n // 10},{n % 10};{n},5" for n in numbers]
    assert find_form("\n".join(["a;b;c", *lines, ""]).encode()).separator == ";"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"kind": "parquet", "separator": ";"}, "separator is for kind csv, got kind parquet"),
        ({"kind": "csv", "encoding": "utf-9"}, "encoding 'utf-9' is not known; such as utf-8"),
        ({"kind": "csv", "separator": "x"}, "separator"),
    ],
)
def test_form_that_cannot_be_is_refused(source: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Source(path="a", **source)
