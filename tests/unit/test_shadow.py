"""A version in the shadow: followed, asked after the answer, counted, and never in the way."""

import json
import time

import pytest

from service.shadow import Shadow
from tabular.prediction_log.shadow import is_other_answer
from tests.unit.asgi import Worker, settings
from tests.unit.published import published
from tests.unit.test_service_log import rows, turn
from tests.unit.tiny import BINARY, RECORDS

__all__ = ["published"]  # a fixture


@pytest.fixture
def shadowed(published):
    """A worker on v1, and v2 that says no to everything."""
    published.add()
    published.add(decision=BINARY.model_copy(update={"threshold": 1.1}))
    assert published.promote("v1") == 0
    registry = str(published.home / "registry")
    given = settings(
        registry=registry,
        follows=True,
        home=published.home,
        prediction_log=str(published.home / "log"),
    )
    return Worker(given)


def follow(worker):
    """One look at the alias."""
    shadow = worker.app.log.shadow
    shadow.model = shadow._load()


def test_the_command_moves_an_audited_alias_that_no_promotion_looks_at(published):
    published.add()
    published.add()
    published.promote("v1")
    assert published.call("--shadow", "v2", "--why", "newer rows") == 0
    assert published.registry.aliases("tiny") == {"production": "v1", "shadow": "v2"}
    assert published.call("--shadow", "off") == 0
    assert published.registry.alias("tiny", "shadow") is None
    records = [r for r in published.registry.audit("tiny") if r["alias"] == "shadow"]
    assert [(r["from"], r["to"], r["why"]) for r in records] == [
        (None, "v2", "newer rows"), ("v2", "", "by hand"),
    ]  # fmt: skip
    assert published.call("--status") == 0
    assert published.promote("v2") == 0


@pytest.mark.parametrize(
    ("named", "sentence"), [("v1", "v1 is in production"), ("v9", "v9"), ("candidat", "candidat")]
)
def test_a_version_that_cannot_be_the_shadow_is_refused(published, named, sentence):
    published.add()
    published.promote("v1")
    assert published.call("--shadow", named) == 2
    assert sentence in published.erred
    assert published.registry.alias("tiny", "shadow") is None


def test_the_shadow_answers_the_same_rows_and_only_the_log_hears_of_it(published, shadowed):
    published.call("--shadow", "v2")
    follow(shadowed)
    answers = shadowed.ask("POST", "/predict", RECORDS, {"x-request-id": "a"}).json
    assert {answer["model_version"] for answer in answers} == {"v1"}
    turn(shadowed)
    logged = rows(published.home)
    own = [row for row in logged if row["role"] == "production"]
    other = [row for row in logged if row["role"] == "shadow"]
    assert {row["version"] for row in other} == {"v2"}
    assert {row["prediction"] for row in other} == {"no"}
    for a, b in zip(own, other, strict=True):
        assert (a["request_id"], a["row"], a["in.age"]) == (b["request_id"], b["row"], b["in.age"])
        assert a["probability"] == b["probability"]
    n_yes = sum(answer["prediction"] == "yes" for answer in answers)
    assert n_yes > 0
    assert shadowed.value("bentoline_shadow_rows_total") == len(RECORDS)
    assert shadowed.value("bentoline_shadow_disagreements_total") == n_yes
    assert shadowed.value("bentoline_shadow_seconds_total") > 0


def test_disagreements_are_reported_out_of_the_log(published, shadowed, monkeypatch):
    monkeypatch.setenv("BENTOLINE_PREDICTION_LOG", str(published.home / "log"))
    published.call("--shadow", "v2")
    follow(shadowed)
    answers = shadowed.ask("POST", "/predict", RECORDS).json
    turn(shadowed)
    report = published.home / "report.json"
    assert published.call("--shadow", "report", "--report", str(report)) == 0
    (found,) = json.loads(report.read_text())["disagreements"]
    n_yes = sum(answer["prediction"] == "yes" for answer in answers)
    assert (found["shadow"], found["production"], found["n_rows"]) == ("v2", "v1", len(RECORDS))
    assert found["n_other"] == n_yes
    assert found["pairs"] == [{"production": "yes", "shadow": "no", "n_rows": n_yes}]
    assert "yes -> no" in published.said


def test_a_shadow_that_took_long_leaves_rows_out_and_counts_them(published, shadowed, monkeypatch):
    published.call("--shadow", "v2")
    follow(shadowed)
    clock = iter([100.0, 100.0, 101.0, 109.0, 111.0, 111.0, 111.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    shadow = shadowed.app.log.shadow
    shadowed.app.log._sink = None
    with monkeypatch.context() as still:
        still.setattr(time, "monotonic", lambda: 1.0)
        for _ in range(3):
            shadowed.ask("POST", "/predict", RECORDS[:2])
    entries = list(shadowed.app.log._waiting)
    assert len(shadow.answer(entries[:1])) == 1  # from 100 to 101: it rests until 110
    assert shadow.answer(entries[1:2]) == []  # at 109
    assert len(shadow.answer(entries[2:])) == 1  # at 111
    assert shadowed.value("bentoline_shadow_dropped_total") == 2
    assert shadowed.value("bentoline_shadow_rows_total") == 4


def test_a_shadow_that_was_turned_off_or_promoted_answers_nothing(published, shadowed):
    published.call("--shadow", "v2")
    follow(shadowed)
    published.call("--shadow", "off")
    follow(shadowed)
    assert shadowed.app.log.shadow.model is None
    published.registry.set_alias("tiny", "shadow", "v1", actor="a", why="b")
    follow(shadowed)
    shadowed.ask("POST", "/predict", RECORDS)
    turn(shadowed)
    assert {row["role"] for row in rows(published.home)} == {"production"}


def test_a_shadow_is_followed_only_where_the_registry_is(tmp_path):
    shadow = Shadow(settings(tmp_path / "v3"), None)
    with pytest.raises(StopIteration):
        shadow.follow().send(None)


@pytest.mark.parametrize(
    ("production", "shadow", "interval", "is_other"),
    [
        ("yes", "yes", None, False),
        ("yes", "no", None, True),
        (10.0, 12.0, (8.0, 12.0), False),
        (10.0, 12.1, (8.0, 12.0), True),
        (10.0, 10.5, None, False),
        (10.0, 10.6, None, True),
        (-10.0, -10.6, None, True),
        (0.0, 0.0, None, False),
    ],
)
def test_answers_disagree_by_class_interval_or_a_twentieth(production, shadow, interval, is_other):
    assert is_other_answer(production, shadow, interval) is is_other
