"""The fitted decision against known truths: simulated data, every threshold tried, coverage."""

import numpy as np
import pytest

from tabular.calibration import fit_decision, fit_threshold
from tabular.errors import DataError
from tabular.problem import Problem
from tabular.settings import Threshold


def problem(task="binary", **decision):
    target = {
        "binary": {"column": "t", "classes": {"yes": 1, "no": 0}, "positive": "yes"},
        "multiclass": {"column": "t", "classes": {"a": 0, "b": 1, "c": 2}},
        "regression": {"column": "t", "unit": "min"},
    }[task]
    return Problem.model_validate(
        {
            "name": "made_up",
            "title": "Made up",
            "task": task,
            "source": {"kind": "csv", "path": "x.csv"},
            "target": target,
            "columns": {"x": {"type": "number"}},
            "split": {"kind": "random"},
            "search": {"metric": "mae" if task == "regression" else "accuracy"},
            "candidates": {"tree": {"estimator": "decision_tree"}},
            "decision": decision,
            "gates": [{"metric": "latency_ms", "max": 1}],
        }
    )


def overconfident(n, seed):
    """Raw probabilities whose log-odds are twice the true ones plus 1; positive is class 0."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1, n)
    truth = 1 / (1 + np.exp(-odds))
    raw = 1 / (1 + np.exp(-(2 * odds + 1)))
    return np.column_stack([raw, 1 - raw]), np.where(rng.random(n) < truth, 0, 1), truth


def test_fit_decision_sigmoid_recovers_the_distortion():
    raw, y, _ = overconfident(40_000, 1)
    decision = fit_decision(problem(calibration="sigmoid"), raw, y)
    assert decision.positive == 0
    assert decision.slope == pytest.approx(0.5, abs=0.03)
    assert decision.intercept == pytest.approx(-0.5, abs=0.05)


@pytest.mark.parametrize("kind", ["sigmoid", "isotonic"])
def test_fit_decision_brings_new_rows_near_the_truth(kind):
    raw, y, _ = overconfident(20_000, 2)
    decision = fit_decision(problem(calibration=kind), raw, y)
    new, _, truth = overconfident(20_000, 3)
    off = np.abs(decision.calibrate(new)[:, 0] - truth).mean()
    assert off < 0.02 < 0.1 < np.abs(new[:, 0] - truth).mean()


def test_fit_decision_isotonic_never_claims_certainty():
    p = np.linspace(0.05, 0.95, 99)
    decision = fit_decision(
        problem(calibration="isotonic"), np.column_stack([p, 1 - p]), np.where(p > 0.5, 0, 1)
    )
    assert min(decision.knots_y) == pytest.approx(0.01)
    assert max(decision.knots_y) == pytest.approx(0.99)


def naive_best(p, happened, worth):
    """The best worth over every way to cut, tried one by one."""
    tried = [*np.unique(p), 2.0]
    return max(worth((p >= cut).astype(int), happened) for cut in tried)


def f1(said, happened):
    return 2 * (said & happened).sum() / max(said.sum() + happened.sum(), 1)


def saving(said, happened):
    return -3 * (said & ~happened & 1).sum() - 10 * (happened & ~said & 1).sum()


@pytest.mark.parametrize("decimals", [9, 1])
@pytest.mark.parametrize(
    ("aim", "worth"),
    [
        (Threshold(aim="f1"), f1),
        (Threshold(aim="cost", cost={"false_positive": 3, "false_negative": 10}), saving),
    ],
)
def test_fit_threshold_is_the_best_of_all(aim, worth, decimals):
    rng = np.random.default_rng(4)
    p = rng.random(200).round(decimals)
    happened = (rng.random(200) < p).astype(int)
    cut = fit_threshold(aim, p, happened)
    assert worth((p >= cut).astype(int), happened) == naive_best(p, happened, worth)


def test_fit_threshold_cost_may_say_no_row_is_positive():
    aim = Threshold(aim="cost", cost={"false_positive": 1000, "false_negative": 1})
    p = np.array([1.0, 0.9, 0.2])
    assert not (p >= fit_threshold(aim, p, np.array([0, 1, 0]))).any()


def test_fit_threshold_lies_between_two_probabilities():
    cut = fit_threshold(Threshold(), np.array([0.9, 0.8, 0.3, 0.1]), np.array([1, 1, 0, 0]))
    assert cut == pytest.approx(0.55)


@pytest.mark.parametrize(("share", "n_said"), [(0.1, 10), (0.25, 25)])
def test_fit_threshold_top_share_says_that_share(share, n_said):
    p = np.random.default_rng(5).permutation(np.linspace(0, 1, 100))
    cut = fit_threshold(Threshold(aim="top_share", share=share), p, (p > 0.5).astype(int))
    assert (p >= cut).sum() == n_said


def test_fit_threshold_top_share_keeps_ties_together():
    p = np.repeat([0.9, 0.5, 0.1], [10, 30, 60])
    cut = fit_threshold(Threshold(aim="top_share", share=0.2), p, (p > 0.5).astype(int))
    assert (p >= cut).sum() == 10


def test_fit_decision_half_width_is_the_tenth_error_of_ten():
    errors = np.arange(1.0, 11.0)
    got = fit_decision(problem("regression", interval_level=0.9), np.zeros((10, 1)), errors)
    assert (got.interval_half_width, got.unit) == (10.0, "min")
    got = fit_decision(problem("regression", interval_level=0.5), np.zeros((10, 1)), errors)
    assert got.interval_half_width == 6.0


@pytest.mark.parametrize("level", [0.8, 0.9])
@pytest.mark.parametrize("n_rows", [19, 200])
def test_interval_covers_new_rows_at_its_level(level, n_rows):
    rng = np.random.default_rng(6)
    covered = []
    for _ in range(300):
        y = rng.standard_t(3, n_rows)
        decision = fit_decision(
            problem("regression", interval_level=level), np.zeros((n_rows, 1)), y
        )
        new = rng.standard_t(3, 200)
        covered.append((np.abs(new) <= decision.interval_half_width).mean())
    assert level - 0.01 < np.mean(covered) < level + 1 / (n_rows + 1) + 0.01


def test_fit_decision_multiclass_has_only_classes():
    got = fit_decision(problem("multiclass"), np.eye(3), np.arange(3))
    assert (got.classes, got.positive, got.threshold) == (("a", "b", "c"), None, None)


def test_fit_decision_refuses_too_few_rows_for_the_level():
    with pytest.raises(DataError, match=r"interval_level 0.9 needs at least 9 .*got 8"):
        fit_decision(problem("regression"), np.zeros((8, 1)), np.arange(8.0))
    fit_decision(problem("regression"), np.zeros((9, 1)), np.arange(9.0))


def test_fit_decision_refuses_one_class():
    with pytest.raises(DataError, match=r"the 5 validation rows have one class only"):
        fit_decision(problem(), np.full((5, 2), 0.5), np.zeros(5, dtype=int))
