"""Promotions at once: ZenML ends with one version in production, and it is the registry's."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.published import Published

ROOT = Path(__file__).parents[2]
N_PROCESSES = 8

# Everything is imported before the start, so that all of them move in the same moment.
PROMOTE = """
import sys, time
from pathlib import Path
import run, pipelines.commands.promotion
version, start = sys.argv[1], Path(sys.argv[2])
print("ready", flush=True)
while not start.exists():
    time.sleep(0.001)
sys.exit(run.main(["--promote", version, "--to", "production", "--why", version,
                   "--problem", "tiny"]))
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A ZenML store of the test's own."""
    return os.environ | {
        "BENTOLINE_HOME": str(tmp_path),
        "ZENML_CONFIG_PATH": str(tmp_path / "zenml"),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_VERBOSITY": "CRITICAL",
    }


def stages(home: Path) -> dict[str, str | None]:
    """Stage by version, from ZenML's database."""
    database = next(iter(home.rglob("zenml.db")))
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        return dict(store.execute("select name, stage from model_version").fetchall())


def in_production(home: Path) -> list[str]:
    return [name for name, stage in stages(home).items() if stage == "production"]


def promote(version: str, start: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """A process that promotes the version once `start` exists."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROMOTE, version, str(start)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_eight_promotions_at_once_leave_one_version_in_production_in_zenml(
    tmp_path: Path, environment: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    published = Published(tmp_path, capfd)
    versions = [published.add() for _ in range(N_PROCESSES)]
    subprocess.run(  # ZenML makes its store when it is first used
        [sys.executable, "-c", "from zenml.client import Client; Client().active_user"],
        env=environment,
        check=True,
        capture_output=True,
    )
    start = tmp_path / "start"
    processes = [promote(version, start, environment) for version in versions]
    start.touch()
    said = {
        version: process.communicate(timeout=240)
        for version, process in zip(versions, processes, strict=True)
    }
    codes = {
        version: process.returncode for version, process in zip(versions, processes, strict=True)
    }
    assert set(codes.values()) <= {0, 2}, said
    moves = [move for move in published.registry.audit("tiny") if not move["refused"]]
    assert sorted(move["to"] for move in moves) == sorted(
        v for v, code in codes.items() if not code
    )
    champion = published.registry.alias("tiny", "production")
    assert champion == moves[-1]["to"]
    assert set(stages(tmp_path)) == set(versions), said
    assert in_production(tmp_path) == [champion], said
    check_kill_is_healed(published, environment)


def check_kill_is_healed(published: Published, environment: dict[str, str]) -> None:
    """A process killed after its move leaves the registry whole, and ZenML for --status to mend."""
    before = published.registry.alias("tiny", "production")
    other = next(v for v in published.registry.versions("tiny") if v != before)
    start = published.home / "start"
    dying = promote(other, start, environment)
    deadline = time.monotonic() + 120
    while published.registry.alias("tiny", "production") != other:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    dying.kill()
    dying.communicate()
    assert in_production(published.home) == [before]
    done = subprocess.run(
        [sys.executable, "run.py", "--status"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"ZenML disagreed: tiny {before} was in production" in done.stdout
    assert in_production(published.home) == [other]
