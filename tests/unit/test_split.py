"""The parts together hold each row once, and nothing of the test part is seen in training."""

import math

import numpy as np
import pandas as pd
import pytest

from tabular.contract import Column
from tabular.errors import DataError
from tabular.problem import Problem
from tabular.settings import Candidate, Gate, Search, Source, Split, Target
from tabular.split import folds, group_ids, split_rows


def problem(kind, task="binary", **split):
    classes = {"no": 0, "yes": 1} if task == "binary" else {}
    return Problem(
        name="p",
        title="P",
        task=task,
        source=Source(kind="csv", path="a.csv"),
        target=Target(column="y", classes=classes, positive="yes" if classes else ""),
        columns={
            "row": Column(type="id"),
            "x": Column(type="number"),
            "c": Column(type="category"),
            "when": Column(type="date"),
        },
        split=Split(kind=kind, **split),
        search=Search(metric="roc_auc" if classes else "mae", folds=3),
        candidates={"ridge": Candidate(estimator="ridge")},
        gates=(Gate(metric="latency_ms", max=9),),
    )


def table(n=500, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "row": [str(i) for i in range(n)],
            "x": rng.integers(0, 20, n).astype(np.float32),
            "c": rng.choice(["a", "b", ""], n),
            "when": rng.integers(0, 60, n).astype(float),
            "y": (rng.random(n) < 0.2).astype(np.int64),
        }
    )


def frames(parts):
    return parts.train, parts.validation, parts.test


CASES = [
    problem("random"),
    problem("stratified"),
    problem("group"),
    problem("time", time_column="when"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.split.kind)
def test_parts_hold_every_row_once_in_order_and_repeat_with_the_seed(case):
    rows = table()
    before = rows.copy()
    parts, again = split_rows(rows, case), split_rows(rows, case)
    numbers = [part["row"].astype(int).to_numpy() for part in frames(parts)]
    assert sorted(np.concatenate(numbers).tolist()) == list(range(len(rows)))
    assert all((np.diff(part) > 0).all() for part in numbers)
    pd.testing.assert_frame_equal(rows, before)
    for part, same in zip(frames(parts), frames(again), strict=True):
        pd.testing.assert_frame_equal(part, same)


@pytest.mark.parametrize("kind", ["random", "stratified"])
def test_test_part_is_the_share_rounded_up(kind):
    parts = split_rows(table(501), problem(kind, test_share=0.2, validation_share=0.1))
    assert len(parts.test) == math.ceil(0.2 * 501)
    assert len(parts.validation) == pytest.approx(0.1 * 501, abs=2)


def test_another_split_seed_gives_another_split_and_the_models_seed_does_not():
    ours = problem("random")
    same = ours.model_copy(update={"seed": 7})
    a, b, c = (split_rows(table(), p) for p in (ours, same, problem("random", seed=7)))
    assert a.test["row"].tolist() == b.test["row"].tolist()
    assert a.test["row"].tolist() != c.test["row"].tolist()


def test_stratified_parts_have_the_same_share_of_each_class():
    parts = split_rows(table(1000), problem("stratified"))
    shares = [part["y"].mean() for part in frames(parts)]
    assert max(shares) - min(shares) < 0.01


def test_group_keeps_identical_rows_on_one_side():
    rows = table(600)  # 60 different (x, c): every one has copies
    rows.loc[::50, "x"] = np.nan  # missing equals missing
    parts = split_rows(rows, problem("group"))
    keys = [set(zip(p["x"].fillna(-1), p["c"], strict=True)) for p in frames(parts)]
    assert not (keys[0] & keys[1])
    assert not (keys[0] & keys[2])
    assert not (keys[1] & keys[2])
    assert len(parts.test) / len(rows) == pytest.approx(0.2, abs=0.06)


def test_group_columns_name_what_must_stay_together():
    parts = split_rows(table(400), problem("group", group_columns=("x",)))
    sides = [set(part["x"]) for part in frames(parts)]
    assert not (sides[0] & sides[1])
    assert not (sides[0] & sides[2])
    assert not (sides[1] & sides[2])


def test_group_ids_agree_exactly_where_the_rows_do():
    rows = table(300)
    ids = group_ids(rows, problem("group"))
    naive = {key: i for i, key in enumerate(dict.fromkeys(zip(rows["x"], rows["c"], strict=True)))}
    number = [naive[key] for key in zip(rows["x"], rows["c"], strict=True)]
    assert len(set(ids)) == len(naive) == len(set(zip(ids, number, strict=True)))


def test_time_puts_the_latest_rows_apart_and_parts_no_moment():
    rows = table(400)
    parts = split_rows(rows, problem("time", time_column="when"))
    assert parts.train["when"].max() < parts.validation["when"].min()
    assert parts.validation["when"].max() < parts.test["when"].min()
    assert len(parts.test) >= 0.2 * len(rows)


def test_time_keeps_rows_without_a_time_in_training():
    rows = table(400)
    rows.loc[:19, "when"] = np.nan
    parts = split_rows(rows, problem("time", time_column="when"))
    assert parts.train["when"].isna().sum() == 20


def test_a_part_without_rows_is_refused():
    rows = table(100)
    rows["when"] = np.nan
    with pytest.raises(DataError, match="kind time leaves no row for validation and test"):
        split_rows(rows, problem("time", time_column="when"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_minus_zero_is_the_same_group_as_zero(dtype):
    rows = table(4).assign(x=np.array([0.0, -0.0, 1.0, np.nan], dtype=dtype), c="a")
    ids = group_ids(rows, problem("group"))
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert np.signbit(rows["x"][1])


def test_one_group_is_refused():
    rows = table(100)
    rows["x"] = 1
    with pytest.raises(DataError, match=r"p: 100 rows cannot be split by kind group .*group col"):
        split_rows(rows, problem("group", group_columns=("x",)))


def test_a_class_with_one_row_cannot_be_stratified():
    rows = table(100)
    rows["y"] = 0
    rows.loc[3, "y"] = 1
    with pytest.raises(DataError, match=r"cannot be split by kind stratified .*take more rows"):
        split_rows(rows, problem("stratified"))


@pytest.mark.parametrize(
    "case", [*CASES, problem("random", task="regression")], ids=lambda p: f"{p.split.kind}-{p.task}"
)
def test_folds_are_of_the_kind_of_the_split(case):
    rows = table(300).sort_values("when", ignore_index=True)
    ids = group_ids(rows, case)
    cut = list(folds(rows, case))
    assert len(cut) == 3
    for train, test in cut:
        assert not set(train) & set(test)
        if case.split.kind == "group":
            assert not set(ids[train]) & set(ids[test])
        if case.split.kind == "time":
            assert rows["when"][train].max() <= rows["when"][test].min()
        if case.split.kind == "stratified":
            assert abs(rows["y"][train].mean() - rows["y"][test].mean()) < 0.03
