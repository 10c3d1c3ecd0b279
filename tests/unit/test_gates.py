"""The verdict is worked out by hand for each kind of gate."""

import math

import pytest

from tabular.challenge import Comparison, Gain, SliceGain
from tabular.evaluation import Metric
from tabular.gates import MIN_ROWS, GateResult, decide
from tabular.settings import Gate, Promotion

METRICS = {"roc_auc": Metric(value=0.85, low=0.79, high=0.9)}
FACTS = {"latency_ms": 0.4}
FIRST = Comparison(metric="roc_auc")  # nothing holds production yet


def verdict_of(gates, metrics=METRICS, facts=FACTS, *, comparison=FIRST, **promotion):
    return decide(gates, metrics, facts, Promotion(**promotion), comparison)


def one(**gate):
    return verdict_of([Gate(**gate)]).results[0]


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
    verdict = verdict_of([Gate(metric="latency_ms", **limit)], {}, {"latency_ms": fact})
    assert not verdict.accepted


def test_decide_refuses_with_each_blocking_failure_in_the_sentence():
    verdict = verdict_of(
        [
            Gate(metric="roc_auc", min=0.9),
            Gate(metric="roc_auc", min=0.8, bound="low"),
            Gate(metric="latency_ms", max=1),
        ]
    )
    assert not verdict.accepted
    assert verdict.sentence == (
        "Refused for production: roc_auc is 0.85, and must be at least 0.9; "
        "roc_auc (low end of its 95 % interval) is 0.79, and must be at least 0.8. "
        "It goes no further than candidate."
    )


def test_decide_accepts_with_a_failure_that_only_warns():
    verdict = verdict_of(
        [Gate(metric="roc_auc", min=0.9, severity="warn"), Gate(metric="latency_ms", max=1)]
    )
    assert verdict.accepted
    assert verdict.sentence == (
        "Accepted for production: 1 of 2 gates hold, "
        "warned: roc_auc is 0.85, and must be at least 0.9."
    )


def test_decide_accepts_when_all_hold():
    verdict = verdict_of([Gate(metric="latency_ms", max=1)])
    assert verdict.sentence == "Accepted for production: 1 of 1 gates hold."
    assert verdict.results[0].limit == "at most 1"


def test_sentence_tells_a_value_from_a_limit_it_rounds_to():
    verdict = verdict_of([Gate(metric="latency_ms", min=0.8)], {}, {"latency_ms": 0.79999})
    assert "latency_ms is 0.79999, and must be at least 0.8." in verdict.sentence


def test_result_that_was_not_measured_survives_json():
    result = one(metric="f1", min=0.5)
    assert math.isnan(GateResult.model_validate_json(result.model_dump_json()).value)


def gain_of(value, low, high, *, n_rows=1000):
    """A model of 0.8 against a champion that is `value` below it."""
    metric = Metric(value=value, low=low, high=high)
    return Gain(n_rows=n_rows, champion=0.8 - value, challenger=0.8, gain=metric)


def against_v1(whole, **found):
    return Comparison(metric="roc_auc", champion="v1", whole=whole, **found)


@pytest.mark.parametrize(
    ("value", "low", "high", "min_gain", "passed", "words"),
    [
        (0.03, 0.01, 0.05, 0.02, True, "it is better than the champion v1"),
        (0.02, 0.01, 0.03, 0.02, True, "it is better than the champion v1"),
        (0.03, -0.01, 0.07, 0.02, False, "it is no better than the champion v1 by 0.02"),
        (0.03, 0.0, 0.07, 0.02, False, "it is no better than the champion v1 by 0.02"),
        (0.01, 0.005, 0.015, 0.02, False, "it is no better than the champion v1 by 0.02"),
        (0.0, 0.0, 0.0, 0.0, False, "it is no better than the champion v1: roc_auc is 0.8"),
        (-0.03, -0.05, -0.01, 0.0, False, "it is worse than the champion v1"),
    ],
)
def test_champion_is_beaten_by_min_gain_and_beyond_chance(
    value, low, high, min_gain, passed, words
):
    comparison = against_v1(gain_of(value, low, high))
    verdict = verdict_of([], comparison=comparison, min_gain=min_gain)
    result = verdict.results[0]
    assert (result.passed, result.value, result.alias) == (passed, value, "production")
    assert result.limit == f"at least {min_gain:g}, interval above 0"
    assert words in result.sentence
    assert "on the same 1,000 test rows" in result.sentence
    assert verdict.accepted is passed
    assert verdict.carries == {"candidate": True, "staging": True, "production": passed}


@pytest.mark.parametrize(("n_rows", "passed"), [(MIN_ROWS - 1, False), (MIN_ROWS, True)])
def test_champion_is_not_replaced_on_too_few_rows(n_rows, passed):
    comparison = against_v1(gain_of(0.03, 0.01, 0.05, n_rows=n_rows), n_left_out=7)
    result = verdict_of([], comparison=comparison).results[0]
    assert result.passed is passed
    assert passed or "too few rows" in result.sentence
    assert passed or '--promote VERSION --to production --override "reason"' in result.sentence


@pytest.mark.parametrize(
    ("comparison", "words"),
    [
        (against_v1(None, obstacle="model.onnx was changed"), "(model.onnx was changed)"),
        (against_v1(None, n_left_out=30), "roc_auc is not defined on the test rows that are left"),
    ],
)
def test_champion_that_cannot_be_compared_stays(comparison, words):
    verdict = verdict_of([Gate(metric="latency_ms", max=1)], comparison=comparison)
    assert verdict.carries == {"candidate": True, "staging": True, "production": False}
    assert words in verdict.sentence
    assert "--override" in verdict.sentence
    assert math.isnan(verdict.results[-1].value)


def slice_of(value, gain):
    return SliceGain(column="city", value=value, **dict(gain_of(gain, gain - 0.01, gain + 0.01)))


def test_slice_that_loses_more_than_allowed_refuses():
    comparison = against_v1(
        gain_of(0.03, 0.01, 0.05), slices=(slice_of("Delhi", -0.03), slice_of("Pune", -0.031))
    )
    verdict = verdict_of([], comparison=comparison, max_slice_loss=0.03)
    assert [result.passed for result in verdict.results] == [True, True, False]
    assert not verdict.accepted
    assert "on city Pune, roc_auc is 0.8 against 0.831" in verdict.sentence
    assert verdict.results[2].limit == "at least -0.03"


def test_slices_without_a_limit_are_no_gates():
    comparison = against_v1(gain_of(0.03, 0.01, 0.05), slices=(slice_of("Pune", -0.5),))
    assert len(verdict_of([], comparison=comparison).results) == 1


HOLDS, FAILS = {"metric": "latency_ms", "max": 1}, {"metric": "latency_ms", "max": 0.1}


@pytest.mark.parametrize(
    ("staging", "production", "carries_to", "carried", "accepted"),
    [
        (HOLDS, HOLDS, "production", ["candidate", "staging", "production"], True),
        (HOLDS, FAILS, "production", ["candidate", "staging"], False),
        (FAILS, HOLDS, "production", ["candidate"], False),
        (HOLDS, HOLDS, "staging", ["candidate", "staging"], True),
        (HOLDS, FAILS, "staging", ["candidate", "staging"], True),
        (FAILS, HOLDS, "staging", ["candidate"], False),
        (FAILS, FAILS, "candidate", ["candidate"], True),
    ],
)
def test_verdict_carries_through_the_aliases_in_order(
    staging, production, carries_to, carried, accepted
):
    gates = [Gate(**staging), Gate(**production, alias="production")]
    verdict = verdict_of(gates, carries_to=carries_to)
    assert [alias for alias, holds in verdict.carries.items() if holds] == carried
    assert verdict.accepted is accepted
    assert f"for {carries_to}: " in verdict.sentence
