"""Candidates: defaults, refusals, the search, and resampling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tabular.candidates import Trial, build_pipeline, fit_pipeline, pipeline_answer, with_params
from tabular.contract import Feature
from tabular.errors import ConfigError, DataError
from tabular.estimators import check_candidate
from tabular.problem import Problem
from tabular.resampling import measure_resampling
from tabular.search import best_first, drawn_params, score, search_candidates
from tabular.settings import Candidate, Range

FEATURES = (
    Feature(name="width", kind="number"),
    Feature(name="colour", kind="category", categories=("red", "blue")),
    Feature(name="height", kind="number"),
)
FEW_TREES = {"n_estimators": 10}


def make_problem(task: str = "binary", metric: str = "brier", **candidates: Candidate) -> Problem:
    classes: dict[str, Any] = {"classes": {"no": 0, "yes": 1}, "positive": "yes"}
    return Problem.model_validate(
        {
            "name": "plants",
            "title": "Plants",
            "task": task,
            "seed": 7,
            "source": {"kind": "csv", "path": "plants.csv"},
            "target": {"column": "y", **(classes if task == "binary" else {})},
            "columns": {
                "width": {"type": "number", "min": 0, "max": 10},
                "colour": {"type": "category", "categories": ["red", "blue"]},
                "height": {"type": "number"},
            },
            "split": {"kind": "random"},
            "search": {"metric": metric, "folds": 2},
            "candidates": candidates or {"line": Candidate(estimator="logistic_regression")},
            "gates": [{"metric": "latency_ms", "max": 5}],
        }
    )


def make_rows(n: int = 300, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(5, 2, n), rng.integers(0, 3, n), rng.normal(size=n)])
    y = (X[:, 0] + 2 * (X[:, 1] == 1) + rng.normal(size=n) > 7).astype(np.int64)
    X[rng.random(n) < 0.1, 0] = np.nan
    return X.astype(np.float32), y


def two_folds(n: int) -> list[tuple[Any, Any]]:
    rows = np.arange(n)
    return [(rows[::2], rows[1::2]), (rows[1::2], rows[::2])]


def prepared(candidate: Candidate, X: Any) -> Any:
    pipeline = build_pipeline(candidate, FEATURES, task="binary", seed=7)
    return pipeline.named_steps["prepare"].fit_transform(X)


def test_prepare_linear_imputes_scales_and_writes_categories_as_columns() -> None:
    X = np.array([[1, 0, 5], [np.nan, 2, 6], [3, -1, 7]], dtype=np.float32)
    out = prepared(Candidate(estimator="logistic_regression"), X)
    # medians 2 and 6, interquartile ranges 1 and 1; red, blue, missing; unseen is none of them
    expected = [[-1, -1, 1, 0, 0], [0, 0, 0, 0, 1], [1, 1, 0, 0, 0]]
    np.testing.assert_allclose(out, expected)


def test_prepare_booster_leaves_the_input_as_it_is() -> None:
    X, _ = make_rows(20)
    for name in ("lightgbm", "catboost", "hist_gradient_boosting"):
        np.testing.assert_array_equal(prepared(Candidate(estimator=name), X), X)


def test_prepare_keeps_a_column_that_is_missing_everywhere() -> None:
    X = np.array([[np.nan, 0, 5], [np.nan, 1, 6]], dtype=np.float32)
    out = prepared(Candidate(estimator="random_forest"), X)
    np.testing.assert_allclose(out, [[0, 5, 0], [0, 6, 1]])


@pytest.mark.parametrize(
    ("task", "candidate", "words"),
    [
        ("binary", {"estimator": "lightgmb"}, "did you mean 'lightgbm'"),
        ("binary", {"estimator": "os.path"}, "below sklearn."),
        ("binary", {"estimator": "sklearn.ensemble.NoSuch"}, "cannot be imported"),
        ("binary", {"estimator": "sklearn.linear_model.Lasso"}, "needs one"),
        ("binary", {"estimator": "sklearn.svm.LinearSVC"}, "predict_proba"),
        ("binary", {"estimator": "ridge"}, "'ridge' is no classifier"),
        ("regression", {"estimator": "logistic_regression"}, "is no regressor"),
        (
            "binary",
            {"estimator": "sklearn.model_selection.TunedThresholdClassifierCV"},
            "decision.threshold",
        ),
        ("binary", {"estimator": "hist_gradient_boosting", "scale": "robust"}, "must be none"),
        ("binary", {"estimator": "random_forest", "impute": "none"}, "must be median"),
        ("regression", {"estimator": "lightgbm", "resample": "smote_enn"}, "needs classes"),
        (
            "binary",
            {"estimator": "lightgbm", "impute": "none", "resample": "smote_enn"},
            "needs impute median",
        ),
        (
            "binary",
            {"estimator": "sklearn.naive_bayes.GaussianNB", "resample": "class_weight"},
            "takes no class weights",
        ),
        ("binary", {"estimator": "random_forest", "params": {"max_deph": 3}}, "'max_depth'"),
        ("binary", {"estimator": "random_forest", "search": {"max_deph": [3]}}, "search.max_deph"),
        ("binary", {"estimator": "catboost", "params": {"cat_features": "1"}}, "no exact form"),
    ],
)
def test_check_candidate_refuses_with_the_fix(
    task: Any, candidate: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=r"candidates\.mine") as caught:
        check_candidate("mine", Candidate.model_validate(candidate), task)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale": "robust"}, "members of a stack"),
        ({"final": Candidate(estimator="ridge", scale="none")}, "members' answers"),
        ({"final": Candidate(estimator="rigde")}, "mine.final"),
        ({"members": {"a": Candidate(estimator="ridge", resample="smote_enn")}}, "mine.a.resample"),
    ],
)
def test_check_candidate_refuses_a_wrong_part_of_a_stack(
    change: dict[str, Any], words: str
) -> None:
    parts = {"members": {"a": Candidate(estimator="ridge")}, "final": Candidate(estimator="ridge")}
    stack = Candidate.model_validate({"estimator": "stacking", **parts, **change})
    with pytest.raises(ConfigError) as caught:
        check_candidate("mine", stack, "regression")
    assert words in str(caught.value)


def test_drawn_params_lie_in_their_ranges_and_follow_the_seed() -> None:
    candidate = Candidate(
        estimator="lightgbm",
        search={
            "num_leaves": Range(low=4, high=64, log=True, integer=True),
            "learning_rate": Range(low=0.01, high=0.3),
            "max_depth": (3, None),
        },
        n_trials=30,
    )
    drawn = drawn_params(candidate, 1)
    assert len(drawn) == 30
    assert drawn == drawn_params(candidate, 1) != drawn_params(candidate, 2)
    for params in drawn:
        assert isinstance(params["num_leaves"], int)
        assert 4 <= params["num_leaves"] <= 64
        assert isinstance(params["learning_rate"], float)
        assert 0.01 <= params["learning_rate"] <= 0.3
        assert params["max_depth"] in (3, None)


def test_drawn_params_of_short_lists_are_each_tried_once() -> None:
    candidate = Candidate(estimator="ridge", search={"alpha": (1, 10)}, n_trials=8)
    assert sorted(p["alpha"] for p in drawn_params(candidate, 0)) == [1, 10]
    assert drawn_params(Candidate(estimator="ridge"), 0) == [{}]


def test_with_params_reaches_the_parts_of_a_stack() -> None:
    member = Candidate(estimator="random_forest", search={"max_depth": (5,)})
    stack = Candidate(
        estimator="stacking", members={"forest": member}, final=Candidate(estimator="ridge")
    )
    (drawn,) = drawn_params(stack, 0)
    assert drawn == {"forest.max_depth": 5}
    changed = with_params(stack, {**drawn, "final.alpha": 2.0})
    assert changed.members["forest"].params == {"max_depth": 5}
    assert changed.final is not None
    assert changed.final.params == {"alpha": 2.0}


def test_search_reports_mean_and_sd_in_the_metrics_own_sign() -> None:
    line = Candidate(estimator="logistic_regression", search={"C": (0.01, 1.0)})
    problem = make_problem(line=line, flat=Candidate(estimator="sklearn.dummy.DummyClassifier"))
    X, y = make_rows()
    seen: list[Trial] = []
    trials = search_candidates(X, y, two_folds(300), FEATURES, problem, seen.append)
    assert list(trials) == seen
    assert [t.candidate for t in trials] == ["line", "line", "flat"]
    by_hand = []
    for train, test in two_folds(300):
        chosen = with_params(line, trials[0].params)
        fitted = build_pipeline(chosen, FEATURES, task="binary", seed=7).fit(X[train], y[train])
        by_hand.append(np.mean((fitted.predict_proba(X[test])[:, 1] - y[test]) ** 2))
    assert trials[0].mean == pytest.approx(np.mean(by_hand))
    assert trials[0].sd == pytest.approx(np.std(by_hand))
    assert best_first(trials, "brier")[0].candidate == "line"
    assert best_first(trials, "roc_auc")[0].candidate == "flat"  # as if more were better


def test_score_matches_numbers_worked_out_by_hand() -> None:
    answer, y = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]), np.array([0, 1, 1])
    assert score(make_problem(metric="brier"), answer, y) == pytest.approx((0.01 + 0.16 + 0.49) / 3)
    assert score(make_problem(metric="roc_auc"), answer, y) == 1.0
    assert score(make_problem(metric="f1"), answer, y) == 1.0  # at its best threshold, 0.3
    assert score(make_problem(metric="accuracy"), answer, y) == pytest.approx(2 / 3)
    ridge = {"m": Candidate(estimator="ridge")}
    values, truth = np.array([[1.0], [5.0]]), np.array([2.0, 2.0])
    assert score(make_problem("regression", "mae", **ridge), values, truth) == 2.0
    rmse = score(make_problem("regression", "rmse", **ridge), values, truth)
    assert rmse == pytest.approx(5**0.5)


def test_fit_pipeline_same_seed_same_answers() -> None:
    problem = make_problem(forest=Candidate(estimator="random_forest", params=FEW_TREES))
    X, y = make_rows()
    trial = Trial(candidate="forest", params={"max_depth": 3}, mean=0, sd=0, seconds=0)
    first, second = (fit_pipeline(problem, trial, FEATURES, X, y) for _ in range(2))
    assert first.named_steps["estimate"].max_depth == 3
    np.testing.assert_allclose(  # a forest's threads add up in any order
        pipeline_answer(first, X, "binary"), pipeline_answer(second, X, "binary"), rtol=1e-12
    )


def test_fit_pipeline_class_without_rows_is_refused() -> None:
    X, y = make_rows()
    trial = Trial(candidate="line", params={}, mean=0, sd=0, seconds=0)
    with pytest.raises(DataError, match="class 'yes' has no row among 300"):
        fit_pipeline(make_problem(), trial, FEATURES, X, np.zeros_like(y))


def test_class_weight_equals_sklearns_balanced() -> None:
    candidate = Candidate(estimator="logistic_regression", resample="class_weight")
    X, y = make_rows()
    fitted = build_pipeline(candidate, FEATURES, task="binary", seed=7).fit(X, y)
    other = LogisticRegression(class_weight="balanced", max_iter=1000, random_state=7)
    other.fit(fitted.named_steps["prepare"].transform(X), y)
    np.testing.assert_allclose(fitted.named_steps["estimate"].coef_, other.coef_)


def test_measure_resampling_shows_every_way_on_untouched_rows() -> None:
    problem = make_problem()
    (X, y), (X_val, y_val) = make_rows(), make_rows(seed=1)
    trial = Trial(candidate="line", params={}, mean=0, sd=0, seconds=0)
    rows = measure_resampling(problem, trial, FEATURES, X, y, X_val, y_val)
    assert [row.method for row in rows] == ["none", "class_weight", "smote_tomek", "smote_enn"]
    fitted = fit_pipeline(problem, trial, FEATURES, X, y)
    share = pipeline_answer(fitted, X_val, "binary")[:, 1]
    assert rows[0].brier == pytest.approx(np.mean((share - y_val) ** 2))
    assert len({row.brier for row in rows}) == 4


def test_measure_resampling_says_nothing_without_two_classes() -> None:
    problem = make_problem("regression", "mae", m=Candidate(estimator="ridge"))
    X, y = make_rows(20)
    trial = Trial(candidate="m", params={}, mean=0, sd=0, seconds=0)
    assert measure_resampling(problem, trial, FEATURES, X, y, X, y) == ()
