"""`--init` as a user meets it: questions, refusals without half a YAML, a collection, training."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pymongo import MongoClient

import run
from tabular.problem import load_problem
from tests.integration.mongo_server import Server

N = 300
RNG = np.random.default_rng(0)


def people() -> pd.DataFrame:
    age = RNG.integers(18, 80, N)
    return pd.DataFrame(
        {
            "zip": [str(1_000 + i % 25) for i in range(N)],
            "age": [f"{a} years" for a in age],
            "buys": np.where(age + RNG.normal(0, 15, N) > 50, "yes", "no"),
        }
    )


@pytest.fixture
def table(tmp_path: Path) -> Path:
    people().to_csv(tmp_path / "people.csv", index=False, sep=";")
    return tmp_path / "people.csv"


@pytest.fixture
def init(tmp_path: Path) -> Callable[..., int]:
    def call(source: Path | str, *flags: str, target: str = "buys", name: str = "") -> int:
        file = name or str(tmp_path / "people.yaml")
        return run.main(["--init", str(source), "--target", target, "--name", file, *flags])

    return call


class Terminal:
    """A terminal whose user types these lines."""

    def __init__(self, *lines: str) -> None:
        self.lines = iter(lines)

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return next(self.lines) + "\n"


def test_user_is_asked_about_what_is_unsure(
    table: Path, init: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is asked for again until it is one of the choices."""
    monkeypatch.setattr(sys, "stdin", Terminal("what", "num"))
    assert init(table) == 0
    assert load_problem("people", tmp_path).columns["zip"].type == "number"


def test_nobody_to_ask_is_said_and_nothing_is_written(
    table: Path,
    init: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    assert init(table) == 2
    assert "1 decisions are unsure (zip), and nobody is there to ask" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.yaml"))


def test_report_has_each_decision(table: Path, init: Callable[..., int], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert init(table, "--yes", "--report", str(report)) == 0
    outcome = json.loads(report.read_text())
    assert outcome["columns"]["age"]["unit"] == "years"
    assert outcome["columns"]["zip"]["sureness"] == "unsure"
    assert outcome["rows"]["table"] == N


def test_yaml_that_is_there_is_not_overwritten(
    table: Path, init: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "people.yaml").write_text("mine")
    assert init(table, "--yes") == 2
    assert "is there already and is not overwritten; choose another" in capsys.readouterr().err
    assert (tmp_path / "people.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("content", "target", "says"),
    [
        (b"x,buys\n1,a\n", "buy", r"--target 'buy' is no column \(did you mean 'buys'?)"),
        (b"x,buys\n" + b"1,a\n2,b\n" * 15, "buys", "30 rows are too few"),
        (b"PK\3\4\0\0\0", "buys", "this is a binary file, not CSV"),
        (b"", "buys", "the file is empty"),
        (b"buys\n" + b"a\nb\n" * 99, "buys", "'buys' is the only column"),
        (b"x,buys\n" + b"1,a\n2,a\n" * 99, "buys", "is 'a' in every row"),
        (None, "buys", "there is no such file"),
    ],
)
def test_table_that_cannot_be_used_is_refused_whole(
    content: bytes | None,
    target: str,
    says: str,
    init: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One sentence, exit code 2, no YAML."""
    if content is not None:
        (tmp_path / "bad.csv").write_bytes(content)
    assert init(tmp_path / "bad.csv", "--yes", target=target) == 2
    assert says.replace("\\", "") in capsys.readouterr().err
    assert not list(tmp_path.glob("*.yaml"))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--init", "t.csv"], "--target COLUMN is missing"),
        (["--init", "t.csv", "--target", "y", "--problem", "x"], "named by --name"),
        (["--init", "t.csv", "--target", "y", "--name", "My Table"], "write --name my_table"),
        (["--init", "mongodb://u:geheim@h/db", "--target", "y"], "the address names no collection"),
    ],
)
def test_flags_that_do_not_fit_are_refused(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main([*flags, "--yes"]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "geheim" not in error


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("mongo")).start()
    yield running
    running.stop()


def test_collection_is_described_and_no_password_is_written(
    server: Server, init: Callable[..., int], tmp_path: Path, capsys: Any
) -> None:
    rows = people().assign(home=[{"town": "Ulm" if i % 3 else "Bonn"} for i in range(N)])
    with MongoClient(server.uri()) as client:
        client["shop"]["people"].insert_many(rows.to_dict("records"))
    address = server.uri().rstrip("/")
    assert init(f"{address}/shop.people", "--yes") == 0
    problem = load_problem("people", tmp_path)
    assert (problem.source.database, problem.source.collection) == ("shop", "people")
    assert problem.columns["home.town"].categories == ("Bonn", "Ulm")
    assert address not in (tmp_path / "people.yaml").read_text()
    capsys.readouterr()
    other = str(tmp_path / "other.yaml")
    assert init(f"{address}/shop?collection=poeple", "--yes", name=other) == 2
    assert (
        "no such collection, or nothing in it (did you mean 'people'?)" in capsys.readouterr().err
    )


def test_proposal_trains_as_it_was_written(
    table: Path, init: Callable[..., int], tmp_path: Path, train: Callable[..., Any]
) -> None:
    assert init(table, "--yes") == 0
    outcome = train(tmp_path / "people.yaml")
    assert outcome.code == 0, outcome.stderr
