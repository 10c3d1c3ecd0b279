"""Live metrics are those of the rows whose outcome is known, by hand."""

import pyarrow as pa
import pytest

from tabular.decision import Decision
from tabular.drift.outcomes import count_outcomes, live_metrics, outcome_values
from tabular.drift.profile import Profile
from tabular.settings import Evaluation, Target

REGRESSION = Decision(task="regression", interval_level=0.9, interval_half_width=2.0)
BINARY = Decision(task="binary", classes=("no", "yes"), positive=1, threshold=0.5)
SEVERAL = Decision(task="multiclass", classes=("a", "b", "c"))
YES_NO = Target(column="y", classes={"no": 0, "yes": 1}, positive="yes")
ABC = Target(column="y", classes={"a": "A", "b": "B", "c": "C"})
CONFIG = Evaluation(bootstrap=20)


def joined(**columns):
    return pa.table(columns)


def test_regression_is_measured_with_its_interval():
    rows = joined(value=[10.0, 20.0, 30.0], outcome=["11", "20", "36"])
    metrics = live_metrics(rows, REGRESSION, Target(column="y"), CONFIG, seed=0)
    assert metrics["mae"].value == pytest.approx(7 / 3)
    assert metrics["coverage"].value == pytest.approx(2 / 3)


def test_binary_outcomes_are_raw_values_of_the_table():
    rows = joined(probability=[0.9, 0.2, 0.6, 0.1], outcome=["1", "0.0", "0", "1"])
    metrics = live_metrics(rows, BINARY, YES_NO, CONFIG, seed=0)
    assert metrics["accuracy"].value == 0.5
    assert metrics["brier"].value == pytest.approx((0.01 + 0.04 + 0.36 + 0.81) / 4)


def test_of_several_classes_the_log_does_not_tell_the_log_loss():
    rows = joined(prediction=["a", "b", "c"], probability=[0.8, 0.6, 0.9], outcome=["A", "B", "A"])
    metrics = live_metrics(rows, SEVERAL, ABC, CONFIG, seed=0)
    assert metrics["accuracy"].value == pytest.approx(2 / 3)
    assert "log_loss" not in metrics


def test_outcomes_that_are_none_are_left_out():
    values, known = outcome_values(pa.chunked_array([["1", "maybe", None]]), BINARY, YES_NO)
    assert known.tolist() == [True, False, False]
    assert values[0] == 1
    assert live_metrics(joined(value=[1.0], outcome=["?"]), REGRESSION, ABC, CONFIG, seed=0) == {}


def test_outcomes_count_as_a_column_by_their_names():
    profile = Profile(
        kind="category",
        role="outcome",
        n_rows=10,
        missing_share=0.0,
        categories=("no", "yes"),
        shares=(0.5, 0.5),
    )
    counts = count_outcomes(joined(outcome=["1", "1", "0"]), profile, BINARY, YES_NO)
    assert counts.cells.tolist() == [1, 2]
