"""Scoring runs that die, and disks that fill: the same command goes on, and no half is taken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tabular.registry import open_registry
from tabular.scoring.output import work_folder
from tests.disks import Disk
from tests.unit.tiny import RECORDS, write_tiny

ROOT = Path(__file__).parents[2]
N_ROWS = 1_000_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a tiny model in production."""
    folder = tmp_path_factory.mktemp("home")
    registry = open_registry(str(folder / "registry"))
    version = registry.publish("tiny", write_tiny(folder / "bundle").path)
    registry.set_alias("tiny", "production", version, actor="test", why="to score with")
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A million rows in four parts."""
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    few = pa.Table.from_pylist(
        [{k: None if v is None else str(v) for k, v in r.items()} for r in RECORDS]
    )
    rows = few.take(pa.array([i % 4 for i in range(N_ROWS)]))
    pq.write_table(rows, path, row_group_size=262_144)
    return path


def start(home: Path, table: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    """`run.py --score` in a process of its own."""
    command = [sys.executable, "run.py", "--score", str(table), "--problem", "tiny"]
    return subprocess.Popen(
        [*command, "--out", str(out), *flags],
        cwd=ROOT,
        env=os.environ | {"BENTOLINE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a run that must succeed; what it said."""
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out


def parts(folder: Path) -> dict[str, int]:
    """Finished parts and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*.parquet")}


def test_killed_run_goes_on_and_gives_the_same_answers(
    home: Path, table: Path, tmp_path: Path
) -> None:
    """After kill -9 nothing looks whole; the same command does the rest only."""
    finish(start(home, table, tmp_path / "whole"))
    out = tmp_path / "out"
    kept: dict[str, int] = {}
    for _ in range(2):
        dying = start(home, table, out)
        wait_for_a_part(work_folder(out), len(kept), dying)
        dying.send_signal(signal.SIGKILL)
        dying.communicate(timeout=60)
        assert not out.exists()
        now = parts(work_folder(out))
        assert kept.items() <= now.items()
        kept = now
    said = finish(start(home, table, out))
    assert "finished parts are kept" in said
    assert kept.items() <= parts(out).items()
    assert pq.read_table(out).equals(pq.read_table(tmp_path / "whole"))
    assert manifest(out)["rows"] == N_ROWS
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def wait_for_a_part(work: Path, n_before: int, process: subprocess.Popen[str]) -> None:
    """Return once there is one part more than before."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if len(parts(work)) > n_before:
            return
        time.sleep(0.002)
    raise AssertionError("no part was finished before the run ended")


def manifest(out: Path) -> dict[str, Any]:
    """What the run says about itself."""
    content: dict[str, Any] = json.loads((out / "_manifest.json").read_text())
    return content


@pytest.mark.parametrize("name", ["out", "out.csv"])
def test_full_disk_is_one_sentence_and_the_run_goes_on_with_more_room(
    home: Path, table: Path, disk: Disk, name: str
) -> None:
    """Exit code 2 and the fix; with room, the same command ends."""
    small_disk = disk("12m")  # less than the answers need
    out = small_disk / name
    filler = small_disk / "filler"
    filler.write_bytes(bytes(11_500_000))
    full = start(home, table, out)
    _, error = full.communicate(timeout=120)
    assert full.returncode == 2, error
    assert len(error.strip().splitlines()) == 1, error
    assert "No space left" in error
    assert "free some room" in error
    assert not out.exists()
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=300m", str(small_disk)], check=True)
    finish(start(home, table, out))
    assert out.exists()
