"""`--labels`: outcomes join their answers once; every other one is named, and costs nothing."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.metrics import f1_score

from tabular.decision import Decision
from tabular.errors import ConfigError, DataError
from tabular.prediction_log.labels import take_labels
from tabular.prediction_log.layout import log_schema, write_rows
from tabular.prediction_log.performance import by_version
from tabular.prediction_log.reading import EARLIEST, joined_labels, read_labels
from tabular.problem import load_problem
from tests.unit.published import published

__all__ = ["published"]  # a fixture

ROOT = Path(__file__).parents[2]
INSURANCE = load_problem("vehicle_insurance", ROOT / "configs" / "problems")
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
ANSWERED = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)


def answer(problem, log, ids, *, role="production", version="v1", probability=0.7, row=0):
    """Log one answered row for each request."""
    schema = log_schema(problem.contract, problem.task)
    probabilities = np.broadcast_to(probability, len(ids))
    rows = [
        dict.fromkeys(schema.names)
        | {
            "at": ANSWERED + timedelta(seconds=place),
            "request_id": request_id,
            "row": row,
            "version": version,
            "role": role,
            "prediction": list(problem.target.classes)[int(p >= 0.5)],
            "probability": float(p),
        }
        for place, (request_id, p) in enumerate(zip(ids, probabilities, strict=True))
    ]
    write_rows(str(log), problem.name, pa.Table.from_pylist(rows, schema))


def take(log, given):
    return take_labels(str(log), INSURANCE, given, now=NOW)


def label(request_id, outcome=1, **more):
    return {"request_id": request_id, "outcome": outcome, **more}


def test_labels_join_every_version_that_answered_the_row(tmp_path):
    answer(INSURANCE, tmp_path, ["a", "b"])
    answer(INSURANCE, tmp_path, ["a"], role="shadow", version="v2")
    report = take(tmp_path, [label("a", "1"), label("b", 0.0)])
    assert (report.given, report.taken, report.known, report.refused) == (2, 2, 0, {})
    joined = joined_labels(str(tmp_path), "vehicle_insurance", ANSWERED).to_pylist()
    found = [(row["request_id"], row["version"], row["role"], row["outcome"]) for row in joined]
    assert sorted(found) == [
        ("a", "v1", "production", "1"), ("a", "v2", "shadow", "1"), ("b", "v1", "production", "0"),
    ]  # fmt: skip


@pytest.mark.parametrize("n_labels", [1, 3, 40])
def test_of_many_answers_the_labelled_are_joined(tmp_path, n_labels):
    """However many files are searched at once: each, some, or all at the end."""
    ids = [f"r{place}" for place in range(40)]
    for start in range(0, 40, 8):
        answer(INSURANCE, tmp_path, ids[start : start + 8], row=start)
    given = [label(name, row=int(name[1:]) // 8 * 8) for name in ids[-n_labels:]]
    assert take(tmp_path, given).taken == n_labels
    joined = joined_labels(str(tmp_path), INSURANCE.name, ANSWERED)
    assert sorted(joined["request_id"].to_pylist()) == sorted(ids[-n_labels:])


def test_the_same_labels_again_change_nothing(tmp_path):
    answer(INSURANCE, tmp_path, ["a", "b"])
    given = [label("a"), label("b", 0), label("a")]
    assert take(tmp_path, given).known == 1
    files = sorted(tmp_path.rglob("labels/**/*.parquet"))
    again = take(tmp_path, given)
    assert (again.taken, again.known) == (0, 3)
    assert sorted(tmp_path.rglob("labels/**/*.parquet")) == files


def test_every_wrong_label_is_named_by_its_rule_and_the_good_ones_are_kept(tmp_path):
    answer(INSURANCE, tmp_path, ["a", "b", "c"])
    answer(INSURANCE, tmp_path, ["s"], role="shadow")
    given = [
        label("a"),
        label("never"),
        label("s"),
        label("a", 0),
        label("b", "maybe"),
        label("b", row=1.5),
        label("b", at="2026-03-10T12:06:00+00:00"),
        label("b", at=ANSWERED - timedelta(hours=1)),
        label("c", at=ANSWERED - timedelta(minutes=1)),
        {"outcome": 1},
    ]
    report = take(tmp_path, given)
    assert (report.given, report.taken) == (10, 2)
    assert [(row.place, row.rule.partition(":")[0]) for row in report.rows] == [
        (2, "unknown"), (3, "unknown"), (4, "doubled"), (5, "outcome"), (6, "row"), (7, "at"),
        (8, "at"), (10, "request_id"),
    ]  # fmt: skip
    assert sum(report.refused.values()) == 8
    kept = read_labels(str(tmp_path), "vehicle_insurance", EARLIEST).to_pylist()
    assert sorted((row["request_id"], row["outcome"]) for row in kept) == [("a", "1"), ("c", "1")]


def test_an_unreadable_file_in_the_log_is_named_and_the_rest_is_joined(tmp_path):
    answer(INSURANCE, tmp_path, ["a"])
    answer(INSURANCE, tmp_path, ["b"])
    broken = min(tmp_path.rglob("*.parquet"))
    broken.write_bytes(broken.read_bytes()[:50])
    report = take(tmp_path, [label("a"), label("b")])
    assert report.taken == 1
    assert str(broken) in report.unreadable[0]
    with pytest.raises(DataError, match=f"{broken.name}.*cannot be read as parquet"):
        joined_labels(str(tmp_path), "vehicle_insurance", ANSWERED)


def test_a_log_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="there is no prediction log of vehicle_insurance"):
        take(tmp_path / "gone", [label("a")])


def test_live_metrics_are_those_of_scikit_learn_and_calibration_is_counted(tmp_path):
    rng = np.random.default_rng(3)
    p = rng.random(400)
    y = (rng.random(400) < p).astype(int)
    ids = [f"r{n}" for n in range(400)]
    answer(INSURANCE, tmp_path, ids, probability=p)
    take(tmp_path, [label(i, int(true)) for i, true in zip(ids, y, strict=True)])
    joined = joined_labels(str(tmp_path), "vehicle_insurance", EARLIEST)
    classes = tuple(INSURANCE.target.classes)
    decision = Decision(
        task="binary",
        classes=classes,
        positive=classes.index(INSURANCE.target.positive),
        threshold=0.5,
    )
    (found,) = by_version(joined, INSURANCE, lambda _: decision)
    assert (found.version, found.role, found.n_rows) == ("v1", "production", 400)
    f1 = found.metrics["f1"]
    assert f1.value == pytest.approx(f1_score(y, p >= 0.5))
    assert f1.low < f1.value < f1.high
    assert len(found.calibration) == 10
    assert found.calibration == tuple(sorted(found.calibration, key=lambda pair: pair[0]))
    order = np.argsort(p)
    assert found.calibration[0] == pytest.approx((p[order[:40]].mean(), y[order[:40]].mean()))


@pytest.fixture
def command(published, tmp_path):
    """A problem `tiny` with a version and an answered request."""
    raw = yaml.safe_load((ROOT / "configs/problems/vehicle_insurance.yaml").read_text())
    raw["target"] |= {"classes": {"no": 0, "yes": 1}, "positive": "yes"}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(raw))
    published.add()
    problem = load_problem("tiny", tmp_path)
    answer(problem, tmp_path / "predictions", ["a", "b"])
    return published


def call(command, file, *flags):
    report = command.home / "report.json"
    problem = str(command.home / "tiny.yaml")
    code = command.call(
        "--labels", str(file), "--problem", problem, "--report", str(report), *flags
    )
    return code, json.loads(report.read_text())


def test_a_version_with_other_classes_than_the_yaml_is_said(tmp_path):
    answer(INSURANCE, tmp_path, ["a"])
    take(tmp_path, [label("a")])
    joined = joined_labels(str(tmp_path), "vehicle_insurance", EARLIEST)
    other = Decision(task="binary", classes=("a", "b"), positive=1, threshold=0.5)
    with pytest.raises(ConfigError, match=r"v1 answers \['a', 'b'\], but target.classes names"):
        by_version(joined, INSURANCE, lambda _: other)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_is_taken_and_what_is_refused_lies_in_quarantine(command, form):
    file = command.home / f"labels.{form}"
    rows = pa.table({" request_id": ["a", "x"], "Response": ["1", "0"], "row": ["0", ""]})
    if form == "csv":
        file.write_text(" request_id,Response,row\na,1,0\nx,0,\n")
    else:
        pq.write_table(rows, file)
    code, report = call(command, file)
    assert (code, report["taken"], report["given"]) == (0, 1, 2)
    assert "1 refused: unknown" in command.said
    assert [(v["version"], v["n_rows"]) for v in report["versions"]] == [("v1", 1)]
    assert "x,0,0,unknown" in Path(report["quarantine"]).read_text().replace(",,", ",0,")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("request_id,Response\nx,1\ny,0\n", "none of 2 labels could be taken, 2 of them by"),
        ("requestid,Response\na,1\n", r"there is no column request_id \(did you mean 'requestid'"),
        ("request_id,Respons\na,1\n", "there is no column Response or outcome"),
        ("", "the file is empty"),
    ],
)
def test_where_nothing_can_be_taken_a_sentence_says_why(command, content, sentence):
    file = command.home / "labels.csv"
    file.write_text(content)
    code, report = call(command, file)
    assert code == 2
    assert re.search(sentence, report["error"])
    assert not (command.home / "predictions" / "labels").exists()


def test_a_collection_needs_a_server_and_a_name(command, monkeypatch):
    monkeypatch.delenv("MONGODB_URI", raising=False)
    code, report = call(command, "mongodb")
    assert (code, "MONGODB_URI is not set" in report["error"]) == (2, True)
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:1")
    code, report = call(command, "mongodb")
    assert (code, "log.labels_collection" in report["error"]) == (2, True)
