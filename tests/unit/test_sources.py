"""Tables are read as they are, and a snapshot's hash is that of its content."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular.contract import Column
from tabular.errors import ConfigError, DataError, StoreError
from tabular.problem import Problem
from tabular.settings import Candidate, Gate, Search, Source, Split, Target
from tabular.sources import load_table, read_file, read_sklearn, save_snapshot, table_sha256

TABLE = pa.table(
    {
        "x": pa.array([1.5, None, 3.0, 4.0, 5.0]),
        "s": ["a", None, "", "dd", "e" * 40],
        "n": [1, 2, 3, 4, 5],
    }
)


def problem(**source):
    return Problem(
        name="p",
        title="P",
        task="regression",
        source=Source(**source),
        target=Target(column="y"),
        columns={"x": Column(type="number", also_named=("ex",)), "note": Column(type="ignore")},
        split=Split(kind="random"),
        search=Search(metric="mae"),
        candidates={"ridge": Candidate(estimator="ridge")},
        gates=(Gate(metric="mae", max=9),),
    )


@settings(max_examples=60)
@given(st.lists(st.integers(0, 5), max_size=5))
def test_hash_does_not_depend_on_chunks_or_slices(cuts):
    cuts = [0, *sorted(cuts), 5]
    pieces = [TABLE.slice(a, b - a) for a, b in itertools.pairwise(cuts)]
    assert table_sha256(pa.concat_tables(pieces)) == table_sha256(TABLE)


def test_hash_does_not_depend_on_the_files_layout(tmp_path):
    hashes = set()
    for i, keys in enumerate(
        [{"row_group_size": 2}, {"compression": "zstd"}, {"use_dictionary": False}]
    ):
        pq.write_table(TABLE, tmp_path / f"{i}.parquet", **keys)
        hashes.add(table_sha256(read_file(tmp_path / f"{i}.parquet")))
    assert hashes == {table_sha256(TABLE)}


@pytest.mark.parametrize(
    "other",
    [
        TABLE.take([1, 0, 2, 3, 4]),
        TABLE.slice(0, 4),
        TABLE.rename_columns(["x", "s", "m"]),
        TABLE.select(["s", "x", "n"]),
        TABLE.set_column(2, "n", pa.array([1.0, 2, 3, 4, 5])),
        TABLE.set_column(1, "s", pa.array(["a", "", "", "dd", "e" * 40])),
    ],
    ids=["order", "rows", "name", "columns", "type", "missing"],
)
def test_hash_depends_on(other):
    assert table_sha256(other) != table_sha256(TABLE)


def test_csv_is_read_as_text_with_blanks_kept(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffid,Name\n007," a, ""b""\nc"\n1e3,\n'.encode())
    assert read_file(path).to_pydict() == {"id": ["007", "1e3"], "Name": [' a, "b"\nc', ""]}


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.csv", None, "there is no such file; check the path"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"x,y\n", "a header but no row"),
        ("a.csv", b"x,y\n1,2\n1,2,3\n", r"cannot be read as csv \(.*Expected 2 columns, got 3"),
        ("a.csv", b"PK\0\1", "binary file, not CSV"),
        ("a.csv", b"x,y\n\xe9\xff,2\n", r"cannot be read as csv \(.*UTF8"),
        ("a.xlsx", b"x", r"a \.csv or \.parquet file is needed; convert it"),
        ("a.parquet", b"no parquet here", r"cannot be read as parquet \("),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name, content, part):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=part):
        read_file(path)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"\.csv or \.parquet file is needed"):
        read_file(tmp_path)


def test_load_takes_the_problems_columns_under_its_names(tmp_path):
    (tmp_path / "a.csv").write_text("extra, ex ,y\n1,2,3\n")
    table, source, synthetic = load_table(
        problem(kind="csv", path="a.csv"), data=None, root=tmp_path
    )
    assert table.to_pydict() == {"x": ["2"], "y": ["3"]}
    assert (source, synthetic) == ("a.csv", False)


def test_load_prefers_the_file_that_is_named(tmp_path):
    (tmp_path / "b.csv").write_text("x,note,y\n9,n,8\n")
    case = problem(kind="csv", path="nowhere.csv")
    table, source, _ = load_table(case, data=tmp_path / "b.csv", root=tmp_path)
    assert table["x"].to_pylist() == ["9"]
    assert source == "b.csv"


def test_load_refuses_a_table_without_the_target(tmp_path):
    (tmp_path / "a.csv").write_text("x,yy\n1,2\n")
    with pytest.raises(DataError, match=r"columns missing: \['y'\] \(did you mean 'yy'\?\)"):
        load_table(problem(kind="csv", path="a.csv"), data=None, root=tmp_path)


def test_sklearn_tables_have_class_names_as_target():
    table = read_sklearn("iris")
    assert table.num_rows == 150
    assert sorted(set(table["target"].to_pylist())) == ["setosa", "versicolor", "virginica"]
    assert read_sklearn("diabetes").num_rows == 442


def test_an_unknown_sklearn_table_is_refused():
    with pytest.raises(ConfigError, match="no bundled table 'irys'; try 'iris'"):
        read_sklearn("irys")


def test_snapshot_is_named_by_its_content_and_written_once(tmp_path):
    first = save_snapshot(TABLE, tmp_path, source="a", synthetic=False)
    written = Path(first.path).stat().st_mtime_ns
    again = save_snapshot(TABLE, tmp_path, source="b", synthetic=True)
    assert first.path == again.path == str(tmp_path / f"{table_sha256(TABLE)[:16]}.parquet")
    assert Path(first.path).stat().st_mtime_ns == written
    assert (again.source, again.synthetic, again.n_rows) == ("b", True, 5)
    assert table_sha256(pq.read_table(first.path)) == first.sha256
    assert [path.name for path in tmp_path.iterdir()] == [Path(first.path).name]


def test_snapshot_in_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        save_snapshot(TABLE, tmp_path / "file", source="a", synthetic=False)


def test_hash_of_a_large_table_is_that_of_its_parts():
    big = pa.table({"x": np.arange(200_000), "s": [str(i) for i in range(200_000)]})
    pieces = [big.slice(i, 30_000) for i in range(0, 200_000, 30_000)]
    assert table_sha256(pa.concat_tables(pieces)) == table_sha256(big)
