"""The leak audit: its measures by hand or by a naive oracle, its rules by small planted tables."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tabular.contract import Column, Derivation
from tabular.errors import ConfigError, LeakError
from tabular.leaks.audit import LeakAudit, audit_leaks, refuse_leaks
from tabular.leaks.measures import (
    Inspected,
    agreement,
    inspect_columns,
    roc_auc,
    single_score,
    target_values,
)
from tabular.leaks.page import render_audit
from tabular.leaks.rows import count_copies, hidden_by_random_split
from tabular.leaks.rules import id_like, missing_effect
from tabular.leaks.splits import find_groups, split_scores
from tabular.leaks.sums import find_sum
from tabular.problem import Problem, load_problem

HOSTILE = "</td><script>alert(1)</script>{{ 7*7 }}"


def numbers(name: str, values: Any) -> Inspected:
    column = np.asarray(values, dtype=np.float64)
    codes, distinct = pd.factorize(column)
    return Inspected(name, codes, len(distinct), column)


def texts(name: str, values: Any) -> Inspected:
    codes, distinct = pd.factorize(np.asarray(values, dtype=object))
    return Inspected(name, codes, len(distinct))


def make_problem(columns: dict[str, Column], task: str = "binary", **parts: Any) -> Problem:
    """A problem on the given columns with target `y`; parts as in the YAML."""
    target: dict[str, Any] = {"column": "y"}
    if task != "regression":
        target["classes"] = {"no": 0, "yes": 1} if task == "binary" else {"a": 0, "b": 1, "c": 2}
    if task == "binary":
        target["positive"] = "yes"
    raw = {
        "name": "made",
        "title": "Made up",
        "task": task,
        "source": {"kind": "csv", "path": "-"},
        "target": target,
        "columns": columns,
        "split": {"kind": "random"},
        "search": {"metric": "r2" if task == "regression" else "accuracy"},
        "candidates": {"one": {"estimator": "ridge"}},
        "gates": [{"metric": "latency_ms", "max": 1}],
    }
    return Problem.model_validate({**raw, **parts})


def made(n: int = 600, seed: int = 0, **added: Any) -> tuple[pd.DataFrame, Problem]:
    """Rows with one honest feature, a binary target, and what is added; numbers or texts."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    rows = pd.DataFrame({"honest": (y + rng.normal(0, 1.5, n)).astype(np.float32)})
    columns = {"honest": Column(type="number")}
    for name, make in added.items():
        values = make(y, rng)
        is_text = np.asarray(values).dtype.kind in "OU"
        rows[name] = pd.Series(values, dtype="str") if is_text else values.astype(np.float32)
        columns[name] = Column(type="category" if is_text else "number")
    rows["y"] = y
    return rows, make_problem(columns)


def audited(rows: pd.DataFrame, problem: Problem, n_test: int = 100) -> LeakAudit:
    """The last rows are the test part, its target left out."""
    train = rows.iloc[:-n_test].reset_index(drop=True)
    return audit_leaks(train, rows.iloc[-n_test:].drop(columns="y"), problem)


def with_leaks(problem: Problem, **leaks: Any) -> Problem:
    settings = type(problem.leaks).model_validate({**problem.leaks.model_dump(), **leaks})
    return problem.model_copy(update={"leaks": settings})


# Measures


def test_agreement_of_a_hand_worked_table_is_chance() -> None:
    """Units {1,1} and {0,1}: observed disagreement 1/2 is what 3 ones in 4 give; alpha is 0."""
    seen = agreement(
        np.array([0, 0, 1, 1, 2, -1]), target_values(np.array([1, 1, 0, 1, 0, 0]), "binary")
    )
    assert seen.alpha == pytest.approx(0)
    assert seen.share == pytest.approx(4 / 5)
    assert seen.n_pairs == pytest.approx(1)


def naive_alpha(codes: np.ndarray, y: np.ndarray, is_number: bool) -> float:
    """Krippendorff's definition: disagreement of pairs in a unit, over that of all pairs."""
    units = [y[codes == code] for code in np.unique(codes)]
    units = [unit for unit in units if len(unit) > 1]
    rated = np.concatenate(units)

    def apart(a: float, b: float) -> float:
        return (a - b) ** 2 if is_number else float(a != b)

    def mean(values: np.ndarray) -> float:
        pairs = list(itertools.combinations(values, 2))
        return sum(apart(a, b) for a, b in pairs) / len(pairs)

    observed = sum(len(unit) * mean(unit) for unit in units) / len(rated)
    return 1 - observed / mean(rated)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("n_values", [3, 12, 40])
def test_agreement_is_krippendorffs_alpha(task: str, n_values: int) -> None:
    """The fast sums are the definition, pair by pair."""
    rng = np.random.default_rng(n_values)
    codes = rng.integers(0, n_values, 80)
    y = rng.integers(0, 3 if task == "multiclass" else 2, 80)
    if task == "regression":
        y = rng.normal(10, 3, 80) + codes
    fast = agreement(codes, target_values(y, task)).alpha
    assert fast == pytest.approx(naive_alpha(codes, y, task == "regression"))


@pytest.mark.parametrize("n_values", [2, 50, 1_000])
def test_agreement_of_random_values_is_near_zero_however_many_there_are(n_values: int) -> None:
    """What in-sample purity would call determined, chance explains."""
    rng = np.random.default_rng(1)
    seen = agreement(
        rng.integers(0, n_values, 2_000), target_values(rng.integers(0, 2, 2_000), "binary")
    )
    assert abs(seen.alpha) < 0.1


def test_unique_values_agree_about_nothing() -> None:
    """An identifier does not determine the target: no value of it stands twice."""
    seen = agreement(np.arange(50), target_values(np.arange(50) % 2, "binary"))
    assert (seen.alpha, seen.share) == (0.0, 0.0)


def test_roc_auc_is_scikit_learns_with_ties() -> None:
    rng = np.random.default_rng(0)
    y, scores = rng.integers(0, 2, 500), np.round(rng.normal(size=500), 1)
    assert roc_auc(y == 1, scores) == pytest.approx(roc_auc_score(y, scores))
    assert roc_auc(y == 7, scores) == 0.5


def test_single_score_of_many_random_categories_is_chance() -> None:
    """Learned and asked rows are apart: 500 categories in 2,000 rows say nothing."""
    rng = np.random.default_rng(2)
    target = target_values(rng.integers(0, 2, 2_000), "binary")
    column = texts("token", [f"t{i}" for i in rng.integers(0, 500, 2_000)])
    assert single_score(column, target, seed=0) == pytest.approx(0.5, abs=0.05)


def test_single_score_of_a_column_that_knows_one_class_only_stays_low() -> None:
    """Iris' trap: perfect for setosa, blind to the other two."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 600)
    column = numbers("petal", np.where(y == 0, 0.0, 5.0) + rng.normal(0, 0.1, 600))
    assert single_score(column, target_values(y, "multiclass"), seed=0) < 0.9


@pytest.mark.parametrize("bend", [np.exp, np.negative, np.abs])
def test_single_score_sees_through_a_recoding(bend: Any) -> None:
    """R2 near 1 for a function of the target, monotone or not."""
    y = np.random.default_rng(4).normal(0, 1, 3_000)
    y = np.abs(y) if bend is np.abs else y
    assert single_score(numbers("copy", bend(y)), target_values(y, "regression"), seed=0) > 0.98


# Sums


def test_sum_is_found_with_its_weights_and_nothing_else() -> None:
    """Target = 2a - 3b + 7 among noise columns: these two, their weights, R2 1."""
    rng = np.random.default_rng(5)
    a, b = rng.normal(100, 20, 400), rng.normal(5, 1, 400)
    noise = [numbers(f"n{i}", rng.normal(size=400)) for i in range(6)]
    total = find_sum(
        [*noise, numbers("a", a), numbers("b", b)], target_values(2 * a - 3 * b + 7, "regression")
    )
    assert total is not None
    assert dict(zip(total.columns, total.weights, strict=True)) == pytest.approx({"a": 2, "b": -3})
    assert total.r2 == pytest.approx(1)


def test_small_difference_of_two_large_columns_is_found() -> None:
    """Each alone says nothing: a greedy search would start elsewhere."""
    rng = np.random.default_rng(6)
    a, y = rng.normal(1_000, 300, 500), rng.normal(0, 1, 500)
    total = find_sum([numbers("out", a + y), numbers("in", a)], target_values(y, "regression"))
    assert total is not None
    assert total.weights == pytest.approx((1, -1)) or total.weights == pytest.approx((-1, 1))


def test_product_is_found_as_powers() -> None:
    """Distance = speed * time."""
    rng = np.random.default_rng(7)
    speed, hours = rng.lognormal(3, 0.5, 400), rng.lognormal(0, 0.8, 400)
    total = find_sum(
        [numbers("speed", speed), numbers("hours", hours)],
        target_values(speed * hours, "regression"),
    )
    assert total is not None
    assert total.is_product
    assert total.weights == pytest.approx((1, 1))


@pytest.mark.parametrize("n_columns", [3, 60])
def test_noise_is_no_sum_even_with_many_columns(n_columns: int) -> None:
    """120 rows: 60 columns would fit them in sample."""
    rng = np.random.default_rng(8)
    columns = [numbers(f"n{i}", rng.normal(size=120)) for i in range(n_columns)]
    assert find_sum(columns, target_values(rng.normal(size=120), "regression")) is None


def test_sum_of_columns_with_gaps_is_found_on_whole_rows() -> None:
    rng = np.random.default_rng(9)
    a, b = rng.normal(size=600), rng.normal(size=600)
    y = a + b
    a[rng.random(600) < 0.2] = np.nan
    total = find_sum([numbers("a", a), numbers("b", b)], target_values(y, "regression"))
    assert total is not None
    assert set(total.columns) == {"a", "b"}


# Identifiers and gaps


@pytest.mark.parametrize(
    ("values", "is_id"),
    [
        (np.random.default_rng(0).permutation(400) + 10_000.0, True),
        (np.arange(400) * 7.5, True),
        (np.arange(400)[::-1] * 1.0, True),
        (np.random.default_rng(0).normal(size=400), False),
        (np.floor(np.random.default_rng(0).lognormal(10, 1, 400)), False),
        (np.repeat(np.arange(8.0), 50), False),
    ],
    ids=["shuffled counter", "rising", "falling", "measure", "income", "sorted grade"],
)
def test_id_like_tells_counters_from_measures(values: np.ndarray, is_id: bool) -> None:
    """Unique, whole and even, or in step with the rows; a skewed amount is neither."""
    _, problem = made()
    assert bool(id_like([numbers("n", values)], problem)) is is_id


def test_missing_effect_is_the_difference_of_missing_shares() -> None:
    """Missing in 60 of 100 positives and 10 of 100 negatives: 0.5."""
    y = np.repeat([1, 0], 100)
    mask = np.concatenate([np.arange(100) < 60, np.arange(100) < 10])
    assert missing_effect(mask, target_values(y, "binary")) == pytest.approx(0.5)


def test_missing_effect_of_a_rare_but_pure_side_is_one() -> None:
    """Known in 50 of 500 positives and in no negative: a small difference, a whole leak."""
    y = np.repeat([1, 0], [500, 1_500])
    mask = np.arange(2_000) >= 50
    assert missing_effect(mask, target_values(y, "binary")) == pytest.approx(1.0)


def test_missing_effect_of_few_or_random_gaps_is_nothing() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 1_000)
    assert missing_effect(rng.random(1_000) < 0.3, target_values(y, "binary")) == 0
    assert missing_effect(np.arange(1_000) < 5, target_values(y, "binary")) == 0


# Rows and splits


def test_copies_are_what_a_naive_count_says() -> None:
    rows, problem = made(n=300, grade=lambda _y, rng: rng.integers(0, 3, 300))
    rows["honest"] = np.round(rows["honest"])
    train, test = rows.iloc[:200], rows.iloc[200:].drop(columns="y")
    ours = [tuple(row) for row in train[["honest", "grade"]].to_numpy()]
    theirs = [tuple(row) for row in test[["honest", "grade"]].to_numpy()]
    copies = count_copies(train, test, problem)
    assert copies.n_across == sum(row in set(ours) for row in theirs)
    assert copies.copied_share == pytest.approx(1 - len({*ours, *theirs}) / 300)


def test_zero_and_minus_zero_are_one_value() -> None:
    rows, problem = made(n=20)
    rows["honest"] = np.float32(0)
    minus = rows.assign(honest=np.float32(-0.0))
    assert count_copies(rows, minus.drop(columns="y"), problem).n_across == 20


@pytest.mark.parametrize("n", [60, 500])
def test_noise_of_small_tables_is_no_hidden_order(n: int) -> None:
    """Five clean tables: what differs between the splits is chance, and is taken for it."""
    for seed in range(5):
        rows, problem = made(n=n, seed=seed, noise=lambda y, rng: rng.normal(size=len(y)))
        assert hidden_by_random_split(split_scores(rows, problem), problem) == []


def test_table_sorted_by_its_target_has_no_time_score() -> None:
    """Row order says nothing of time there; the reason is given in place of a score."""
    rows, problem = made()
    _, by_time, by_group = split_scores(rows.sort_values("y", ignore_index=True), problem)
    assert by_time.score is None
    assert "sorted by the target" in by_time.reason
    assert by_group.score is None


def test_groups_are_the_repeating_id_and_missing_ids_stand_alone() -> None:
    rows, _ = made(n=9)
    rows["owner"] = pd.Series(["a", "a", "b", "b", "b", "", "a", "a", ""], dtype="str")
    problem = make_problem({"honest": Column(type="number"), "owner": Column(type="id")})
    groups = find_groups(rows, problem)
    assert groups is not None
    assert groups.by == "owner"
    assert len(set(groups.ids)) == 4


def test_random_split_scores_the_same_rows_as_the_others() -> None:
    """Time's random score stands on the later third only."""
    rows, problem = made(n=900)
    random, by_time, _ = split_scores(rows, problem)
    assert (random.n_rows, by_time.n_rows) == (900, 300)
    assert by_time.score != by_time.random_score
    assert by_time.noise > 0


# The audit


def test_clean_table_has_no_finding_and_changes_nothing() -> None:
    rows, problem = made()
    before = rows.copy()
    assert audited(rows, problem).findings == ()
    pd.testing.assert_frame_equal(rows, before)


def test_one_leak_is_one_finding_with_the_fix() -> None:
    """A copy of the target would also determine it and answer alone: it is named once."""
    audit = audited(*made(copy=lambda y, _: 3 - y))
    (finding,) = audit.findings
    assert (finding.rule, finding.columns, finding.severity) == (
        "equals_target",
        ("copy",),
        "block",
    )
    assert "type: ignore for ['copy']" in finding.sentence
    assert "leaks.expected: ['copy']" in finding.sentence


def test_rule_that_is_off_gives_way_to_the_next() -> None:
    rows, problem = made(copy=lambda y, _: 3 - y)
    seen = []
    for rule in ("equals_target", "determines_target", "single_column"):
        seen += [f.rule for f in audited(rows, problem).findings]
        problem = with_leaks(problem, **{rule: "off"})
    assert seen == ["equals_target", "determines_target", "single_column"]
    assert audited(rows, problem).findings == ()


def test_expected_column_is_measured_but_not_judged() -> None:
    rows, problem = made(copy=lambda y, _: 3 - y)
    audit = audited(rows, with_leaks(problem, expected=("copy",)))
    assert audit.findings == ()
    assert [c.name for c in audit.columns if c.is_expected] == ["copy"]


def test_rule_set_to_warn_lets_the_run_go_on() -> None:
    rows, problem = made(copy=lambda y, _: 3 - y)
    audit = audited(rows, with_leaks(problem, equals_target="warn"))
    assert [f.severity for f in audit.findings] == ["warn"]
    refuse_leaks(audit, page="page.html")


def test_blocking_leak_is_refused_with_columns_fix_and_page() -> None:
    """Exit code 1, as a gate; the report's facts are JSON."""
    rows, problem = made(copy=lambda y, _: 3 - y, pair=lambda y, _: y * 2)
    with pytest.raises(
        LeakError, match=r"2 findings.*'copy'.*type: ignore.*See page\.html"
    ) as caught:
        refuse_leaks(audited(rows, problem), page="page.html")
    assert caught.value.exit_code == 1
    facts = json.loads(json.dumps(dict(caught.value.facts)))
    assert facts["verdict"]["accepted"] is False
    assert {f["columns"][0] for f in facts["leaks"]["findings"]} == {"copy", "pair"}


def test_column_named_as_after_outcome_blocks_only_where_a_prediction_reads_it() -> None:
    """As a feature, or through a derivation; not where it is left out of the model."""
    rows, problem = made(late=lambda _y, rng: rng.normal(size=600))
    named = with_leaks(problem, after_outcome=("late",))
    assert [f.rule for f in audited(rows, named).findings] == ["known_after_outcome"]
    hidden = named.columns["late"].model_copy(update={"feature": False})
    unread = named.model_copy(update={"columns": {**named.columns, "late": hidden}})
    assert audited(rows, unread).findings == ()
    derived = unread.model_copy(
        update={"derive": {"log_late": Derivation(function="log1p", inputs=("late",))}}
    )
    assert [f.rule for f in audited(rows, derived).findings] == ["known_after_outcome"]


def test_derived_leak_is_taken_out_of_derive() -> None:
    """The fix names the part of the YAML that the column stands in."""
    rng = np.random.default_rng(0)
    end, start = rng.normal(50, 20, 500), rng.normal(20, 10, 500)
    rows = pd.DataFrame({"start": start, "end": end}).astype(np.float32).assign(y=end - start)
    problem = make_problem(
        {"start": Column(type="number"), "end": Column(type="number")},
        "regression",
        derive={"span": {"function": "difference", "inputs": ["end", "start"]}},
    )
    (first, *_) = audited(rows, problem).findings
    assert first.columns == ("span",)
    assert "take ['span'] out of derive" in first.sentence


def test_audit_is_the_same_again_and_in_any_order_of_test_rows() -> None:
    rows, problem = made(copy=lambda y, _: 3 - y)
    train, test = rows.iloc[:500], rows.iloc[500:].drop(columns="y")
    first = audit_leaks(train, test, problem)
    again = audit_leaks(train, test.iloc[::-1], problem)
    assert first.model_dump(exclude={"seconds"}) == again.model_dump(exclude={"seconds"})


@pytest.mark.parametrize("values", [np.nan, 1.0])
def test_column_without_values_or_with_one_is_no_leak(values: float) -> None:
    assert audited(*made(empty=lambda y, _: np.full(len(y), values))).findings == ()


def test_tiny_table_is_audited_without_an_alarm() -> None:
    assert audited(*made(n=60), n_test=20).findings == ()


def test_inspected_columns_are_the_models_inputs_with_gaps_marked() -> None:
    rows, problem = made(city=lambda y, _: np.array(["", "a", "b"] * (len(y) // 3), dtype=object))
    columns = {c.name: c for c in inspect_columns(rows, problem)}
    assert list(columns) == ["honest", "city"]
    assert columns["city"].codes[:3].tolist() == [-1, 0, 1]
    assert columns["city"].n_distinct == 2


# The page


def test_page_is_small_and_safe_with_many_hostile_names() -> None:
    """Two hundred columns and findings with markup in their names: under 100 KB, none of it run."""
    audit = audited(*made(copy=lambda y, _: 3 - y))
    names = [f"{HOSTILE}{i}" for i in range(200)]
    audit = audit.model_copy(
        update={
            "title": HOSTILE,
            "findings": tuple(
                audit.findings[0].model_copy(update={"columns": (name,), "sentence": name * 9})
                for name in names
            ),
            "columns": tuple(audit.columns[0].model_copy(update={"name": n}) for n in names),
        }
    )
    page = render_audit(audit)
    assert len(page.encode()) < 100_000
    assert "<script" not in page
    assert "160 more findings" in page


def test_page_shows_the_three_splits_and_why_one_is_left_out() -> None:
    page = render_audit(audited(*made()))
    for word in ("Random", "Time", "row order", "Group", "Not tried", "No leak found"):
        assert word in page


# The YAML


def test_unknown_column_under_leaks_is_refused_with_the_nearest(tmp_path: Any) -> None:
    """A misspelt name is refused; a column of type ignore may stay named as after_outcome."""
    text = """
title: t
task: regression
source: {kind: csv, path: a.csv}
target: {column: y}
columns: {paid: {type: ignore}, age: {type: number}}
split: {kind: random}
search: {metric: mae}
candidates: {one: {estimator: ridge}}
gates: [{metric: mae, max: 1}]
leaks: {after_outcome: [paid], expected: [AGE]}
"""
    (tmp_path / "made.yaml").write_text(text.replace("[AGE]", "[age]"))
    assert load_problem("made", tmp_path).leaks.after_outcome == ("paid",)
    (tmp_path / "made.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"leaks\.expected 'AGE'.*did you mean 'age'"):
        load_problem("made", tmp_path)
