"""What is due follows from the YAML's rules, and says why."""

from datetime import UTC, datetime, timedelta

import pytest

from tabular.drift.compare import ColumnDrift, Measure
from tabular.drift.due import decide_due
from tabular.drift.gauges import gauges_text
from tabular.drift.live import Live, hold_live
from tabular.drift.settings import Retrain
from tabular.drift.window import Drift, WindowFacts
from tabular.evaluation import Metric
from tabular.settings import Gate

NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)
TESTED = {"mae": {"value": 3.0, "low": 2.9, "high": 3.1}}
GATES = (Gate(metric="mae", max=4.0), Gate(metric="r2", min=0.7))


def column(name, importance, *, alarms=True, role="feature"):
    measure = Measure(kind="shift", effect=0.5 if alarms else 0.1, limit=0.2)
    words = (f"{name}: the values moved",) if alarms else ()
    return ColumnDrift(
        column=name, role=role, importance=importance, n_rows=500, measures=(measure,), alarms=words
    )


def drift(*columns, answers=(), obstacle=""):
    window = WindowFacts(since=NOW - timedelta(days=7), until=NOW, n_rows=500)
    return Drift(version="v3", window=window, columns=columns, answers=answers, obstacle=obstacle)


def live(mae=None, n_labels=500):
    measured = {} if mae is None else {"mae": Metric(value=mae, low=mae - 0.2, high=mae + 0.2)}
    return hold_live(
        "v3", measured, TESTED, GATES, n_labels=n_labels, n_new=n_labels, min_labels=200
    )


def decide(found, outcomes, age_days=10, **rules):
    trained_at = NOW - timedelta(days=age_days)
    return decide_due(found, outcomes, Retrain(**rules), trained_at=trained_at, now=NOW)


@pytest.mark.parametrize(
    ("mae", "state"), [(3.0, "holds"), (3.5, "worse"), (4.1, "worse"), (4.3, "missed")]
)
def test_gate_is_missed_only_by_the_whole_interval(mae, state):
    assert live(mae).state == state


def test_gate_with_a_minimum_is_missed_from_below():
    for value, state in ((0.8, "holds"), (0.65, "holds"), (0.5, "missed")):
        measured = {"r2": Metric(value=value, low=value - 0.1, high=value + 0.1)}
        held = hold_live("v3", measured, {}, GATES, n_labels=500, n_new=0, min_labels=200)
        assert held.state == state


def test_too_few_outcomes_say_nothing_and_how_many_are_needed():
    few = live(9.0, n_labels=199)
    assert few.state == "unknown"
    assert "200 are needed" in few.sentence


def test_missed_gate_is_due_and_says_both_numbers():
    due = decide(drift(), live(4.5))
    assert due.is_due
    assert "live mae is 4.5" in due.sentence
    assert "at most 4" in due.sentence


def test_drift_of_an_important_column_is_due_where_outcomes_are_missing():
    assert decide(drift(column("fee", 0.3)), live(n_labels=0)).is_due
    assert decide(
        drift(answers=(column("value", 1.0, role="prediction"),)), live(n_labels=0)
    ).is_due


def test_drift_that_does_not_hurt_is_told_and_not_due():
    due = decide(drift(column("fee", 0.3)), live(3.0))
    assert not due.is_due
    assert "does not hurt" in due.sentence
    assert due.harmless == ("fee: the values moved",)


def test_drift_that_hurts_without_missing_a_gate_is_told():
    due = decide(drift(column("fee", 0.3)), live(3.6))
    assert not due.is_due
    assert due.sentence.startswith("Drift hurts, and no gate is missed yet: live mae is 3.6")


def test_drift_of_an_unimportant_column_is_not_due():
    due = decide(drift(column("fax", 0.01)), live(n_labels=0))
    assert not due.is_due
    assert "little importance" in due.sentence


@pytest.mark.parametrize(
    ("rules", "is_due"),
    [
        ({}, False),
        ({"max_age_days": 30}, False),
        ({"max_age_days": 5}, True),
        ({"min_new_rows": 501}, False),
        ({"min_new_rows": 500}, True),
    ],
)
def test_age_and_new_rows_count_where_the_yaml_says_so(rules, is_due):
    assert decide(drift(), live(3.0), **rules).is_due is is_due


@pytest.mark.parametrize("rule", ["drift", "performance"])
def test_rule_that_is_off_is_not_looked_at(rule):
    found, outcomes = drift(column("fee", 0.3)), live(n_labels=0) if rule == "drift" else live(5.0)
    assert decide(found, outcomes).is_due
    assert not decide(found, outcomes, **{rule: False}).is_due


def test_no_verdict_is_said_as_such():
    due = decide(drift(obstacle="100 rows were answered, too few"), live(n_labels=0))
    assert due.sentence == "No verdict on drift: 100 rows were answered, too few."


def test_gauges_are_read_back_by_prometheus_own_parser():
    from prometheus_client.parser import text_string_to_metric_families

    found = drift(column('a "b"\\', 0.5), column("fax", 0.1, alarms=False))
    families = {f.name: f.samples for f in text_string_to_metric_families(gauges_text("p", found))}
    drifts = {s.labels["column"]: s.value for s in families["bentoline_drift"]}
    assert drifts == {'a "b"\\': 2.5, "fax": 0.5}
    assert families["bentoline_drift_alarm"][0].value == 1
    run = families["bentoline_monitor_last_run_timestamp_seconds"][0]
    assert (run.labels, run.value) == ({"problem": "p"}, NOW.timestamp())


def test_live_is_plain_json():
    assert Live.model_validate_json(live(3.0).model_dump_json()) == live(3.0)
