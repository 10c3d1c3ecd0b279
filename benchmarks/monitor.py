"""What the monitor sees, what it does not, and what it costs.

    python -m benchmarks.monitor [shifts] [stable] [cost] [ROWS] [dask]    default: all, 5000000

`shifts`: each shift of `tests/quality/planted_shifts.py` is planted in 20 windows of 2,000 rows of
the public tables (BENTOLINE_DATA names their folder) and must be named each time. `stable`: windows
without a shift, drawn at random, and for the table that tells the time in its order; at most 1 in
50 may alarm. `cost`: that many logged rows are held against the training rows by a process of its
own, on threads or on a Dask cluster of processes; wall seconds and peak memory (of the largest
process) are the operating system's. Exit code 1 where one falls short.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tabular.drift.counting import Counting, count_log
from tabular.drift.reference import Reference
from tabular.engines import open_engine
from tabular.problem import load_problem
from tests.quality.planted_shifts import (
    FILES,
    ROOT,
    SINCE,
    WINDOW_ROWS,
    Watched,
    in_time_order,
    is_named,
    planted_in,
    watched,
)

SEEDS = 20
STABLE_WINDOWS = 100
MAX_ALARMS = 1 / 50
MAX_S, MAX_MB = 60.0, 1_500.0
ROWS = 5_000_000
COST_PROBLEM = "food_delivery"  # the widest table, with texts, times and derived columns
FILE_ROWS = 200_000


def shifts() -> bool:
    """Print how often each planted shift is named."""
    print("| table | shift | column | named |")
    print("|---|---|---|---|")
    is_short = False
    for name in FILES:
        table = watched(name)
        for planted in planted_in(name):
            n_named = 0
            for seed in range(SEEDS):
                rng = np.random.default_rng(seed)
                drift = table.look(planted.plant(table.draw(rng), rng))
                n_named += is_named(planted, drift)
            is_short |= n_named < SEEDS
            print(f"| {name} | {planted.kind} | {planted.columns[0]} | {n_named} of {SEEDS} |")
    return is_short


def stable() -> bool:
    """Print how many windows alarm in which nothing was planted."""
    print("| table | windows of 2,000 rows | alarms |")
    print("|---|---|---|")
    is_short = False
    for name in FILES:
        table = watched(name)
        drawn = (table.draw(np.random.default_rng(seed)) for seed in range(STABLE_WINDOWS))
        is_short |= _alarms(name, "drawn at random", table, drawn)
        if not any(column.type == "date" for column in table.problem.columns.values()):
            continue
        whole = in_time_order(table.whole, table.problem)
        is_short |= _alarms(name, "in order of time, of all rows", table, _in_turn(whole))
        later = watched(name, in_order=True)
        is_short |= _alarms(name, "the second half against the first", later, _in_turn(later.fresh))
    return is_short


def _in_turn(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Windows one after the other, four times as many as would lie side by side."""
    for start in range(0, len(rows) - WINDOW_ROWS + 1, WINDOW_ROWS // 4):
        yield rows.iloc[start : start + WINDOW_ROWS]


def _alarms(name: str, how: str, table: Watched, windows: Iterable[pd.DataFrame]) -> bool:
    looks = [table.look(rows) for rows in windows]
    n_alarms = sum(bool(look.alarms) for look in looks)
    print(f"| {name} | {len(looks)} {how} | {n_alarms} |")
    return n_alarms > MAX_ALARMS * len(looks)


def cost(n_rows: int, engine: str) -> bool:
    """Print what a look at a log of n rows takes."""
    table = watched(COST_PROBLEM)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder)
        _write_log(table, log, n_rows)
        (log / "reference.json").write_text(table.reference.model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.monitor", "look", str(log), engine]
        begun = time.monotonic()
        subprocess.run(command, cwd=ROOT, check=True)
        wall_s = time.monotonic() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s, peak_mb = used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3
    n_columns = len(table.reference.columns)
    print("| rows | columns | engine | s, with the start of Python | CPU s | peak MB |")
    print("|---|---|---|---|---|---|")
    print(f"| {n_rows:,} | {n_columns} | {engine} | {wall_s:.1f} | {cpu_s:.1f} | {peak_mb:.0f} |")
    return wall_s > MAX_S or peak_mb > MAX_MB


def _write_log(table: Watched, log: Path, n_rows: int) -> None:
    """Files of 200,000 rows; the window is repeated, so that writing is not what is waited for."""
    rows = table.whole.iloc[np.arange(min(FILE_ROWS, n_rows)) % len(table.whole)]
    batch = table.logged(rows)
    day = log / f"problem={COST_PROBLEM}" / f"date={SINCE:%Y-%m-%d}"
    day.mkdir(parents=True)
    for number in range(-(-n_rows // FILE_ROWS)):
        part = batch.slice(0, min(FILE_ROWS, n_rows - number * FILE_ROWS))
        name = f"{SINCE:%Y%m%dT%H%M%SZ}-0-{number:06}.parquet"
        pq.write_table(pa.Table.from_batches([part]), day / name, compression="zstd")


def look(log: Path, engine: str) -> None:
    """The part that is measured: read, count, compare."""
    problem = load_problem(COST_PROBLEM, ROOT / "configs" / "problems")
    reference = Reference.model_validate_json((log / "reference.json").read_text(encoding="utf-8"))
    now = SINCE + timedelta(hours=1)
    counting = Counting(
        log=str(log),
        problem=problem.name,
        contract=problem.contract,
        reference=reference,
        version="v1",
        since=SINCE,
        now=now,
        n_kept=problem.monitor.evidently_rows,
        seed=problem.seed,
    )
    with open_engine(engine, "") as opened:
        drift = count_log(counting, opened).window.compare({}, problem.monitor)
    print(
        f"{drift.window.n_rows:,} rows, {len(drift.columns)} columns, mean drift {drift.score:.2f}"
    )


def main() -> int:
    """Run the parts that are named, or all; say whether all held."""
    named = sys.argv[1:]
    if named[:1] == ["look"]:
        look(Path(named[1]), named[2])
        return 0
    n_rows = next((int(word) for word in named if word.isdigit()), ROWS)
    engine = "dask" if "dask" in named else "local"
    parts = {"shifts": shifts, "stable": stable, "cost": lambda: cost(n_rows, engine)}
    fell_short = [parts[part]() for part in parts if part in named or not {*parts} & {*named}]
    return int(any(fell_short))


if __name__ == "__main__":
    sys.exit(main())
