"""Tables are read as they are, in batches, under the contract's names."""

import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tabular.contract import Column
from tabular.errors import ConfigError, DataError
from tabular.problem import Problem
from tabular.settings import Candidate, Gate, Search, Source, Split, Target
from tabular.sources import open_rows, read_sklearn
from tabular.tables.readers import open_table


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


HEADER, LINES = b"x,note,y\n", b"".join(b"%d,n,%d\n" % (i, i * 7) for i in range(100_000))


def test_gzip_is_read_as_the_plain_file_is(tmp_path):
    (tmp_path / "a.csv").write_bytes(HEADER + LINES)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(HEADER + LINES))
    assert read_all(tmp_path / "a.csv.gz").equals(read_all(tmp_path / "a.csv"))


@pytest.mark.parametrize("kept", [0.3, 0.999])
def test_gzip_that_breaks_off_is_refused(tmp_path, kept):
    packed = gzip.compress(HEADER + LINES)
    (tmp_path / "a.csv.gz").write_bytes(packed[: int(len(packed) * kept)])
    with pytest.raises(DataError, match=r"a\.csv\.gz: cannot be read as csv \(Truncated .*copy it"):
        read_all(tmp_path / "a.csv.gz")


@pytest.mark.parametrize(
    ("second", "part"),
    [
        (b"x,note,y\n", r"row 100000 is a second header.*Take that line out"),
        (b" y ,x,note\n", "row 100000 is a second header"),
        (b"x,remark,y\n", "row 100000 is a second header"),
        (b"x,note,extra,y\n", r"Row #100002: Expected 3 columns, got 4\)"),
        (b'1,"never closed,2\n' + LINES * 12, "a quote is never closed"),
    ],
    ids=["repeated", "reordered", "other-column", "wider", "quote"],
)
def test_csv_that_changes_midway_is_refused(tmp_path, second, part):
    (tmp_path / "a.csv").write_bytes(HEADER + LINES + second + LINES)
    with pytest.raises(DataError, match=part):
        read_all(tmp_path / "a.csv")


def test_value_that_equals_a_columns_name_is_no_header(tmp_path):
    (tmp_path / "a.csv").write_text("x,note,y\n1,x,2\n3,y,4\n")
    assert read_all(tmp_path / "a.csv").num_rows == 2


PARTS = {"b": {"x": [3], "y": ["c"]}, "a": {"x": [1, 2], "y": ["a", None]}}


def write_parts(folder, parts):
    for name, columns in parts.items():
        path = folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
    return folder


def test_parts_are_read_in_the_order_of_their_names(tmp_path):
    folder = write_parts(tmp_path / "t", PARTS)
    (folder / "_SUCCESS").touch()
    (folder / ".c.parquet").write_bytes(b"hidden")
    assert read_all(folder).to_pydict() == {"x": [1, 2, 3], "y": ["a", None, "c"]}
    assert open_table(str(folder)).n_rows == 3


def test_part_with_columns_in_another_order_or_without_values_fits(tmp_path):
    parts = {"a": {"x": [1], "y": pa.array([None])}, "b": {"y": ["b"], "x": [2]}}
    assert read_all(write_parts(tmp_path / "t", parts)).to_pydict() == {
        "x": [1, 2],
        "y": [None, "b"],
    }


def test_folders_with_a_value_in_their_name_give_a_column(tmp_path):
    parts = {
        "city=Graz/day=1/0": {"x": [1, 2]},
        "city=S%C3%A3o Paulo/day=2/0": {"x": [3]},
        "city=__HIVE_DEFAULT_PARTITION__/day=3/0": {"x": [4]},
    }
    table = read_all(write_parts(tmp_path / "t", parts)).to_pylist()
    assert sorted((row["x"], row["city"], row["day"]) for row in table) == [
        (1, "Graz", "1"), (2, "Graz", "1"), (3, "São Paulo", "2"), (4, None, "3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("other", "part"),
    [
        ({"x": [1], "z": ["a"]}, r"b\.parquet: this part has other columns .*\['y'\].*\['z'\]"),
        ({"x": ["one"], "y": ["a"]}, r"b\.parquet: column 'x' is string .* int64 in .*a\.parquet"),
    ],
)
def test_parts_that_differ_are_refused(tmp_path, other, part):
    folder = write_parts(tmp_path / "t", PARTS | {"b": other})
    with pytest.raises(DataError, match=part):
        open_table(str(folder))


def test_part_with_damaged_bytes_is_named(tmp_path):
    columns = {"x": list(range(50_000)), "y": [str(i) for i in range(50_000)]}
    folder = write_parts(tmp_path / "t", {"a": columns, "b": columns})
    data = bytearray((folder / "b.parquet").read_bytes())
    data[2_000:2_400] = b"\xff" * 400
    (folder / "b.parquet").write_bytes(data)
    with pytest.raises(DataError, match=r"b\.parquet: cannot be read as parquet"):
        read_all(folder)


def test_mongodb_without_a_server_is_read_otherwise(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    place = {"kind": "mongodb", "database": "d", "collection": "rows"}
    case = problem(**place, otherwise=Source(kind="csv", path="a.csv"))
    assert rows_of(case, tmp_path)[1].source == "a.csv"
    with pytest.raises(ConfigError, match=r"'rows'.*MONGODB_URI is not set; set MONGODB_URI"):
        rows_of(problem(**place), tmp_path)
