"""What the service's speed must reach, and the tables that say what it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.contenders import EMPTY, FLOOR, ONNX, OURS, SKLEARN
from benchmarks.load import Load
from benchmarks.servers import ROOT

BEGIN, END = "<!-- bench-serve: begin -->", "<!-- bench-serve: end -->"


class Case(NamedTuple):
    """Rows in a request, and connections."""

    n_rows: int
    connections: int


@dataclass
class Figures:
    """All that was measured."""

    loads: dict[Case, dict[str, Load]]
    start_s: float = 0.0
    empty_start_s: float = 0.0
    worker_mb: float = 0.0
    workers: tuple[float, float] = (0.0, 0.0)
    steady: Load = field(default_factory=lambda: Load(0, 0, 0, 0, 0))
    reload: Load = field(default_factory=lambda: Load(0, 0, 0, 0, 0))


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured; `beside` says what bounds it on this machine."""

    words: str
    measured: float
    direction: str
    limit: float
    unit: str = ""
    beside: str = ""

    @property
    def holds(self) -> bool:
        """Whether it does."""
        if self.direction == "at least":
            return self.measured >= self.limit
        return self.measured <= self.limit

    @property
    def shown(self) -> str:
        """Measured and target in words."""
        value = f"{self.measured:,.0f}" if self.measured >= 100 else f"{self.measured:.3g}"
        return f"{value}{self.unit} ({self.direction} {self.limit:g}{self.unit}{self.beside})"


def judged(figures: Figures) -> list[Verdict]:
    """Every target beside its figure."""
    loads, steady = figures.loads, figures.steady
    one, crowd, hundred, batch = (
        loads[case] for case in (Case(1, 16), Case(1, 64), Case(100, 16), Case(10_000, 2))
    )

    def times(case: dict[str, Load], other: str) -> float:
        return case[OURS].per_s / case[other].per_s

    def p99(case: dict[str, Load], n_connections: int, limit_ms: float) -> Verdict:
        words = f"1 row, {n_connections} connections, p99"
        floor = f"; the floor has {case[FLOOR].p99_ms:.3g} ms"
        return Verdict(words, case[OURS].p99_ms, "at most", limit_ms, " ms", floor)

    return [
        Verdict(f"1 row, requests/s over {SKLEARN}", times(one, SKLEARN), "at least", 20, "x"),
        Verdict(f"1 row, requests/s over {ONNX}", times(one, ONNX), "at least", 2, "x"),
        Verdict(
            "1 row, CPU a request over the floor",
            one[OURS].cpu_us / one[FLOOR].cpu_us,
            "at most",
            3,
            "x",
        ),
        p99(one, 16, 10),
        p99(crowd, 64, 25),
        Verdict(
            f"100 rows, requests/s over {SKLEARN}", times(hundred, SKLEARN), "at least", 12, "x"
        ),
        Verdict(f"100 rows, requests/s over {ONNX}", times(hundred, ONNX), "at least", 3, "x"),
        Verdict(
            f"10,000 rows, requests/s over {SKLEARN}", times(batch, SKLEARN), "at least", 6, "x"
        ),
        Verdict("10,000 rows, time over the floor", 1 / times(batch, FLOOR), "at most", 1.5, "x"),
        Verdict(
            "two workers over one, 100 rows",
            figures.workers[1] / figures.workers[0],
            "at least",
            1.5,
            "x",
        ),
        Verdict(
            "start to /readyz",
            figures.start_s,
            "at most",
            2.0,
            " s",
            f"; {EMPTY} takes {figures.empty_start_s:.3g} s",
        ),
        Verdict("resident memory of a worker", figures.worker_mb, "at most", 190, " MB"),
        Verdict("requests that failed in 3 reloads", figures.reload.failed, "at most", 0),
        Verdict(
            "p99 of the 10 s around a reload over the steady one",
            figures.reload.p99_ms / steady.p99_ms,
            "at most",
            3,
            "x",
        ),
    ]


def tables(figures: Figures, verdicts: list[Verdict]) -> list[str]:
    """Two tables in Markdown: every contender in every case, and every target."""
    lines = [
        "| rows, connections | server | requests/s | p50 ms | p99 ms | CPU us a request |",
        "|---|---|---|---|---|---|",
    ]
    for case, by_name in figures.loads.items():
        lines += [
            f"| {case.n_rows:,}, {case.connections} | {name} | {load.per_s:,.0f} | "
            f"{load.p50_ms:,.2f} | {load.p99_ms:,.2f} | {load.cpu_us:,.0f} |"
            for name, load in by_name.items()
        ]
    lines += ["", "| target | measured |", "|---|---|"]
    lines += [
        f"| {verdict.words} | {verdict.shown}{'' if verdict.holds else ' **short**'} |"
        for verdict in verdicts
    ]
    return lines


def write_readme(lines: list[str]) -> None:
    """Put the tables between the README's marks."""
    path = ROOT / "README.md"
    before, rest = path.read_text().split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")
