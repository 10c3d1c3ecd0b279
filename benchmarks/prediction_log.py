"""What logging costs the service, and what a killed writer loses.

    python -m benchmarks.prediction_log      about four minutes on a quiet machine with two cores

Serves the insurance problem twice on one core, with its log off and on, and loads both in turn with
wrk on the other: medians of the rounds. Then kills a writer and its sealer 50 times, at least a
million rows in all, and reads the log. Exit code 1 where a number falls short. BENCH_SECONDS and
BENCH_HOME as in `benchmarks.serve`; BENCH_KILLS is how many kills.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contenders import service
from benchmarks.load import Load, measure
from benchmarks.serve import PROBLEM, SECONDS, median, prepare
from benchmarks.serve_targets import Case
from benchmarks.servers import Server
from tabular.prediction_log.reading import read_log
from tests.faults.log_promises import kill

ROUNDS = 5
CASES = (Case(1, 16), Case(100, 16))
MAX_COST = 0.10
KILLS = int(os.environ.get("BENCH_KILLS", "50"))
MIN_ROWS = 20_000 * KILLS
MAX_MISSING_S = 1.0


def main() -> int:
    """Print one line a figure."""
    with tempfile.TemporaryDirectory(prefix="bench-log-") as folder:
        scratch = Path(folder)
        costs = cost(scratch, prepare(scratch))
        killed = kill(scratch / "kills", KILLS, lives_s=(0.3, 2.0), drain_s=0.5, seal_rows=65_536)
    print(f"killed with -9 {KILLS} times: " + ", ".join(f"{k} {v:,}" for k, v in killed.items()))
    held = {
        f"logging costs at most {MAX_COST:.0%} of the requests/s": max(costs) <= MAX_COST,
        f"at least {MIN_ROWS:,} rows were logged": killed["rows"] >= MIN_ROWS,
        f"at most {MAX_MISSING_S:g} s is missing": killed["missing at most (s)"] <= MAX_MISSING_S,
    }
    for words, holds in held.items():
        print(f"{'holds' if holds else 'short'}: {words}")
    return 0 if all(held.values()) else 1


def cost(scratch: Path, registry: Path) -> list[float]:
    """By case, the share of the requests/s that logging takes."""
    two = len(os.sched_getaffinity(0)) > 1
    server_cpu, wrk_cpu = (0, 1) if two else (None, None)
    log = scratch / "log"
    with ExitStack() as stack:
        servers = [
            stack.enter_context(service(registry, PROBLEM, scratch, cpu=server_cpu, log=where))
            for where in ("off", str(log))
        ]
        started = datetime.now(UTC)
        shares = [_cost(case, servers, scratch, wrk_cpu) for case in CASES]
        state = servers[1].ask("/health")["prediction_log"]
    n_rows = sum(batch.num_rows for batch in read_log(str(log), PROBLEM, started, columns=["at"]))
    print(f"{n_rows:,} rows in the log, {state['dropped_rows']:,} dropped")
    return shares


def _cost(case: Case, servers: list[Server], scratch: Path, cpu: int | None) -> float:
    body = scratch / "peer" / f"rows-{case.n_rows}.json"
    loads: list[list[Load]] = [[], []]
    for _ in range(ROUNDS):
        for place, server in enumerate(servers):
            given = (server, body, case.n_rows)
            load = measure(*given, connections=case.connections, seconds=SECONDS, cpu=cpu)
            if load.failed:
                raise SystemExit(f"{load.failed} requests failed in {case}")
            loads[place].append(load)
    off, on = map(median, loads)
    pairs = zip(*loads, strict=True)
    share = statistics.median(1 - with_log.per_s / without.per_s for without, with_log in pairs)
    for words, load in (("off", off), ("on", on)):
        print(
            f"{case}, log {words}: {load.per_s:,.0f} requests/s, p50 {load.p50_ms:.2f} ms, "
            f"p99 {load.p99_ms:.2f} ms, {load.cpu_us:.1f} us CPU a request"
        )
    print(f"{case}: logging costs {share:.1%} of the requests/s", flush=True)
    return share


if __name__ == "__main__":
    sys.exit(main())
