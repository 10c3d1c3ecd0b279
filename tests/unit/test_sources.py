"""Tables are read as they are, in batches, under the contract's names."""

import pyarrow as pa
import pytest

from tabular.contract import Column
from tabular.errors import ConfigError, DataError
from tabular.problem import Problem
from tabular.readers import open_table
from tabular.settings import Candidate, Gate, Search, Source, Split, Target
from tabular.sources import open_rows, read_sklearn


def rows_of(problem, root, **keys):
    """All rows of a source as one table, and what else is said of them."""
    rows = open_rows(problem, **({"data": "", "root": root, "mongodb_uri": ""} | keys))
    table = pa.Table.from_batches(rows.batches)
    assert tuple(table.column_names) == rows.names
    return table, rows


def read_all(path):
    stored = open_table(str(path))
    return pa.Table.from_batches(stored.batches(stored.names))


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


def test_csv_is_read_as_text_with_blanks_kept(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffid,Name\n007," a, ""b""\nc"\n1e3,\n'.encode())
    assert read_all(path).to_pydict() == {"id": ["007", "1e3"], "Name": [' a, "b"\nc', ""]}


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.csv", None, "there is no such file; check the path"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"x,y\n", "a header but no row"),
        ("a.csv", b"x,y\n1,2\n1,2,3\n", r"cannot be read as csv \(.*Expected 2 columns, got 3"),
        ("a.csv", b"PK\0\1", "binary file, not CSV"),
        ("a.csv", b"x,y\n\xe9\xff,2\n", r"cannot be read as csv \(.*UTF8"),
        ("a.xlsx", b"x", r"a \.csv, .*is needed; convert it"),
        ("a.parquet", b"no parquet here", r"cannot be read as parquet \("),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name, content, part):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=part):
        read_all(path)


def test_a_folder_without_parts_is_refused(tmp_path):
    (tmp_path / "_SUCCESS").touch()
    with pytest.raises(DataError, match=r"no \.parquet part is in this folder; name a \.csv"):
        open_table(str(tmp_path))


def test_rows_have_the_problems_columns_under_its_names(tmp_path):
    (tmp_path / "a.csv").write_text("extra, ex ,y\n1,2,3\n")
    table, rows = rows_of(problem(kind="csv", path="a.csv"), tmp_path)
    assert table.to_pydict() == {"x": ["2"], "y": ["3"]}
    assert (rows.source, rows.synthetic, rows.n_rows) == ("a.csv", False, None)


def test_rows_come_from_the_table_that_is_named(tmp_path):
    (tmp_path / "b.csv").write_text("x,note,y\n9,n,8\n")
    case = problem(kind="csv", path="nowhere.csv")
    table, rows = rows_of(case, tmp_path, data=str(tmp_path / "b.csv"))
    assert table["x"].to_pylist() == ["9"]
    assert rows.source == "b.csv"


def test_rows_without_the_target_are_refused_where_it_is_needed(tmp_path):
    (tmp_path / "a.csv").write_text("x,yy\n1,2\n")
    case = problem(kind="csv", path="a.csv")
    with pytest.raises(DataError, match=r"columns missing: \['y'\] \(did you mean 'yy'\?\)"):
        rows_of(case, tmp_path, needs_target=True)
    assert rows_of(case, tmp_path)[1].names == ("x",)


def test_sklearn_tables_have_class_names_as_target():
    table = read_sklearn("iris")
    assert table.num_rows == 150
    assert sorted(set(table["target"].to_pylist())) == ["setosa", "versicolor", "virginica"]
    assert read_sklearn("diabetes").num_rows == 442


def test_an_unknown_sklearn_table_is_refused():
    with pytest.raises(ConfigError, match="no bundled table 'irys'; try 'iris'"):
        read_sklearn("irys")
