"""Each change of a table is named, and breaks where training on it would stop."""

import os

import pyarrow as pa
import pytest

from tabular.contract import Column
from tabular.problem import Problem
from tabular.settings import Candidate, Gate, Search, Source, Split, Target
from tabular.tables.evolution import diff_table, newest_snapshot
from tabular.tables.profiles import MAX_CATEGORIES, profile_columns
from tabular.tables.snapshot import save_snapshot

N = 200


def problem(missing="refuse", **columns):
    return Problem(
        name="p",
        title="P",
        task="binary",
        target=Target(column="y", classes={"no": 0, "yes": 1}, positive="yes", missing=missing),
        columns={
            "age": Column(type="number", min=0, max=100),
            "city": Column(type="category", also_named=("town",)),
            "size": Column(type="category", categories=("S", "M"), unseen="refuse"),
            "note": Column(type="ignore"),
            **columns,
        },
        source=Source(kind="csv", path="a.csv"),
        split=Split(kind="random"),
        search=Search(metric="roc_auc", folds=2),
        candidates={"ridge": Candidate(estimator="ridge")},
        gates=(Gate(metric="latency_ms", max=9),),
    )


def table(**changes):
    columns = {
        "age": [str(i % 90) for i in range(N)],
        "city": ["Graz", "Linz"] * (N // 2),
        "size": ["S", "M"] * (N // 2),
        "y": ["0", "1"] * (N // 2),
    } | changes
    return pa.table({name: values for name, values in columns.items() if values is not None})


class Given:
    """A table in memory, in batches of 33 rows."""

    def __init__(self, rows):
        self.rows, self.names, self.n_rows = rows, tuple(rows.column_names), rows.num_rows

    def batches(self, columns):
        return iter(self.rows.select(columns).to_batches(max_chunksize=33))


def changes_of(rows, case=None, last=None):
    found = diff_table(case or problem(), Given(rows), last)
    return [(c.column, c.what, c.breaks) for c in found]


def some(value, share, of):
    n = round(N * share)
    return [value] * n + list(of)[n:]


AGES, CITIES, SIZES = table()["age"].to_pylist(), ["Graz", "Linz"] * 100, ["S", "M"] * 100


def test_same_table_has_no_change(tmp_path):
    last = save_snapshot(table().to_batches(), tmp_path, source="a", synthetic=False)
    assert changes_of(table(), last=newest_snapshot(tmp_path)) == []
    assert str(newest_snapshot(tmp_path)) == last.path


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (table(extra=["x"] * N), ("extra", "new column", False)),
        (table(city=None, town=CITIES), ("city", "other name", False)),
        (table().select(["y", "age", "city", "size"]), ("", "other order of columns", False)),
        (table(age=some("200", 0.005, AGES)), ("age", "values out of range", False)),
        (table(age=some("old", 0.01, AGES)), ("age", "values no number", False)),
        (table(city=None), ("city", "column gone", True)),
        (table(age=some("200", 0.02, AGES)), ("age", "values out of range", True)),
        (table(age=["old"] * N), ("age", "values no number", True)),
        (table(age=some("", 0.6, AGES)), ("age", "missing", True)),
        (table(size=some("L", 0.01, SIZES)),
         ("size", "categories that the contract does not list", True)),
        (table(y=None), ("y", "column gone", True)),
        (table(y=some("maybe", 0.01, ["0", "1"] * 100)),
         ("y", "classes that the target does not list", True)),
        (table(y=some("", 0.01, ["0", "1"] * 100)), ("y", "missing", True)),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_change_is_named_and_weighed(rows, expected):
    case = problem(age=Column(type="number", min=0, max=100, max_missing_share=0.5))
    assert expected in changes_of(rows, case)


def test_renamed_column_is_found_by_its_likeness():
    rows = table(age=None, agee=AGES)
    (gone,) = [c for c in diff_table(problem(), Given(rows), None) if c.breaks]
    assert gone.what == "column gone (did you mean 'agee'?)"
    assert "also_named" in gone.fix


def test_open_category_list_may_grow():
    case = problem(size=Column(type="category", categories=("S", "M")))
    (change,) = diff_table(case, Given(table(size=some("L", 0.1, SIZES))), None)
    assert (change.breaks, change.after) == (False, "['L'] (10.0%)")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"city": some("Wien", 0.1, CITIES)}, ("city", "new categories", False)),
        ({"city": some(None, 0.3, CITIES)}, {}, ("city", "fewer missing", False)),
        ({}, {"city": some(None, 0.3, CITIES)}, ("city", "more missing", False)),
        ({"age": [*map(int, AGES)]}, {}, ("age", "stored as another type", False)),
    ],
    ids=["wider", "fewer", "more", "stored"],
)
def test_change_since_the_last_snapshot_is_named(tmp_path, before, after, expected):
    save_snapshot(table(**before).to_batches(), tmp_path, source="a", synthetic=False)
    assert changes_of(table(**after), last=newest_snapshot(tmp_path)) == [expected]


def test_breaking_changes_come_first():
    rows = table(extra=["x"] * N, age=["old"] * N)
    assert [breaks for *_, breaks in changes_of(rows)] == [True, False]


def test_missing_target_is_no_break_where_it_is_dropped():
    rows = table(y=some("", 0.01, ["0", "1"] * 100))
    assert changes_of(rows, problem(missing="drop")) == []


def test_newest_snapshot_is_that_written_last(tmp_path):
    for number, name in enumerate(["b", "a"]):
        (tmp_path / f"{name}.parquet").touch()
        os.utime(tmp_path / f"{name}.parquet", (number, number))
    (tmp_path / ".unnamed-1.parquet").touch()
    assert newest_snapshot(tmp_path) == tmp_path / "a.parquet"
    assert newest_snapshot(tmp_path / "none") is None


def test_free_text_does_not_fill_the_memory():
    texts = [f"text {i}" for i in range(2 * MAX_CATEGORIES)]
    profile = profile_columns(problem(), pa.table({"city": texts}).to_batches())["city"]
    assert len(profile.categories) == MAX_CATEGORIES
    assert (profile.n_rows, profile.missing_share) == (2 * MAX_CATEGORIES, 0)
