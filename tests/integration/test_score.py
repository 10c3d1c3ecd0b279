"""`run.py --score`, end to end: from files, S3 and MongoDB, here and on Dask."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

import run
from tabular.engines import open_cluster
from tabular.registry import open_registry
from tabular.scoring import input as scoring_input
from tests.integration.mongo_server import Server, free_port, mongo
from tests.s3 import BUCKET, client, credentials, moto
from tests.unit.tiny import RECORDS, write_tiny

__all__ = ["mongo"]  # a fixture

N_ROWS = 1000
Score = Callable[..., "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What one call of the command gave."""

    code: int
    out: str
    error: str
    report: dict[str, Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose registry has a tiny model in production, for the problem iris."""
    folder = tmp_path / "home"
    monkeypatch.setenv("BENTOLINE_HOME", str(folder))
    monkeypatch.delenv("BENTOLINE_REGISTRY", raising=False)
    registry = open_registry(str(folder / "registry"))
    version = registry.publish("iris", write_tiny(tmp_path / "bundle").path)
    registry.set_alias("iris", "production", version, actor="test", why="to score with")
    return folder


@pytest.fixture
def score(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Score:
    """Call `run.py --score`, in this process."""

    def call(source: Path | str, *flags: str, problem: Path | str = "iris") -> Outcome:
        report = tmp_path / "report.json"
        report.unlink(missing_ok=True)
        arguments = ["--score", str(source), "--problem", str(problem), "--report", str(report)]
        code = run.main([*arguments, *flags])
        said = capfd.readouterr()
        content = json.loads(report.read_text()) if report.exists() else {}
        return Outcome(code, said.out, said.err, content)

    return call


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A thousand rows in ten row groups, one of them with a value that is refused."""
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(documents()), path, row_group_size=100)
    return path


def documents() -> list[dict[str, Any]]:
    """The tiny problem's rows as text; row 7 has an age that is refused."""
    rows = [
        {k: None if v is None else str(v) for k, v in RECORDS[i % 4].items()} for i in range(N_ROWS)
    ]
    rows[7]["age"] = "17"
    return [{"row": f"r{i}", **row} for i, row in enumerate(rows)]


def answers(outcome: Outcome) -> list[dict[str, Any]]:
    """The rows of the output in order."""
    rows: list[dict[str, Any]] = pq.read_table(outcome.report["out"]).to_pylist()
    return sorted(rows, key=lambda row: row["row_number"])


def test_score_answers_a_file_and_reports(score: Score, table: Path, home: Path) -> None:
    """Default output: a folder of its own below the home; counts, speed and reasons are said."""
    outcome = score(table)
    assert outcome.code == 0, outcome.error
    assert (outcome.report["rows"], outcome.report["refused"]) == (N_ROWS, 1)
    assert outcome.report["version"] == "v1"
    assert "1,000 rows scored by iris v1" in outcome.out
    assert "1 of them broke the contract and have no answer: age: in [18, 90] (1)" in outcome.out
    assert Path(outcome.report["out"]).parent == home / "scores" / "iris"
    rows = answers(outcome)
    assert [row["row"] for row in rows] == [f"r{i}" for i in range(N_ROWS)]
    assert [row["row_number"] for row in rows if row["prediction"] is None] == [7]
    again = score(table)
    assert again.code == 0
    assert again.report["out"] != outcome.report["out"]


def test_dask_gives_the_same_answers(
    score: Score, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster of processes writes the same parts, of a CSV too, whose rows are sent to it."""
    monkeypatch.setattr(scoring_input, "PIECE_ROWS", 200)
    here = score(table)
    rows = tmp_path / "rows.csv"
    pa_csv.write_csv(pq.read_table(table), rows)
    with open_cluster(n_workers=2) as cluster:
        named = ("--scheduler", cluster.client.scheduler.address)
        for source, where in ((table, ()), (table, named), (rows, named)):
            there = score(source, "--engine", "dask", *where)
            assert there.code == 0, there.error
            assert there.report["engine"] == "dask"
            assert answers(there) == answers(here)
            assert there.report["by_rule"] == here.report["by_rule"]


def test_score_reads_s3(score: Score, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object, as any file."""
    here = answers(score(table))
    with moto() as endpoint:
        client(endpoint).create_bucket(Bucket=BUCKET)
        client(endpoint).upload_file(str(table), BUCKET, "in/rows.parquet")
        for name, value in credentials(endpoint).items():
            monkeypatch.setenv(name, value)
        outcome = score(f"s3://{BUCKET}/in/rows.parquet")
    assert outcome.code == 0, outcome.error
    assert answers(outcome) == here


def test_score_reads_mongodb(
    score: Score,
    table: Path,
    mongo: Server,
    make_problem: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A collection, in order of `_id`; the copy that was scored is not left in the output."""
    with mongo.client() as connected:
        connected["shop"]["rows"].insert_many(
            [{"_id": i, **document} for i, document in enumerate(documents())]
        )
    source = {"kind": "mongodb", "database": "shop", "collection": "rows"}
    problem = make_problem("iris", source=source)
    monkeypatch.setenv("MONGODB_URI", mongo.uri())
    outcome = score("mongodb", problem=problem)
    assert outcome.code == 0, outcome.error
    assert answers(outcome) == answers(score(table))
    assert not list(Path(outcome.report["out"]).glob("_input*"))


def test_mongodb_without_a_server_or_a_collection_is_one_sentence(
    score: Score, make_problem: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both name what to write."""
    monkeypatch.delenv("MONGODB_URI", raising=False)
    problem = make_problem("iris", source={"kind": "sklearn", "path": "iris"})
    check_sentence(score("mongodb", problem=problem), "source.kind is sklearn", "kind: mongodb")
    source = {"kind": "mongodb", "database": "shop", "collection": "rows"}
    problem = make_problem("iris", source=source)
    check_sentence(score("mongodb", problem=problem), "MONGODB_URI is not set")


def test_no_production_version_is_one_sentence(score: Score, table: Path, home: Path) -> None:
    """A problem without a version, and one whose versions were all refused."""
    check_sentence(score(table, problem="food_delivery"), "food_delivery", "no version", "--train")
    registry = open_registry(str(home / "registry"))
    registry.publish("fresh", registry.fetch("iris", "v1"))
    check_sentence(score(table, problem="fresh"), "fresh has no production yet", "--promote")


def bad_inputs(folder: Path, table: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Inputs that cannot be scored, and what must be said."""
    whole = pq.read_table(table)
    pq.write_table(whole.drop_columns("fee"), folder / "narrow.parquet")
    yield folder / "narrow.parquet", ("narrow.parquet", "1 of 4 columns missing: ['fee']")
    pq.write_table(whole.slice(0, 0), folder / "empty.parquet")
    yield folder / "empty.parquet", ("empty.parquet", "no row")
    (folder / "parts").mkdir()
    pq.write_table(whole, folder / "parts" / "a.parquet")
    (folder / "parts" / "b.parquet").write_bytes(table.read_bytes()[:-500])
    yield folder / "parts", ("b.parquet", "cannot be read as parquet")
    yield folder / "none.parquet", ("none.parquet", "no such file")


def test_bad_input_is_one_sentence_and_leaves_nothing(
    score: Score, table: Path, tmp_path: Path
) -> None:
    """Exit code 2, what is wrong and where, and no output."""
    for source, parts in bad_inputs(tmp_path, table):
        check_sentence(score(source, "--out", str(tmp_path / "out")), *parts)
        assert not [p for p in tmp_path.iterdir() if p.name.startswith((".out", "out"))]


def test_silent_scheduler_is_one_sentence(score: Score, table: Path) -> None:
    """Nobody listens; the command does not wait for minutes."""
    address = f"tcp://127.0.0.1:{free_port()}"
    outcome = score(table, "--engine", "dask", "--scheduler", address)
    check_sentence(outcome, address, "no Dask scheduler answers", "within 5 s")


def check_sentence(outcome: Outcome, *parts: str) -> None:
    """Exit code 2 and one sentence on stderr that has all parts."""
    assert outcome.code == 2
    lines = [line for line in outcome.error.splitlines() if line.startswith("bentoline: ")]
    assert len(lines) == 1, outcome.error
    assert not re.search("Traceback", outcome.error)
    for part in parts:
        assert part in lines[0]
