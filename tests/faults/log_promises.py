"""What the prediction log promises of a writer that is killed, checked while it is counted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa

from tabular.prediction_log.reading import EARLIEST, read_log
from tabular.prediction_log.sealing import seal_all
from tests.faults.log_writer import COUNTS, ROWS
from tests.unit.tiny import write_tiny

ROOT = Path(__file__).parents[2]
WORST_START_S = 60.0


def kill(
    folder: Path, n_times: int, *, lives_s: tuple[float, float], drain_s: float, seal_rows: int
) -> dict[str, float]:
    """Kill a writer and its sealer with -9, so many times, and read what is there.

    Every flushed row is there once, of each request all rows or none, and nothing that was put
    before a row that is there is missing.

    Args:
        folder: For the log and everything else.
        n_times: How many writers are killed, one after another, on one log.
        lives_s: How long a writer lives after its first flush, drawn from this range.
        drain_s: How often it flushes.
        seal_rows: After how many rows a journal is sealed.
    """
    log, counts = folder / "log", folder / "counts"
    counts.mkdir(parents=True)
    bundle = write_tiny(folder / "v3", facts={"problem": "tiny"}).path
    arguments = [str(one) for one in (bundle, log, counts, drain_s, seal_rows)]
    command = [sys.executable, "-m", "tests.faults.log_writer", *arguments]
    draw = random.Random(7)  # noqa: S311  # moments, not secrets
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        for run in range(n_times):
            _kill(parent, str(run), counts, draw.uniform(*lives_s))
        assert parent.stdin is not None
        parent.stdin.close()
    noted = [COUNTS.unpack((counts / str(run)).read_bytes()) for run in range(n_times)]
    n_journals = len(list(log.rglob("*.frames")))
    before = _checked(log, noted)
    n_sealed = seal_all(log)
    assert _checked(log, noted) == before
    assert not list(log.rglob("*.frames"))
    return {**before, "journals left": n_journals, "sealed": n_sealed}


def _kill(parent: subprocess.Popen[str], run: str, counts: Path, life_s: float) -> None:
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(f"{run}\n")
    parent.stdin.flush()
    pid = int(parent.stdout.readline())
    deadline = time.monotonic() + WORST_START_S
    while not _has_flushed(counts / run):
        assert time.monotonic() < deadline, f"writer {run} flushes nothing"
        time.sleep(0.005)
    time.sleep(life_s)  # the moment of the kill is what is drawn
    os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        while True:
            os.killpg(pid, 0)
            time.sleep(0.001)


def _has_flushed(count: Path) -> bool:
    content = count.read_bytes() if count.exists() else b""
    return bool(content) and COUNTS.unpack(content)[0] > 0


def _checked(log: Path, noted: Sequence[tuple[int, float]]) -> dict[str, float]:
    rows = pa.Table.from_batches(
        read_log(str(log), "tiny", EARLIEST, columns=["request_id", "row", "at"])
    )
    ids, places = rows["request_id"].to_pylist(), rows["row"].to_pylist()
    last_at = dict.fromkeys(range(len(noted)), 0.0)
    requests: Counter[tuple[int, int]] = Counter()
    for name in ids:
        run, number = map(int, name.split("-"))
        requests[run, number] += 1
    doubled = [key for key, n in requests.items() if n != ROWS]
    assert not doubled, f"not once: {doubled[:5]}"
    assert np.array_equal(np.bincount(places), np.full(ROWS, len(requests)))
    for run, (n_flushed, _) in enumerate(noted):
        numbers = sorted(number for one, number in requests if one == run)
        assert numbers == list(range(len(numbers))), f"run {run} has holes"
        assert len(numbers) * ROWS >= n_flushed, f"run {run} lost flushed rows"
    seconds = [moment.timestamp() for moment in rows["at"].to_pylist()[::ROWS]]
    for name, at in zip(ids[::ROWS], seconds, strict=True):
        run = int(name.split("-")[0])
        last_at[run] = max(last_at[run], at)
    missing_s = max(put_at - last_at[run] for run, (_, put_at) in enumerate(noted))
    return {
        "rows": len(ids),
        "flushed": sum(n for n, _ in noted),
        "missing at most (s)": round(missing_s, 3),
    }
