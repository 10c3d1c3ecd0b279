"""Metrics against scikit-learn, with and without weights; slices and curves by hand."""

import numpy as np
import pytest
from sklearn import metrics as sk

from tabular import evaluation
from tabular.decision import Decision
from tabular.evaluation import evaluate, permutation_importance
from tabular.metrics import weigher
from tabular.settings import METRICS, Cost, Evaluation

BINARY = Decision(task="binary", classes=("yes", "no"), positive=0, threshold=0.4)
THREE = Decision(task="multiclass", classes=("a", "b", "c"))
VALUES = Decision(task="regression", interval_level=0.9, interval_half_width=1.5)
CONFIG = Evaluation(bootstrap=50, extreme_error=2.0)


def binary_rows(n, rng, decimals=9):
    p = np.clip(rng.beta(1, 3, n), 0.01, 0.99).round(decimals)
    return np.column_stack([p, 1 - p]), np.where(rng.random(n) < p, 0, 1)


def weights_of(kind, n, rng):
    return np.ones(n) if kind == "ones" else rng.poisson(1, n).astype(float)


@pytest.mark.parametrize("kind", ["ones", "drawn"])
@pytest.mark.parametrize("decimals", [9, 1])
def test_binary_metrics_agree_with_sklearn(kind, decimals):
    rng = np.random.default_rng(1)
    answer, y = binary_rows(500, rng, decimals)
    p, happened = answer[:, 0], y == 0
    w = weights_of(kind, 500, rng)
    said = p >= 0.4
    expected = {
        "roc_auc": sk.roc_auc_score(happened, p, sample_weight=w),
        "pr_auc": sk.average_precision_score(happened, p, sample_weight=w),
        "f1": sk.f1_score(happened, said, sample_weight=w),
        "precision": sk.precision_score(happened, said, sample_weight=w),
        "recall": sk.recall_score(happened, said, sample_weight=w),
        "accuracy": sk.accuracy_score(happened, said, sample_weight=w),
        "brier": sk.brier_score_loss(happened, p, sample_weight=w),
        "log_loss": sk.log_loss(happened, p, sample_weight=w),
    }
    got = weigher(BINARY, answer, y, CONFIG)(w)
    assert tuple(got) == METRICS["binary"]
    assert got == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", ["ones", "drawn"])
def test_multiclass_metrics_agree_with_sklearn(kind):
    rng = np.random.default_rng(2)
    answer, y = rng.dirichlet([1, 1, 1], 300), rng.integers(0, 3, 300)
    w, label = weights_of(kind, 300, rng), answer.argmax(axis=1)
    got = weigher(THREE, answer, y, CONFIG)(w)
    assert tuple(got) == METRICS["multiclass"]
    assert got == pytest.approx(
        {
            "accuracy": sk.accuracy_score(y, label, sample_weight=w),
            "f1_macro": sk.f1_score(y, label, average="macro", sample_weight=w),
            "log_loss": sk.log_loss(y, answer, sample_weight=w),
        }
    )


@pytest.mark.parametrize("kind", ["ones", "drawn"])
def test_regression_metrics_agree_with_sklearn_and_numpy(kind):
    rng = np.random.default_rng(3)
    y = rng.normal(30, 4, 300)
    predicted = y + rng.normal(size=300)
    errors = np.abs(y - predicted)
    w = weights_of(kind, 300, rng)
    got = weigher(VALUES, predicted[:, None], y, CONFIG)(w)
    assert tuple(got) == (*METRICS["regression"], "extreme_error_share")
    assert got == pytest.approx(
        {
            "mae": sk.mean_absolute_error(y, predicted, sample_weight=w),
            "rmse": sk.root_mean_squared_error(y, predicted, sample_weight=w),
            "r2": sk.r2_score(y, predicted, sample_weight=w),
            "p95_error": float(np.quantile(errors, 0.95, weights=w, method="inverted_cdf")),
            "coverage": np.average(errors <= 1.5, weights=w),
            "interval_width": 3.0,
            "extreme_error_share": np.average(errors > 2, weights=w),
        }
    )


def test_evaluate_takes_the_answer_as_calibrated():
    decision = Decision(
        task="binary",
        classes=("no", "yes"),
        positive=1,
        threshold=0.5,
        calibration="isotonic",
        knots_x=(0.0, 1.0),
        knots_y=(0.25, 0.25),
    )
    answer = np.array([[0.1, 0.9], [0.9, 0.1]])
    scores = evaluate(decision, answer, np.array([1, 0]), CONFIG, seed=1, slice_values={})
    assert scores.metrics["brier"].value == pytest.approx(0.01)


def test_interval_has_the_width_that_theory_gives():
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, 4000)
    answer = rng.dirichlet([1, 1, 1], 4000)
    config = Evaluation(bootstrap=400)
    accuracy = evaluate(THREE, answer, y, config, seed=1, slice_values={}).metrics["accuracy"]
    share = accuracy.value
    half = 1.96 * np.sqrt(share * (1 - share) / 4000)
    assert accuracy.low == pytest.approx(share - half, abs=0.15 * half)
    assert accuracy.high == pytest.approx(share + half, abs=0.15 * half)


def test_evaluate_is_the_same_for_the_same_seed():
    answer, y = binary_rows(200, np.random.default_rng(5))
    one, two = (evaluate(BINARY, answer, y, CONFIG, seed=s, slice_values={}) for s in (7, 7))
    assert one == two


def test_evaluate_leaves_out_what_one_class_cannot_define():
    answer, _ = binary_rows(60, np.random.default_rng(6))
    scores = evaluate(BINARY, answer, np.ones(60, int), CONFIG, seed=1, slice_values={})
    assert not {"roc_auc", "pr_auc", "recall"} & set(scores.metrics)
    assert set(scores.curves) == {"calibration"}


def test_slices_name_values_missing_and_small_ones_left_out():
    y = np.arange(120.0)
    fuel = np.array(["gas"] * 60 + [""] * 50 + ["rare"] * 10, dtype=object)
    predicted = np.where(fuel == "gas", y, y + 1)[:, None]
    scores = evaluate(VALUES, predicted, y, CONFIG, seed=1, slice_values={"fuel": fuel})
    shown = [(s.column, s.value, s.n_rows, s.metrics["mae"]) for s in scores.slices]
    assert shown == [("fuel", "gas", 60, 0.0), ("fuel", "(missing)", 50, 1.0)]


def test_slices_cut_a_continuous_column_at_its_quartiles():
    y, km = np.zeros(401), np.arange(401.0)
    scores = evaluate(VALUES, y[:, None], y, CONFIG, seed=1, slice_values={"km": km})
    shown = {s.value: s.n_rows for s in scores.slices}
    assert shown == {
        "0 to 100": 101,
        "100 to 200": 100,
        "200 to 300": 100,
        "300 to 400": 100,
    }


def test_slices_of_few_numbers_take_each_value():
    y, stars = np.zeros(200), np.repeat([1.0, 2.0, np.nan], [80, 60, 60])
    scores = evaluate(VALUES, y[:, None], y, CONFIG, seed=1, slice_values={"stars": stars})
    assert [s.value for s in scores.slices] == ["1", "(missing)", "2"]


def test_curves_are_thin_and_keep_their_ends():
    answer, y = binary_rows(3000, np.random.default_rng(8))
    curves = evaluate(BINARY, answer, y, CONFIG, seed=1, slice_values={}).curves
    by_threshold = {f"threshold_{name}" for name in ("precision", "recall", "f1")}
    assert set(curves) == {"roc", "pr", "calibration"} | by_threshold
    assert all(len(points) <= 100 for points in curves.values())
    assert (curves["roc"][0], curves["roc"][-1]) == ((0, 0), (1, 1))
    last = answer[y == 0, 0].min()
    assert curves["pr"][-1] == (1, pytest.approx((y[answer[:, 0] >= last] == 0).mean(), abs=1e-5))
    x, height = np.array(curves["roc"]).T
    area = np.trapezoid(height, x)
    assert area == pytest.approx(sk.roc_auc_score(y == 0, answer[:, 0]), abs=0.003)


def test_threshold_curves_say_what_counting_says():
    answer, y = binary_rows(900, np.random.default_rng(9))
    cost = Cost(false_positive=2.0, false_negative=5.0)
    curves = evaluate(BINARY, answer, y, CONFIG, seed=1, slice_values={}, cost=cost).curves
    positive = y == 0
    for name, counted in {
        "precision": lambda called: sk.precision_score(positive, called),
        "recall": lambda called: sk.recall_score(positive, called),
        "f1": lambda called: sk.f1_score(positive, called),
        "cost": lambda called: (2 * (called & ~positive) + 5 * (~called & positive)).mean(),
    }.items():
        points = curves[f"threshold_{name}"]
        assert 50 < len(points) <= 100
        for threshold, height in points[::7]:
            called = np.round(answer[:, 0], 5) >= threshold
            assert height == pytest.approx(counted(called), abs=0.01)


def test_calibration_curve_gives_mean_and_share_of_equal_bins():
    p = np.repeat([0.1, 0.6], 50)
    happened = np.r_[np.zeros(50), np.ones(50)]
    assert evaluation._calibration(p, happened) == [(0.1, 0.0)] * 5 + [(0.6, 1.0)] * 5


def test_regression_curves_show_400_rows_and_count_all():
    y = np.random.default_rng(9).normal(size=1000)
    curves = evaluate(VALUES, y[:, None] * 0.5, y, CONFIG, seed=1, slice_values={}).curves
    assert len(curves["residuals"]) == 400
    assert all(a == pytest.approx(b / 2, abs=1e-4) for a, b in curves["residuals"])
    assert sum(count for _, count in curves["error_histogram"]) == 1000


def test_permutation_importance_finds_the_column_that_counts():
    rng = np.random.default_rng(10)
    columns = {"idle": rng.normal(size=2000), "useful": rng.normal(size=2000)}
    y = columns["useful"] * 3
    got = permutation_importance(
        lambda c: (c["useful"] * 3)[:, None], columns, y, VALUES, seed=1, n_rows=1500
    )
    assert list(got) == ["useful", "idle"]
    assert got["idle"] == 0
    # The mean distance of two independent normals of sd 3 is 3 * 2 / sqrt(pi).
    assert got["useful"] == pytest.approx(6 / np.sqrt(np.pi), rel=0.05)


def test_accuracy_of_rows_that_are_all_right_has_wilsons_interval():
    """Newcombe 1998, formula 3, by hand: low = 1 / (1 + z^2 / n) for a share of 1."""
    y = np.arange(30) % 3
    decision = Decision(task="multiclass", classes=("a", "b", "c"))
    scores = evaluate(decision, np.eye(3)[y], y, Evaluation(), seed=1, slice_values={})
    accuracy = scores.metrics["accuracy"]
    assert (accuracy.value, accuracy.high) == (1.0, 1.0)
    assert accuracy.low == pytest.approx(1 / (1 + 1.959964**2 / 30), abs=1e-6)
