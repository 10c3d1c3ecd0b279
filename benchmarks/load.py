"""Closed-loop load from wrk: one thread, so many connections, one body again and again."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import ROOT, Server

SCRIPT = ROOT / "benchmarks" / "wrk" / "post.lua"


@dataclass(frozen=True)
class Load:
    """What came of one stretch of load; `failed` counts refusals and requests without an answer."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    failed: int


def start(
    server: Server, body: Path, n_rows: int, *, connections: int, seconds: int, cpu: int | None
) -> subprocess.Popen[str]:
    """Start wrk; `finished` gives what came of it."""
    pinned = ["taskset", "-c", str(cpu)] if cpu is not None else []
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    command = [*pinned, *wrk, "-s", str(SCRIPT), server.predict_url(n_rows), "--", str(body)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(wrk: subprocess.Popen[str], server: Server, cpu_s_before: float) -> Load:
    """Wait for its end."""
    output, _ = wrk.communicate()
    if wrk.returncode:
        raise SystemExit(f"wrk failed:\n{output}")
    told = json.loads(output.strip().splitlines()[-1])
    if not told["requests"]:
        raise SystemExit(f"{server.name} answered nothing within {told['seconds']:.0f} s")
    cpu_s = server.cpu_s() - cpu_s_before
    return Load(
        per_s=told["requests"] / told["seconds"],
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        cpu_us=cpu_s / told["requests"] * 1e6,
        failed=told["unanswered"] + told["refused"],
    )


def measure(
    server: Server, body: Path, n_rows: int, *, connections: int, seconds: int, cpu: int | None
) -> Load:
    """One stretch of load."""
    before = server.cpu_s()
    wrk = start(server, body, n_rows, connections=connections, seconds=seconds, cpu=cpu)
    return finished(wrk, server, before)
