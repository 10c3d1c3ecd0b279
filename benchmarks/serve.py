"""Measure the service beside its peers, and write the README's table.

    make bench-serve            about six minutes on a quiet machine with two cores

Trains the insurance problem on its built-in sample, serves it by every contender at once, asserts
that they answer alike, and loads them in turn with wrk: the servers on one core, wrk on the other,
medians of three rounds. CPU is user and system time of all a server's processes, by request. Exit
code 1 where a number falls short. BENCH_SECONDS shortens every stretch of load and BENCH_HOME
names a home that is trained already, for who works on this script.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.contenders import OURS, empty, everybody, service
from benchmarks.load import Load, finished, measure, start
from benchmarks.serve_targets import Case, Figures, judged, tables, write_readme
from benchmarks.servers import ROOT, Server
from benchmarks.serving_cost import write_page
from tabular.bundle import load_bundle, seal
from tabular.registry import open_registry

PROBLEM = "vehicle_insurance"
ROUNDS = 3
SECONDS = int(os.environ.get("BENCH_SECONDS", "3"))
RELOAD_S = 10
CASES = (Case(1, 16), Case(1, 64), Case(100, 16), Case(10_000, 2))
SAME = 1e-4  # of a probability: the peers' float64 trees against the graph's float32


def main() -> int:
    """Run all parts; print and write the tables."""
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as folder:
        scratch = Path(folder)
        registry = prepare(scratch)
        figures = Figures(loads=compare(scratch, registry))
        figures.start_s, figures.empty_start_s, figures.worker_mb = starts(scratch, registry)
        figures.workers = workers(scratch, registry)
        figures.steady, figures.reload = reload(scratch, registry)
    verdicts = judged(figures)
    lines = tables(figures, verdicts)
    print("\n".join(lines))
    if SECONDS >= 3:
        write_readme(lines)
        write_page()
    short = [verdict for verdict in verdicts if not verdict.holds]
    for verdict in short:
        print(f"short: {verdict.words}: {verdict.shown}")
    return 1 if short else 0


def prepare(scratch: Path) -> Path:
    """Train, publish the bundle twice, and write what the peers read; the registry's folder."""
    home = scratch / "home"
    registry = home / "registry"
    command = [sys.executable, "run.py", "--train", "--problem", PROBLEM]
    environment = {k: v for k, v in os.environ.items() if k != "MONGODB_URI"}
    environment |= {"BENTOLINE_HOME": str(home), "ZENML_CONFIG_PATH": str(home / "zenml")}
    environment.pop("BENTOLINE_REGISTRY", None)
    if given := os.environ.get("BENCH_HOME"):
        shutil.copytree(f"{given}/registry", registry)
    else:
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    versions = open_registry(str(registry))
    first = versions.alias(PROBLEM, "production")
    if first is None:
        raise SystemExit("the trained version is not in production: see why with run.py --status")
    bundle = load_bundle(versions.fetch(PROBLEM, first))
    second = seal(bundle, scratch / "second", {"title": "The same model again"})
    versions.publish(PROBLEM, second.path)
    peer = scratch / "peer"
    peer.mkdir()
    prepare_peers = [sys.executable, "-m", "benchmarks.peers.prepare", str(bundle.path), str(peer)]
    subprocess.run(prepare_peers, cwd=ROOT, env=environment, check=True)
    return registry


def compare(scratch: Path, registry: Path) -> dict[Case, dict[str, Load]]:
    """Every contender in every case, in turn; medians of the rounds."""
    server_cpu, wrk_cpu = (0, 1) if len(os.sched_getaffinity(0)) > 1 else (None, None)
    seen: dict[Case, dict[str, list[Load]]] = {case: {} for case in CASES}
    with everybody(registry, PROBLEM, scratch, server_cpu) as servers:
        assert_alike(servers, scratch)
        for _ in range(ROUNDS):
            for case in CASES:
                for server in servers:
                    load = measure(
                        server,
                        scratch / "peer" / f"rows-{case.n_rows}.json",
                        case.n_rows,
                        connections=case.connections,
                        seconds=SECONDS if case.n_rows < 10_000 else 2 * SECONDS,
                        cpu=wrk_cpu,
                    )
                    print(f"{server.name}, {case}: {load}", flush=True)
                    if load.failed:
                        raise SystemExit(f"{server.name}: {load.failed} requests failed in {case}")
                    seen[case].setdefault(server.name, []).append(load)
    return {
        case: {name: median(loads) for name, loads in by_name.items()}
        for case, by_name in seen.items()
    }


def median(loads: list[Load]) -> Load:
    """The median of each figure by itself."""
    middle = {
        name: statistics.median(getattr(load, name) for load in loads)
        for name in ("per_s", "p50_ms", "p99_ms", "cpu_us")
    }
    return Load(**middle, failed=0)


def assert_alike(servers: list[Server], scratch: Path) -> None:
    """Ask every contender for the same rows, one alone and many; the answers must be the same.

    Raises:
        SystemExit: A label or a probability differs.
    """
    for n_rows in (1, 100, 10_000):
        body = (scratch / "peer" / f"rows-{n_rows}.json").read_bytes()
        ours, *others = [
            (server.name, [_said(answer) for answer in _asked(server, body, n_rows)])
            for server in servers
        ]
        for name, answers in others:
            for row, (one, other) in enumerate(zip(ours[1], answers, strict=True)):
                if one[0] != other[0] or abs(one[1] - other[1]) > SAME:
                    raise SystemExit(f"{name}, row {row} of {n_rows}: {other}, but {OURS}: {one}")


def _asked(server: Server, body: bytes, n_rows: int) -> list[Any]:
    path = server.one if n_rows == 1 else server.many
    answer = server.ask(path, body)
    return [answer] if n_rows == 1 else list(answer)


def _said(answer: dict[str, Any]) -> tuple[str, float]:
    """Label and probability of the positive class."""
    if "probability" in answer:
        return answer["prediction"], answer["probability"]
    return answer["prediction"], list(answer["probabilities"].values())[1]


def starts(scratch: Path, registry: Path) -> tuple[float, float, float]:
    """Seconds from the command to /readyz, ours and an empty service's, and a loaded worker's MB.

    Medians of the rounds, in turn.
    """
    seconds, bare, megabytes = [], [], []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        with service(registry, PROBLEM, scratch, log=str(scratch / "log-starts")) as server:
            seconds.append(time.perf_counter() - begun)
            body = scratch / "peer" / "rows-1.json"
            measure(server, body, 1, connections=16, seconds=1, cpu=None)
            megabytes.append(server.largest_mb())
        begun = time.perf_counter()
        with empty(scratch):
            bare.append(time.perf_counter() - begun)
    return statistics.median(seconds), statistics.median(bare), statistics.median(megabytes)


def workers(scratch: Path, registry: Path) -> tuple[float, float]:
    """Requests/s of 100 rows of one worker and of two, the cores shared with wrk, in turn."""
    body, rates = scratch / "peer" / "rows-100.json", ([], [])  # type: tuple[list[float], ...]
    with (
        service(registry, PROBLEM, scratch, workers=1) as one,
        service(registry, PROBLEM, scratch, workers=2) as two,
    ):
        for _ in range(ROUNDS):
            for server, seen in zip((one, two), rates, strict=True):
                load = measure(server, body, 100, connections=32, seconds=SECONDS, cpu=None)
                seen.append(load.per_s)
    return statistics.median(rates[0]), statistics.median(rates[1])


def reload(scratch: Path, registry: Path) -> tuple[Load, Load]:
    """One row under load without and with a moved alias in the middle, medians of the rounds.

    Raises:
        SystemExit: The moved alias was not followed.
    """
    versions, body = open_registry(str(registry)), scratch / "peer" / "rows-1.json"
    steady, moved, failed = [], [], 0
    with service(registry, PROBLEM, scratch) as server:
        for round_ in range(ROUNDS):
            seconds = min(RELOAD_S, SECONDS * 3)
            steady.append(measure(server, body, 1, connections=16, seconds=seconds, cpu=None))
            target = ("v2", "v1")[round_ % 2]
            before = server.cpu_s()
            wrk = start(server, body, 1, connections=16, seconds=RELOAD_S, cpu=None)
            time.sleep(RELOAD_S / 4)
            versions.set_alias(PROBLEM, "production", target, actor="bench", why="reload")
            moved.append(finished(wrk, server, before))
            failed += moved[-1].failed
            if (serves := server.ask("/health")["model_version"]) != target:
                raise SystemExit(f"the alias names {target}, but {serves} serves")
    return median(steady), Load(**{**vars(median(moved)), "failed": failed})


if __name__ == "__main__":
    sys.exit(main())
