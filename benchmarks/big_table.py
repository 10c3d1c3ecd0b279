"""Snapshot, contract check and split of a table that is larger than the memory it may take.

    python -m benchmarks.big_table [ROWS]        default 20 million rows of 12 columns, 1 GB

The table is written in batches to a folder of Parquet parts below the temporary folder and taken
away afterwards. The three stages run in a process of their own, whose peak memory is the operating
system's own figure. Exit code 1 where it takes more than 2 GB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
PART_ROWS = 1_000_000
MAX_PEAK_GB = 2.0

PROBLEM = {
    "name": "big_table",
    "title": "A generated table",
    "task": "binary",
    "source": {"kind": "parquet", "path": "-"},
    "target": {"column": "bought", "classes": {"no": 0, "yes": 1}, "positive": "yes"},
    "columns": {
        "row": {"type": "id", "unique": True},
        "price": {"type": "number", "min": 0},
        "weight": {"type": "number", "min": 0, "max": 900},
        "rating": {"type": "number", "min": 0, "max": 5, "out_of_range": "missing"},
        "score": {"type": "number", "max_missing_share": 0.2},
        "distance": {"type": "number"},
        "visits": {"type": "number", "integer": True, "min": 0},
        "age": {"type": "number", "integer": True, "min": 0, "max": 120},
        "country": {"type": "category", "max_missing_share": 0.1},
        "shop": {"type": "category"},
        "channel": {"type": "category", "categories": ["web", "app", "desk"], "unseen": "refuse"},
    },
    "split": {"kind": "stratified"},
    "search": {"metric": "roc_auc"},
    "candidates": {"logistic": {"estimator": "logistic"}},
    "gates": [{"metric": "roc_auc", "min": 0.5}],
}


def write_parts(folder: Path, n_rows: int) -> int:
    """Write the table in parts of a million rows; return its bytes."""
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, n_rows, PART_ROWS)):
        part = _part(start, min(PART_ROWS, n_rows - start))
        pq.write_table(part, folder / f"part-{number:04}.parquet", row_group_size=250_000)
    return sum(file.stat().st_size for file in folder.iterdir())


def _part(start: int, n: int) -> pa.Table:
    """12 columns: an id, five floats, two ints, three categories, the target; some bad values."""
    random = np.random.default_rng([7, start])
    score = random.normal(size=n)
    channel = random.choice([0, 1, 2], n, p=[0.6, 0.3, 0.1]).astype(np.int8)
    channels = pa.array(["web", "app", "desk", "fax"])
    channel[random.random(n) < 0.001] = 3  # refused
    shops = pa.array([f"shop {i}" for i in range(5_000)])
    countries = pa.array(["AT", "DE", "FR", "IT", "PL"])
    return pa.table(
        {
            "row": np.arange(start, start + n),
            "price": random.lognormal(3, 1, n),
            "weight": random.gamma(2, 30, n),
            "rating": random.normal(3.5, 1, n).round(1),
            "score": pa.array(score, mask=random.random(n) < 0.05),
            "distance": random.exponential(9, n).astype(np.float32),
            "visits": random.poisson(4, n),
            "age": random.integers(18, 90, n).astype(np.int16),
            "country": pa.DictionaryArray.from_arrays(
                pa.array(random.integers(0, 5, n), mask=random.random(n) < 0.03), countries
            ),
            "shop": shops.take(pa.array(random.integers(0, 5_000, n))),
            "channel": pa.DictionaryArray.from_arrays(pa.array(channel), channels),
            "bought": (random.random(n) < 1 / (1 + np.exp(2 - score))).astype(np.int8),
        }
    )


def stages(data: str, home: str) -> None:
    """What the first three steps of training do; prints rows and seconds of each as JSON."""
    from tabular.checks.quarantine import check_table
    from tabular.problem import Problem
    from tabular.sources import open_rows
    from tabular.split import split_table
    from tabular.tables.snapshot import save_snapshot

    problem = Problem.model_validate(PROBLEM)
    seconds, started = {}, time.perf_counter()

    def lap(name: str) -> None:
        nonlocal started
        seconds[name] = time.perf_counter() - started
        print(f"{name:>8}  {seconds[name]:7.1f} s  peak {peak_gb():.2f} GB", file=sys.stderr)
        started = time.perf_counter()

    rows = open_rows(problem, data=data, root=ROOT, mongodb_uri="", needs_target=True)
    snapshot = save_snapshot(rows.batches, Path(home), source=rows.source, synthetic=True)
    lap("snapshot")
    checked, _, quarantine = check_table(snapshot, problem, home=Path(home))
    lap("check")
    parts = split_table(checked, problem)
    lap("split")
    facts = {"refused": quarantine.n_refused, "train": len(parts.train), "of": parts.n_rows}
    print(json.dumps({"seconds": seconds, **facts}))


def peak_gb() -> float:
    """The most memory that this process has held."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main(n_rows: int) -> int:
    """Generate, run, print; 1 where the memory was too much."""
    with tempfile.TemporaryDirectory(prefix="bentoline-big-") as folder:
        data = Path(folder) / "data"
        size = write_parts(data, n_rows)
        print(f"{n_rows:,} rows x 12 columns, {size / 1e9:.2f} GB in Parquet parts")
        command = [sys.executable, "-m", "benchmarks.big_table", "--stages", str(data)]
        process = subprocess.Popen(
            [*command, str(Path(folder) / "home")], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None  # noqa: S101
        answer = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        return 2
    facts = json.loads(answer)
    for name, seconds in facts["seconds"].items():
        print(f"{name:>8}  {n_rows / seconds:12,.0f} rows/s")
    peak = usage.ru_maxrss / 1e6
    cpu = usage.ru_utime + usage.ru_stime
    print(f"peak {peak:.2f} GB (at most {MAX_PEAK_GB:g}), {cpu:.0f} s of CPU")
    print(
        f"{facts['refused']:,} rows refused, {facts['train']:,} drawn of {facts['of']['train']:,}"
    )
    return int(peak > MAX_PEAK_GB)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stages"]:
        stages(*sys.argv[2:4])
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000))
