"""Bad rows are parted from good ones, each with its reason; what cannot be learned is refused."""

import datetime as dt
import itertools
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular.checks import table as contract_check
from tabular.checks.quarantine import check_rows, check_table, refuse_too_many
from tabular.checks.targets import parse_target
from tabular.checks.variety import Variety
from tabular.contract import Column
from tabular.errors import DataError
from tabular.problem import Problem
from tabular.settings import Candidate, Gate, Search, Source, Split, Target
from tabular.tables.frames import frame_columns, to_values
from tabular.tables.snapshot import save_snapshot

YES_NO = Target(column="y", classes={"no": 0, "yes": 1}, positive="yes")


def problem(columns, target=YES_NO, task="binary", **keys):
    return Problem(
        name="p",
        title="P",
        task=task,
        target=target,
        columns=columns,
        source=Source(kind="csv", path="a.csv"),
        split=Split(kind="random"),
        search=Search(metric="roc_auc" if task == "binary" else "mae", folds=2),
        candidates={"ridge": Candidate(estimator="ridge")},
        gates=(Gate(metric="latency_ms", max=9),),
        **keys,
    )


def refused_rules(column, values):
    table = pa.table({"c": values, "y": ["0"] * len(values)})
    rows, refused, quarantine = check_rows(table, problem({"c": column}))
    assert len(rows) + quarantine.n_refused == len(values)
    return [tuple(line) for line in refused[["row", "value", "rule"]].to_numpy().tolist()]


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        (
            Column(type="number", min=0, max=9),
            ["1", "-1", "10", ""],
            [(1, "-1", "in [0, 9]"), (2, "10", "in [0, 9]")],
        ),
        (Column(type="number", max=9), ["10"], [(0, "10", "in [-inf, 9]")]),
        (Column(type="number", integer=True), ["1", "1.5", ""], [(1, "1.5", "whole number")]),
        (Column(type="number", required=True), ["1", "NA"], [(1, "NA", "required")]),
        (Column(type="category", required=True), ["a", " "], [(1, " ", "required")]),
        (
            Column(type="category", categories=("a", "1"), unseen="refuse"),
            ["a", "1.0", "b", ""],
            [(2, "b", "one of ['a', '1']")],
        ),
        (Column(type="category", categories=("a",)), ["a", "b"], []),
        (Column(type="id", unique=True), ["1", "2", "1", "", ""], [(2, "1", "unique")]),
        (Column(type="number", unique=True), ["1", "", "", "1"], [(3, "1", "unique")]),
        (Column(type="number"), ["one"], [(0, "one", "type number")]),
        (Column(type="time"), ["25:00", "1"], [(0, "25:00", "type time")]),
        (Column(type="number", min=0, out_of_range="missing"), ["-1", "1"], []),
    ],
    ids=[
        "range",
        "max",
        "integer",
        "required",
        "required-text",
        "unseen",
        "allowed",
        "unique-id",
        "unique-number",
        "number",
        "time",
        "out-of-range-missing",
    ],
)
def test_a_broken_rule_is_listed_with_row_value_and_rule(column, values, expected):
    assert refused_rules(column, values) == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["-1", "0", "5", "10", "11", "", "x", "nan", "2.5"]), min_size=1))
def test_kept_rows_are_those_a_naive_check_keeps(values):
    def is_good(text):
        if text in ("", "nan"):
            return True
        try:
            return 0 <= float(text) <= 10 and float(text) % 1 == 0
        except ValueError:
            return False

    table = pa.table({"c": values, "y": ["1"] * len(values)})
    rows, _, quarantine = check_rows(
        table, problem({"c": Column(type="number", min=0, max=10, integer=True)})
    )
    naive = [float(v) if v not in ("", "nan") else None for v in values if is_good(v)]
    assert [None if np.isnan(x) else x for x in rows["c"]] == naive
    assert quarantine.n_refused == len(values) - len(naive)


def test_a_row_with_two_broken_values_is_refused_once():
    table = pa.table({"a": ["x", "1"], "b": ["y", "2"], "y": ["7", "1"]})
    rows, refused, quarantine = check_rows(
        table, problem({"a": Column(type="number"), "b": Column(type="number")})
    )
    assert len(rows) == 1
    assert refused["row"].tolist() == [0, 0, 0]
    assert refused["column"].tolist() == ["a", "b", "y"]
    assert quarantine.n_refused == 1
    assert quarantine.by_rule == {
        "a: type number": 1,
        "b: type number": 1,
        "y: target: one of [0, 1]": 1,
    }


def test_shares_of_missing_and_out_of_range_values_are_counted():
    column = Column(type="number", min=1, max=5, out_of_range="missing")
    table = pa.table({"c": ["1", "6", "", "5"], "y": ["0", "1", "0", "1"]})
    rows, _, quarantine = check_rows(table, problem({"c": column}))
    assert len(rows) == 4
    assert quarantine.missing_share == {"c": 0.5}
    assert quarantine.out_of_range_share == {"c": 0.25}


def test_too_many_missing_values_are_refused():
    table = pa.table({"c": ["1", "", ""], "y": ["0", "1", "0"]})
    with pytest.raises(DataError, match=r"'c' is missing in 66\.7% .*is 50\.0%.*raise the share"):
        check_rows(table, problem({"c": Column(type="number", max_missing_share=0.5)}))


def test_too_many_refused_rows_stop_the_run_with_the_reasons():
    case = problem({"c": Column(type="number", min=0)}, max_refused_share=0.4)
    table = pa.table({"c": ["1", "-3", "x", "2"], "y": ["0", "1", "0", "1"]})
    _, refused, quarantine = check_rows(table, case)
    with pytest.raises(DataError, match=r"p: 2 of 4 rows \(50\.0%\) .*is 40\.0%: .*type number"):
        refuse_too_many(quarantine, refused, case)
    refuse_too_many(quarantine, refused, case.model_copy(update={"max_refused_share": 0.5}))


def test_target_classes_become_places_whatever_their_form():
    for values in (["0", "1.0", "1"], [0, 1, 1], [0.0, 1.0, 1.0]):
        places, broken = parse_target(problem({"c": Column(type="number")}), np.array(values))
        assert places.tolist() == [0, 1, 1]
        assert broken == {}


def test_target_of_regression_keeps_to_its_range():
    target = Target(column="y", min=0, max=60)
    case = problem({"c": Column(type="number")}, target, "regression")
    values, broken = parse_target(case, np.array(["5", "61", "inf", "x"], dtype=object))
    assert values.dtype == np.float64
    assert values[0] == 5
    assert broken == {1: "target: in [0, 60]", 2: "target: number", 3: "target: number"}


def test_a_missing_target_is_refused_or_dropped_as_the_yaml_says():
    columns = {"c": Column(type="number")}
    table = pa.table({"c": ["1", "2", "3"], "y": pa.array(["1", None, "NaN "])})
    with pytest.raises(DataError, match=r"'y' is missing in 2 of 3 .*row 1.*target\.missing: drop"):
        check_rows(table, problem(columns))
    dropping = problem(columns, YES_NO.model_copy(update={"missing": "drop"}))
    rows, refused, _ = check_rows(table, dropping)
    assert len(rows) == 1
    assert refused["row"].tolist() == [1, 2]
    assert set(refused["rule"]) == {"target: missing"}


def refuse_unlearnable(rows, case):
    variety = Variety(case)
    for start in range(0, len(rows), 5):
        variety.add(rows.iloc[start : start + 5])
    variety.refuse_unlearnable()


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        ({"c": [1, 2], "y": [0, 1]}, "2 rows are too few; at least 8"),
        ({"c": range(12), "y": [0] * 12}, r"0 rows of class 'yes' \(1\); at least 4 of each"),
        ({"c": range(12), "y": [0] * 10 + [1] * 2}, "2 rows of class 'yes'"),
        ({"c": [5.0] * 12, "y": [0, 1] * 6}, r"\['c'\] hold one value .*`type: ignore`"),
    ],
)
def test_what_cannot_be_learned_is_refused(rows, part):
    with pytest.raises(DataError, match=part):
        refuse_unlearnable(pd.DataFrame(rows), problem({"c": Column(type="number")}))


def test_a_constant_target_is_refused():
    case = problem({"c": Column(type="number")}, Target(column="y"), "regression")
    with pytest.raises(DataError, match="'y' is 3 in every row; there is nothing to learn"):
        refuse_unlearnable(pd.DataFrame({"c": range(12), "y": [3.0] * 12}), case)


def test_what_can_be_learned_passes():
    rows = pd.DataFrame({"c": range(12), "y": [0, 1] * 6})
    refuse_unlearnable(rows, problem({"c": Column(type="number")}))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None]), [1.0, None]),
        (pa.array(["a", None]), ["a", None]),
        (pa.array([True, None]), [True, None]),
        (pa.array([dt.date(2022, 1, 1)]), [dt.date(2022, 1, 1)]),
        (pa.array([Decimal("1.5")]), [Decimal("1.5")]),
        (pa.array(["a", "b", None]).dictionary_encode(), ["a", "b", None]),
    ],
    ids=str,
)
def test_to_values_reads_every_arrow_type(column, expected):
    values = to_values(pa.chunked_array([column])).tolist()
    assert [None if value != value else value for value in values] == expected


def test_rows_give_back_the_typed_columns():
    case = problem(
        {
            "x": Column(type="number"),
            "s": Column(type="category"),
            "t": Column(type="time"),
            "n": Column(type="ignore"),
        }
    )
    table = pa.table({"x": ["1", ""], "s": ["a", None], "t": ["10:00", "x:y"], "y": ["1", "0"]})
    rows, _, _ = check_rows(table.slice(0, 1), case)
    columns = frame_columns(rows, case.contract)
    assert list(rows.columns) == ["x", "s", "t", "y"]
    assert columns["x"].dtype == columns["t"].dtype == np.float32
    assert columns["s"].dtype == object
    assert (columns["x"][0], columns["s"][0], columns["t"][0]) == (1, "a", 600)


MIXED = {
    "n": Column(type="number", min=0, max=9, integer=True, unique=True),
    "o": Column(type="number", min=0, max=5, out_of_range="missing"),
    "c": Column(type="category", categories=("a", "1"), unseen="refuse", required=True),
    "i": Column(type="id", unique=True),
    "t": Column(type="time"),
}
CELLS = st.sampled_from(["a", "1", "1.0", "", "NA", "x", "5", "-1", "3.5", "nan", "12:30", "7"])


def cells(values):
    """A column of texts, of whole numbers with gaps, or of floats with gaps."""
    return st.one_of(
        st.just(pa.array(values)),
        st.just(pa.array([len(v) if v else None for v in values])),
        st.just(pa.array([len(v) / 2 if v else None for v in values])),
    )


@st.composite
def tables(draw):
    n = draw(st.integers(1, 20))
    texts = st.lists(CELLS | st.none(), min_size=n, max_size=n)
    columns = {name: draw(cells(draw(texts))) for name in MIXED}
    target = st.lists(st.sampled_from(["0", "1", "7", None]), min_size=n, max_size=n)
    return pa.table(columns | {"y": pa.array(draw(target), pa.string())})


@settings(max_examples=40, deadline=None)
@given(tables(), st.lists(st.integers(0, 20), max_size=4))
def test_result_does_not_depend_on_how_a_table_is_cut(table, cuts):
    case = problem(MIXED, YES_NO.model_copy(update={"missing": "drop"}))
    cuts = [0, *sorted(min(cut, table.num_rows) for cut in cuts), table.num_rows]
    cut = pa.concat_tables([table.slice(a, b - a) for a, b in itertools.pairwise(cuts)])
    whole, again = check_rows(table, case), check_rows(cut, case)
    pd.testing.assert_frame_equal(whole[0], again[0])
    pd.testing.assert_frame_equal(whole[1], again[1])
    assert whole[2] == again[2]


def test_missing_target_is_counted_over_all_batches():
    table = pa.table({"c": ["1"] * 4, "y": ["1", "0", None, None]})
    pieces = pa.Table.from_batches(table.to_batches(max_chunksize=1))
    with pytest.raises(DataError, match=r"missing in 2 of 4 rows \(first: row 2\)"):
        check_rows(pieces, problem({"c": Column(type="number")}))


def test_large_whole_numbers_with_gaps_are_told_apart():
    table = pa.table({"c": pa.array([2**53, 2**53 + 1, None]), "y": ["0", "1", "0"]})
    rows, refused, _ = check_rows(table, problem({"c": Column(type="id", unique=True)}))
    assert rows["c"].tolist() == ["9007199254740992", "9007199254740993", ""]
    assert len(refused) == 0


def snapshot_of(columns, folder):
    batches = pa.table(columns).to_batches()
    return save_snapshot(batches, folder / "snapshots", source="a", synthetic=False)


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_checked_table_has_typed_rows_and_a_quarantine_file(tmp_path):
    case = problem({"c": Column(type="number", max=50)}, max_refused_share=0.5)
    snapshot = snapshot_of({"c": [*map(str, range(60))], "y": ["0", "1"] * 30}, tmp_path)
    checked, refused, quarantine = check_table(snapshot, case, home=tmp_path)
    assert pa.Table.from_batches(checked.batches())["c"].to_pylist() == [
        float(i) for i in range(51)
    ]
    assert checked.columns == ("c", "y")
    assert (quarantine.n_refused, quarantine.n_values, quarantine.n_listed) == (9, 9, 9)
    written = pd.read_csv(quarantine.file)
    assert written.iloc[0].tolist() == [51, "c", 51, "in [-inf, 50]"]
    pd.testing.assert_frame_equal(written.astype(str), refused.astype(str), check_dtype=False)


def test_quarantine_file_is_capped_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(contract_check, "MAX_LISTED_VALUES", 4)
    case = problem({"c": Column(type="number", max=50)}, max_refused_share=0.5)
    snapshot = snapshot_of({"c": [*map(str, range(60))], "y": ["0", "1"] * 30}, tmp_path)
    _, refused, quarantine = check_table(snapshot, case, home=tmp_path)
    assert (quarantine.n_refused, quarantine.n_values, quarantine.n_listed) == (9, 9, 4)
    assert quarantine.by_rule == {"c: in [-inf, 50]": 9}
    assert refused["row"].tolist() == [51, 52, 53, 54]


def test_refused_table_leaves_its_quarantine_and_no_rows(tmp_path):
    case = problem({"c": Column(type="number", max=5)}, max_refused_share=0.5)
    snapshot = snapshot_of({"c": [*map(str, range(60))], "y": ["0", "1"] * 30}, tmp_path)
    with pytest.raises(DataError, match="54 of 60 rows"):
        check_table(snapshot, case, home=tmp_path)
    assert files_in(tmp_path) == [
        f"quarantine/p/{snapshot.sha256[:16]}.csv",
        f"snapshots/{snapshot.sha256[:16]}.parquet",
    ]


def test_table_without_a_good_row_is_refused_for_its_rules(tmp_path):
    snapshot = snapshot_of({"c": ["x"] * 30, "y": ["0", "1"] * 15}, tmp_path)
    with pytest.raises(DataError, match=r"30 of 30 rows .*type number"):
        check_table(snapshot, problem({"c": Column(type="number")}), home=tmp_path)
