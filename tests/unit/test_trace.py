"""From a request's id to the version, run, data, commit and move behind its answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pipelines.lineage import promoted_by
from tabular.prediction_log.layout import log_schema, write_rows
from tests.unit.published import GOOD, Published, published
from tests.unit.tiny import CONTRACT

__all__ = ["published"]

REPORT = {
    "run": "a633f359-fbee-43d4-bec9-2896f621696f",
    "git_commit": "895535035414501ccc8f3cf1b5fe7e4f863efa9f",
    "source": "rows.csv",
    "chosen": {"candidate": "lightgbm"},
}


def log_answer(home: Any, request_id: str, version: str, **values: Any) -> None:
    """Write one answered row as the service does."""
    schema = log_schema(CONTRACT, "binary")
    row = {
        "at": datetime.now(UTC),
        "request_id": request_id,
        "row": 0,
        "version": version,
        "role": "production",
        "prediction": "yes",
        "probability": 0.71,
        **values,
    }
    write_rows(str(home / "predictions"), "tiny", pa.Table.from_pylist([row], schema))


@pytest.fixture
def answered(published: Published, monkeypatch: pytest.MonkeyPatch) -> Published:
    """Version v2 in production after v1, and one answer of each."""
    monkeypatch.delenv("BENTOLINE_PREDICTION_LOG", raising=False)
    for version in ("v1", "v2"):
        published.add(report={**REPORT, "created_at": f"2026-01-0{version[1]}T00:00:00+00:00"})
        published.promote(version)
        log_answer(published.home, f"request-{version}", version)
    published.capfd.readouterr()
    return published


def test_trace_prints_everything_behind_an_answer(answered: Published) -> None:
    assert answered.call("--trace", "request-v1") == 0
    for said in (
        "request-v1",
        "prediction yes, probability 0.7100",
        "tiny v1 (lightgbm)",
        str(answered.home / "registry" / "tiny" / "versions" / "v1"),
        REPORT["run"],
        REPORT["git_commit"],
        "ab" * 32,
        "rows.csv",
        "train 200",
        "As measured.",
        GOOD[0]["sentence"],
        "it is better",
    ):
        assert str(said) in answered.said.replace("\n", "") or str(said) in answered.said


def test_trace_as_json_names_the_version_that_answered_not_the_present_one(
    answered: Published,
) -> None:
    report = answered.home / "trace.json"
    assert answered.call("--trace", "request-v1", "--json", "--report", str(report)) == 0
    found = json.loads(answered.said)
    assert json.loads(report.read_text()) == found
    assert (found["version"], found["run"]) == ("v1", REPORT["run"])
    assert found["answer"] == {"prediction": "yes", "probability": 0.71}
    assert found["promoted"]["from"] is None
    assert found["data"]["sha256"] == "ab" * 32
    assert [gate["passed"] for gate in found["verdict"]["gates"]] == [True, True]


def test_trace_finds_the_problem_by_itself(answered: Published) -> None:
    import run

    assert run.main(["--trace", "request-v2", "--json"]) == 0
    assert json.loads(answered.capfd.readouterr().out)["problem"] == "tiny"


def test_snapshot_is_named_where_it_is_still_there(answered: Published) -> None:
    file = answered.home / "snapshots" / "tiny" / f"{'ab' * 8}.parquet"
    answered.call("--trace", "request-v1", "--json")
    assert json.loads(answered.said)["data"]["snapshot"] is None
    file.parent.mkdir(parents=True)
    file.touch()
    answered.call("--trace", "request-v1", "--json")
    assert json.loads(answered.said)["data"]["snapshot"] == str(file)


@pytest.mark.parametrize("name", ["nobody", "request-v", ""])
def test_unknown_request_is_one_sentence(answered: Published, name: str) -> None:
    import run

    assert run.main(["--trace", name, "--problem", "tiny"]) == 2
    erred = answered.capfd.readouterr().err
    assert "has no request" in erred
    assert erred.count("\n") == 1


def test_problem_that_was_never_asked_is_no_error_of_its_own(published: Published) -> None:
    published.add()
    assert published.call("--trace", "anything") == 2
    assert "has no request 'anything' of tiny" in published.erred


def test_log_that_is_off_is_named(answered: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOLINE_PREDICTION_LOG", "off")
    assert answered.call("--trace", "request-v1") == 2
    assert "BENTOLINE_PREDICTION_LOG is off here" in answered.erred


def test_request_of_a_version_that_was_deleted_says_so(answered: Published) -> None:
    log_answer(answered.home, "older", "v9")
    assert answered.call("--trace", "older") == 2
    assert "has no version 'v9'" in answered.erred


def test_move_that_counts_is_the_last_one_before_the_answer() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def move(day: int, to: str, **other: str) -> dict[str, Any]:
        facts = {
            "alias": "production",
            "actor": f"day {day}",
            "why": "",
            "override": "",
            "from": "",
        }
        return (
            {"to": to, "at": (start + timedelta(days=day)).isoformat(), "refused": ""}
            | facts
            | other
        )

    moves = [
        move(0, "v1"),
        move(1, "v2"),
        move(2, "v1"),
        move(3, "v1", refused="too late"),
        move(4, "v1", alias="staging"),
        move(9, "v1"),
    ]
    found = promoted_by(moves, "v1", start + timedelta(days=5))
    assert found is not None
    assert found["actor"] == "day 2"
    assert promoted_by(moves, "v3", start + timedelta(days=5)) is None
