"""The decision against numbers worked out by hand."""

import numpy as np
import pytest
from pydantic import ValidationError

from tabular.decision import Decision

BINARY = {"task": "binary", "classes": ("no", "yes"), "positive": 1, "threshold": 0.5}
RAW = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], dtype=np.float32)


def test_calibrate_none_returns_the_answer_in_float64():
    calibrated = Decision(**BINARY).calibrate(RAW)
    assert calibrated.dtype == np.float64
    np.testing.assert_array_equal(calibrated, RAW.astype(np.float64))


def test_calibrate_sigmoid_acts_on_log_odds():
    decision = Decision(**BINARY, calibration="sigmoid", slope=2.0, intercept=0.0)
    # Odds 1:9, 1:1 and 4:1 squared are 1:81, 1:1 and 16:1.
    expected = [1 / 82, 1 / 2, 16 / 17]
    np.testing.assert_allclose(decision.calibrate(RAW)[:, 1], expected, rtol=1e-6)


def test_calibrate_sigmoid_is_finite_at_0_and_1():
    decision = Decision(**BINARY, calibration="sigmoid", slope=1.5, intercept=0.2)
    assert np.isfinite(decision.calibrate(np.array([[1.0, 0.0], [0.0, 1.0]]))).all()


def test_calibrate_isotonic_interpolates_and_holds_the_ends():
    decision = Decision(**BINARY, calibration="isotonic", knots_x=(0.2, 0.6), knots_y=(0.1, 0.5))
    np.testing.assert_allclose(decision.calibrate(RAW)[:, 1], [0.1, 0.4, 0.5])


@pytest.mark.parametrize("positive", [0, 1])
def test_calibrate_puts_the_positive_class_in_its_column(positive):
    decision = Decision(
        **{**BINARY, "positive": positive},
        calibration="isotonic",
        knots_x=(0.0, 1.0),
        knots_y=(0.3, 0.3),
    )
    calibrated = decision.calibrate(RAW)
    np.testing.assert_allclose(calibrated[:, positive], 0.3)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)


@pytest.mark.parametrize(("positive", "expected"), [(1, [0, 1, 1]), (0, [0, 0, 1])])
def test_labels_binary_says_positive_from_the_threshold_on(positive, expected):
    decision = Decision(**{**BINARY, "positive": positive})
    np.testing.assert_array_equal(decision.labels(decision.calibrate(RAW)), expected)


def test_labels_multiclass_takes_the_largest():
    decision = Decision(task="multiclass", classes=("a", "b", "c"))
    np.testing.assert_array_equal(
        decision.labels(np.array([[0.2, 0.5, 0.3], [0.1, 0.2, 0.7]])), [1, 2]
    )


def test_interval_is_the_half_width_to_both_sides():
    decision = Decision(task="regression", interval_level=0.9, interval_half_width=2.5)
    low, high = decision.interval(np.array([10.0, 1.0]))
    np.testing.assert_array_equal(low, [7.5, -1.5])
    np.testing.assert_array_equal(high, [12.5, 3.5])


def test_interval_unfitted_is_none():
    assert Decision(task="regression").interval(np.array([1.0])) is None


def test_decision_survives_json_after_use():
    decision = Decision(**BINARY, calibration="isotonic", knots_x=(0.1, 1 / 3), knots_y=(0, 2 / 3))
    decision.calibrate(RAW)
    assert Decision.model_validate_json(decision.model_dump_json()) == decision


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"threshold": None}, "needs positive 0 or 1 and a threshold"),
        ({"positive": 2}, "needs positive 0 or 1 and a threshold"),
        ({"task": "multiclass", "calibration": "sigmoid"}, "calibration is for task binary"),
        ({"calibration": "isotonic"}, "go with isotonic"),
        ({"knots_x": (0.1,), "knots_y": ()}, "of one length"),
    ],
)
def test_decision_refuses_parts_that_do_not_fit(changed, message):
    with pytest.raises(ValidationError, match=message):
        Decision(**{**BINARY, **changed})


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize(
    "fitted",
    [
        {},
        {"calibration": "sigmoid", "slope": 1.5, "intercept": -0.2},
        {"calibration": "sigmoid", "slope": 60.0, "intercept": 0.0},
        {"calibration": "isotonic", "knots_x": (0.2, 0.6), "knots_y": (0.1, 0.5)},
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in exp")
def test_a_row_is_calibrated_and_labelled_as_in_a_table(fitted, positive):
    decision = Decision(**{**BINARY, "positive": positive}, **fitted)
    raw = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [1, 0], [0, 1]], dtype=np.float32)
    table = decision.calibrate(raw)
    rows = [decision.calibrate_row(row) for row in raw.tolist()]
    np.testing.assert_allclose(rows, table, rtol=1e-12, atol=1e-300)
    assert [decision.label_of_row(row) for row in rows] == decision.labels(table).tolist()
