"""Read a collection as training does, beside `DataFrame(list(collection.find()))`.

    python -m benchmarks.mongo_read          400,000 documents of 12 fields, three rounds of each

Server and readers share the machine. Each reading is a process of its own, the two in turn; CPU
seconds are the reader's, user and system, and memory is its peak resident size, libraries
included. Exit code 1 where a ratio of the medians falls short of its goal.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from pymongo import MongoClient

from tabular.contract import Column
from tabular.settings import Source
from tests.integration.mongo_server import serving

N_ROWS, N_ROUNDS = 400_000, 3
CPU_GOAL, MEMORY_GOAL = 0.60, 0.30
NUMBERS = [f"number_{place}" for place in range(8)]
TEXTS = [f"text_{place}" for place in range(4)]
SOURCE = Source(kind="mongodb", database="bench", collection="rows")
COLUMNS = {
    **dict.fromkeys(NUMBERS, Column(type="number")),
    **dict.fromkeys(TEXTS, Column(type="category")),
}


def main() -> int:
    """Fill a server, read it in turn by both ways, print and judge."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        fill(server.uri())
        runs: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
        for _ in range(N_ROUNDS):
            for way, done in runs.items():
                done.append(measured(way, server.uri()))
                print(f"{way:>6}  {done[-1]}", flush=True)
    return judge(runs)


def fill(uri: str) -> None:
    """Eight numbers, whole ones among them, and four short texts a document."""
    rng = random.Random(1)  # noqa: S311  # the same documents each time
    with MongoClient(uri) as client:
        rows = client[SOURCE.database][SOURCE.collection]
        for start in range(0, N_ROWS, 10_000):
            rows.insert_many(
                {"_id": number}
                | {name: rng.choice((rng.random() * 100, rng.randrange(1000))) for name in NUMBERS}
                | {name: rng.choice(("Delhi", "Mumbai", "Pune")) for name in TEXTS}
                for number in range(start, start + 10_000)
            )


def measured(way: str, uri: str) -> dict[str, float]:
    """CPU seconds and peak megabytes of one reading in a process of its own."""
    code = f"from benchmarks.mongo_read import read; read({way!r}, {uri!r})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def read(way: str, uri: str) -> None:
    """Read all rows, counting them, and print what it took; libraries are loaded before."""
    import resource

    import pandas as pd

    from tabular.mongo.reading import read_batches

    before = resource.getrusage(resource.RUSAGE_SELF)
    if way == "plain":
        with MongoClient(uri) as client:
            rows = client[SOURCE.database][SOURCE.collection]
            n_rows = len(pd.DataFrame(list(rows.find())))
    else:
        n_rows = sum(map(len, read_batches(uri, SOURCE, COLUMNS)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        json.dumps(
            {"rows": n_rows, "cpu_s": round(cpu_s, 2), "peak_mb": round(after.ru_maxrss / 1024)}
        )
    )


def judge(runs: dict[str, list[dict[str, float]]]) -> int:
    """Ratios of the medians against their goals."""
    missed = 0
    for name, goal in (("cpu_s", CPU_GOAL), ("peak_mb", MEMORY_GOAL)):
        plain, ours = (statistics.median(r[name] for r in runs[way]) for way in ("plain", "ours"))
        share = ours / plain
        missed += share > goal
        print(f"{name}: {ours:g} of {plain:g}, {share:.0%}; goal at most {goal:.0%}")
    wrong = {r["rows"] for done in runs.values() for r in done} != {N_ROWS}
    return int(bool(missed) or wrong)


if __name__ == "__main__":
    sys.exit(main())
