"""POST /labels: outcomes for who has the token, checked by the target's rules, kept at once."""

from datetime import UTC, datetime, timedelta

import pytest

from tabular.prediction_log.reading import joined_labels, read_labels
from tests.unit.asgi import Worker, settings
from tests.unit.test_service_log import SINCE, no_space, turn
from tests.unit.tiny import RECORDS, write_tiny

BEARER = {"authorization": "Bearer secret"}
TARGETS = {
    "binary": {"column": "Response", "classes": {"no": 0, "yes": 1}},
    "regression": {"column": "minutes", "min": 0, "max": 90},
}


def labelled(folder, task="binary", **changes):
    facts = {"problem": "tiny", "target": TARGETS[task]}
    bundle = write_tiny(folder / "v3", task, facts=facts)
    given = {"prediction_log": str(folder / "log"), "token": "secret", **changes}
    return Worker(settings(bundle.path, **given))


def kept(folder):
    rows = read_labels(str(folder / "log"), "tiny", SINCE).to_pylist()
    return sorted((row["request_id"], row["row"], row["outcome"]) for row in rows)


def test_without_a_token_or_a_log_there_is_no_such_route(tmp_path):
    for place, changes in enumerate(({"token": ""}, {"prediction_log": ""})):
        worker = labelled(tmp_path / str(place), **changes)
        assert worker.ask("POST", "/labels", [], headers=BEARER).status == 404
        assert "/labels" not in worker.ask("GET", "/openapi.json").json["paths"]


@pytest.mark.parametrize("given", ["", "Bearer wrong", "secret"])
def test_another_token_is_refused_and_nothing_is_kept(tmp_path, given):
    worker = labelled(tmp_path)
    body = {"request_id": "a", "outcome": 1}
    reply = worker.ask("POST", "/labels", body, headers={"authorization": given})
    assert (reply.status, reply.code) == (401, "token")
    assert kept(tmp_path) == []


def test_an_outcome_of_long_ago_does_not_hide_those_that_come_after_it(tmp_path):
    now = datetime.now(UTC)
    worker = labelled(tmp_path)
    for name, at in (("old", now - timedelta(days=9)), ("new", now)):
        body = {"request_id": name, "outcome": 1, "at": at.isoformat()}
        assert worker.ask("POST", "/labels", body, headers=BEARER).json["taken"] == 1
    worker.app.log._sink.close()
    found = read_labels(str(tmp_path / "log"), "tiny", now - timedelta(days=2))
    assert found["request_id"].to_pylist() == ["new"]


def test_outcomes_join_the_answers_they_belong_to(tmp_path):
    worker = labelled(tmp_path)
    worker.ask("POST", "/predict", RECORDS[:2], {"x-request-id": "a"})
    turn(worker)
    body = [
        {"request_id": "a", "row": 1, "outcome": "yes"},
        {"request_id": "a", "Response": 0},
        {"request_id": "never", "outcome": 1},
    ]
    reply = worker.ask("POST", "/labels", body, headers=BEARER)
    assert (reply.status, reply.json["taken"], reply.json["refused"]) == (200, 3, 0)
    joined = joined_labels(str(tmp_path / "log"), "tiny", SINCE).to_pylist()
    assert [(row["row"], row["outcome"]) for row in joined] == [(0, "0"), (1, "1")]
    assert worker.value("bentoline_labels_total", outcome="taken") == 3


@pytest.mark.parametrize(
    ("task", "label", "rule"),
    [
        ("binary", {"request_id": "a", "outcome": "maybe"}, "outcome: one of [0, 1]"),
        ("binary", {"request_id": "a"}, "outcome: missing"),
        ("binary", {"request_id": "a", "outcome": "N/A"}, "outcome: missing"),
        ("binary", {"request_id": "no blanks", "outcome": 1}, "request_id: 1 to 64"),
        ("binary", {"request_id": 5, "outcome": 1}, "request_id: 1 to 64"),
        ("binary", {"request_id": "a", "row": 0.5, "outcome": 1}, "row: a whole number"),
        ("binary", {"request_id": "a", "row": True, "outcome": 1}, "row: a whole number"),
        ("binary", {"request_id": "a", "outcome": 1, "at": "soon"}, "at: a time such as"),
        ("binary", {"request_id": "a", "outcome": 1, "at": "2999-01-01"}, "in the future"),
        ("binary", "a", "an object with request_id"),
        ("regression", {"request_id": "a", "outcome": "fast"}, "outcome: a number"),
        ("regression", {"request_id": "a", "outcome": True}, "outcome: a number"),
        ("regression", {"request_id": "a", "outcome": 90.5}, "outcome: from 0 to 90"),
    ],
)
def test_a_label_that_breaks_a_rule_is_named_and_the_good_ones_are_kept(
    tmp_path, task, label, rule
):
    worker = labelled(tmp_path, task)
    alone = worker.ask("POST", "/labels", [label], headers=BEARER)
    assert (alone.status, alone.code) == (422, "labels")
    assert rule in alone.json["error"]["message"]
    both = worker.ask("POST", "/labels", [{"request_id": "b", "outcome": 1}, label], headers=BEARER)
    assert (both.json["taken"], both.json["refused"]) == (1, 1)
    assert both.json["details"][0].startswith("label 1: ")
    assert kept(tmp_path) == [("b", 0, "1" if task == "binary" else "1.0")]
    assert worker.value("bentoline_labels_total", outcome="refused") == 2


def test_a_clock_that_is_a_little_ahead_is_no_reason_to_refuse(tmp_path):
    worker = labelled(tmp_path)
    at = (datetime.now(UTC) + timedelta(minutes=2)).isoformat()
    reply = worker.ask("POST", "/labels", {"request_id": "a", "outcome": 1, "at": at}, BEARER)
    assert reply.json["taken"] == 1


def test_a_log_that_takes_no_labels_says_so_and_the_client_may_repeat(tmp_path, monkeypatch):
    worker = labelled(tmp_path)
    body = {"request_id": "a", "outcome": 1}
    with monkeypatch.context() as full:
        full.setattr("os.fsync", no_space)
        reply = worker.ask("POST", "/labels", body, headers=BEARER)
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "log", "1")
    assert worker.ask("POST", "/labels", body, headers=BEARER).status == 200
    assert kept(tmp_path) == [("a", 0, "1")]


def test_the_route_stands_in_the_openapi_document(tmp_path):
    document = labelled(tmp_path).ask("GET", "/openapi.json").json
    assert document["paths"]["/labels"]["post"]["security"] == [{"token": []}]
