"""The verdict is worked out by hand for each kind of gate."""

import math

import pytest

from tabular.evaluation import Metric
from tabular.gates import GateResult, decide
from tabular.settings import Gate

METRICS = {"roc_auc": Metric(value=0.85, low=0.79, high=0.9)}
FACTS = {"latency_ms": 0.4}


def one(**gate):
    return decide([Gate(**gate)], METRICS, FACTS).results[0]


@pytest.mark.parametrize(
    ("gate", "passed", "value"),
    [
        ({"metric": "roc_auc", "min": 0.8}, True, 0.85),
        ({"metric": "roc_auc", "min": 0.85}, True, 0.85),
        ({"metric": "roc_auc", "min": 0.8, "bound": "low"}, False, 0.79),
        ({"metric": "roc_auc", "max": 0.87}, True, 0.85),
        ({"metric": "roc_auc", "max": 0.87, "bound": "high"}, False, 0.9),
        ({"metric": "latency_ms", "max": 0.5}, True, 0.4),
        ({"metric": "latency_ms", "max": 0.5, "bound": "high"}, True, 0.4),
        ({"metric": "latency_ms", "max": 0.3}, False, 0.4),
    ],
)
def test_decide_holds_the_named_number_against_the_limit(gate, passed, value):
    result = one(**gate)
    assert (result.passed, result.value) == (passed, value)


@pytest.mark.parametrize("limit", [{"min": 0.0}, {"max": 1e9}])
def test_decide_fails_a_metric_that_is_absent(limit):
    result = one(metric="f1", **limit)
    assert not result.passed
    assert math.isnan(result.value)
    assert "f1 was not measured" in result.sentence


@pytest.mark.parametrize("fact", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("limit", [{"min": -1e9}, {"max": 1e9}])
def test_decide_fails_a_number_that_is_not_finite(fact, limit):
    verdict = decide([Gate(metric="latency_ms", **limit)], {}, {"latency_ms": fact})
    assert not verdict.accepted


def test_decide_refuses_with_each_blocking_failure_in_the_sentence():
    verdict = decide(
        [
            Gate(metric="roc_auc", min=0.9),
            Gate(metric="roc_auc", min=0.8, bound="low"),
            Gate(metric="latency_ms", max=1),
        ],
        METRICS,
        FACTS,
    )
    assert not verdict.accepted
    assert verdict.sentence == (
        "Refused: roc_auc is 0.85, and must be at least 0.9; roc_auc (low end of its 95 % interval)"
        " is 0.79, and must be at least 0.8."
    )


def test_decide_accepts_with_a_failure_that_only_warns():
    verdict = decide(
        [Gate(metric="roc_auc", min=0.9, severity="warn"), Gate(metric="latency_ms", max=1)],
        METRICS,
        FACTS,
    )
    assert verdict.accepted
    assert verdict.sentence == (
        "Accepted: 1 of 2 gates hold, warned: roc_auc is 0.85, and must be at least 0.9."
    )


def test_decide_accepts_when_all_hold():
    verdict = decide([Gate(metric="latency_ms", max=1)], METRICS, FACTS)
    assert verdict.sentence == "Accepted: 1 of 1 gates hold."
    assert verdict.results[0].limit == "at most 1"


def test_sentence_tells_a_value_from_a_limit_it_rounds_to():
    verdict = decide([Gate(metric="latency_ms", min=0.8)], {}, {"latency_ms": 0.79999})
    assert verdict.sentence == "Refused: latency_ms is 0.79999, and must be at least 0.8."


def test_result_that_was_not_measured_survives_json():
    result = one(metric="f1", min=0.5)
    assert math.isnan(GateResult.model_validate_json(result.model_dump_json()).value)
