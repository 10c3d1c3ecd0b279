"""Runs that die: kill -9, Ctrl-C, a full disk. The next run works, and no half version is seen."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tabular.bundle import load_bundle
from tests.disks import Disk

ROOT = Path(__file__).parents[2]


def start(home: Path) -> subprocess.Popen[str]:
    """`run.py --train --problem iris` in a process and a ZenML store of its own."""
    environment = os.environ | {
        "BENTOLINE_HOME": str(home),
        "ZENML_CONFIG_PATH": str(home / "zenml"),
    }
    return subprocess.Popen(
        [sys.executable, "run.py", "--train", "--problem", "iris"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def check_registry_is_whole(home: Path, versions: set[str]) -> None:
    """Exactly these versions are visible, and each of them verifies."""
    folder = home / "registry" / "iris" / "versions"
    visible = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert visible == versions
    for name in visible:
        load_bundle(folder / name)


def test_run_killed_or_interrupted_leaves_a_store_that_the_next_run_uses(tmp_path: Path) -> None:
    """After kill -9, Ctrl-C and SIGTERM in a step the old version stays and the next run works."""
    first = start(tmp_path)
    out, err = first.communicate(timeout=180)
    assert first.returncode == 0, out + err
    for stop, code in ((signal.SIGKILL, -9), (signal.SIGINT, 2), (signal.SIGTERM, 2)):
        known = running_runs(tmp_path)
        dying = start(tmp_path)
        wait_for_a_new_run(tmp_path, dying, known)
        dying.send_signal(stop)
        _, err = dying.communicate(timeout=60)
        assert dying.returncode == code
        assert "Traceback" not in err
        check_registry_is_whole(tmp_path, {"v1"})
    last = start(tmp_path)
    out, err = last.communicate(timeout=180)
    assert last.returncode == 1, out + err  # published, and no better than v1
    assert "no better than the champion v1" in out
    assert running_runs(tmp_path) == set()
    check_registry_is_whole(tmp_path, {"v1", "v2"})


def running_runs(home: Path) -> set[str]:
    """Ids of the runs that ZenML's database holds for running, dead ones included."""
    database = next(iter(home.rglob("zenml.db")))
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        found = connection.execute("select id from pipeline_run where status = 'running'")
        return {str(row[0]) for row in found}


def wait_for_a_new_run(home: Path, process: subprocess.Popen[str], known: set[str]) -> None:
    """Return once a run is in state `running` that was not before."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if running_runs(home) - known:
            return
        time.sleep(0.02)
    raise AssertionError("the run never started")


@pytest.mark.parametrize("room_bytes", [0, 100_000])
def test_full_disk_is_one_sentence_and_loses_nothing(disk: Disk, room_bytes: int) -> None:
    """A disk without room: exit code 2 and the fix; nothing published is lost."""
    tiny_disk = disk("8m")
    first = start(tiny_disk)
    _, err = first.communicate(timeout=180)
    assert first.returncode == 0, err
    filler = fill(tiny_disk, room_bytes)
    full = start(tiny_disk)
    _, err = full.communicate(timeout=180)
    assert full.returncode == 2, err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1, err
    assert "BENTOLINE_HOME" in err
    check_registry_is_whole(tiny_disk, {"v1"})
    filler.unlink()
    again = start(tiny_disk)
    _, err = again.communicate(timeout=180)
    assert again.returncode == 1, err  # published, and no better than v1
    check_registry_is_whole(tiny_disk, {"v1", "v2"})


def fill(disk: Path, room_bytes: int) -> Path:
    """Fill a disk up to some bytes of room."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0" * 4096)
    os.truncate(filler, max(0, filler.stat().st_size - room_bytes))
    return filler
