"""Train every problem on its real table and write the README's table.

    make bench-train            all problems; BENTOLINE_DATA names the folder of the real tables

Each run is a process of its own with an empty ZenML store; CPU seconds and peak memory are the
operating system's own figures for it. The insurance table is also trained by `bare_train.py`, the
two in turn, to say what ZenML costs. Exit code 1 where a number falls short.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAIRS = 3
BEGIN, END = "<!-- bench-train: begin -->", "<!-- bench-train: end -->"


@dataclass(frozen=True)
class Case:
    """One problem on one table, and what it must reach: metric -> (direction, limit)."""

    problem: str
    file: str
    split: str
    targets: dict[str, tuple[str, float]]


CASES = (
    Case(
        "vehicle_insurance",
        "vehicle_insurance_210k.csv",
        "stratified",
        {
            "roc_auc": (">=", 0.855),
            "pr_auc": (">=", 0.360),
            "f1": (">=", 0.455),
            "brier": ("<=", 0.088),
        },
    ),
    Case(
        "food_delivery",
        "food_delivery_zomato.csv",
        "random",
        {"mae": ("<=", 3.18), "r2": (">=", 0.818), "coverage": ("in", 0.90)},
    ),
    Case("network_security", "network_security_phishing.csv", "stratified", {"f1": (">=", 0.972)}),
    Case("network_security", "network_security_phishing.csv", "group", {"f1": (">=", 0.960)}),
    Case("iris", "", "stratified", {"accuracy": (">=", 0.95)}),
)


@dataclass(frozen=True)
class Cost:
    """What one process took: CPU and wall seconds, peak resident megabytes."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def timed(command: list[str], home: Path) -> Cost:
    """Run a command to its end in an environment of its own; a refusal (1) is a result too."""
    environment = os.environ | {"BENTOLINE_HOME": str(home), "ZENML_CONFIG_PATH": str(home / "z")}
    environment["OMP_WAIT_POLICY"] = (
        "passive"  # as run.py sets it; the bare script is given the same
    )
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"failed: {' '.join(command)}")
    wall = time.perf_counter() - started
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def train(case: Case, data: Path | None, home: Path) -> tuple[dict[str, Any], Cost]:
    """`run.py --train` on one table; the report and what it cost."""
    report = home / "report.json"
    home.mkdir(parents=True)
    problem = _problem_with_split(case, home)
    command = [sys.executable, "run.py", "--train", "--problem", problem, "--report", str(report)]
    cost = timed([*command, *(["--data", str(data)] if data else [])], home)
    return json.loads(report.read_text()), cost


def _problem_with_split(case: Case, home: Path) -> str:
    """The problem itself, or, for a split that its YAML does not use, a copy with that."""
    import yaml

    folder = ROOT / "configs" / "problems"
    raw = yaml.safe_load((folder / f"{case.problem}.yaml").read_text())
    if raw["split"]["kind"] == case.split:
        return case.problem
    raw["split"] = {k: v for k, v in raw["split"].items() if k != "group_columns"}
    raw["split"]["kind"] = case.split
    copies = home / "problems"
    copies.mkdir()
    (copies / f"{case.problem}.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return str(copies / f"{case.problem}.yaml")


def holds(value: float, direction: str, limit: float) -> bool:
    """Whether a value holds its target; `in` is within 2 points of the limit."""
    if direction == "in":
        return abs(value - limit) <= 0.02
    return value >= limit if direction == ">=" else value <= limit


def row(case: Case, report: dict[str, Any], cost: Cost) -> tuple[str, list[str]]:
    """One line of the table, and the targets that fell short."""
    parts, short = [], []
    for name, (direction, limit) in case.targets.items():
        metric = report["metrics"][name]
        mark = "" if holds(metric["value"], direction, limit) else " **short**"
        if mark:
            short.append(f"{case.problem} ({case.split}): {name} {metric['value']:.4f}")
        shown = {"in": f"{limit - 0.02:g} to {limit + 0.02:g}"}.get(
            direction, f"{direction} {limit:g}"
        )
        parts.append(
            f"{name} {metric['value']:.4f} [{metric['low']:.4f}, {metric['high']:.4f}] "
            f"({shown}){mark}"
        )
    parity, latency = report["parity"], report["latency_ms"]
    line = (
        f"| {case.problem} | {report['rows']['read']:,}, {case.split} | "
        f"{report['chosen']['candidate']} | {'; '.join(parts)} | "
        f"{parity['label_disagreement_share']:.2g} / {parity['worst_difference']:.2g} | "
        f"{latency['median']:.3f} ({latency['pipeline_median'] / latency['median']:.0f}x) | "
        f"{cost.cpu_s:.0f} | {cost.wall_s:.0f} | {cost.peak_mb:,.0f} |"
    )
    return line, short


def main() -> int:
    """Run all cases, print and write the table."""
    tables = Path(os.environ.get("BENTOLINE_DATA", ROOT.parent / "shared" / "data"))
    wanted = set(sys.argv[1:]) or {case.problem for case in CASES}
    lines = [
        (
            "| problem | rows, split | winner | test metrics [95 %] (target) | share of labels / "
            "largest answer that differ | one row, ms (pipeline) | CPU s | wall s | peak MB |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    short: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-train-") as scratch:
        for place, case in enumerate(CASES):
            if case.problem not in wanted:
                continue
            data = tables / case.file if case.file else None
            if data is not None and not data.exists():
                print(f"not run: {case.problem}: {case.file} is not in BENTOLINE_DATA")
                continue
            report, cost = train(case, data, Path(scratch) / str(place))
            line, missed = row(case, report, cost)
            lines.append(line)
            short += missed
            print(line, flush=True)
        lines += [
            "",
            *zenml_share(tables, Path(scratch), wanted),
            *same_twice(Path(scratch), wanted),
        ]
    print("\n".join(lines))
    if wanted == {case.problem for case in CASES}:
        write_readme(lines)
    for sentence in short:
        print(f"short: {sentence}")
    return 1 if short else 0


def zenml_share(tables: Path, scratch: Path, wanted: set[str]) -> list[str]:
    """CPU of the whole command over the bare script's, in pairs, on the insurance table."""
    data = tables / CASES[0].file
    if CASES[0].problem not in wanted or not data.exists():
        return []
    ratios, ours, bare = [], [], []
    for pair in range(PAIRS):
        _, with_zenml = train(CASES[0], data, scratch / f"pair{pair}")
        without = timed(
            [sys.executable, "benchmarks/bare_train.py", CASES[0].problem, str(data)],
            scratch / f"bare{pair}",
        )
        ours.append(with_zenml.cpu_s)
        bare.append(without.cpu_s)
        ratios.append(with_zenml.cpu_s / without.cpu_s)
    return [
        (
            f"ZenML's share, insurance table, median of {PAIRS} pairs: "
            f"{statistics.median(ours):.1f} s of CPU with ZenML, {statistics.median(bare):.1f} s "
            f"as a bare script, ratio {statistics.median(ratios):.2f} (at most 1.3)."
        ),
        "",
    ]


def same_twice(scratch: Path, wanted: set[str]) -> list[str]:
    """Train iris twice from nothing and compare the graphs' hashes."""
    if "iris" not in wanted:
        return []
    hashes = {train(CASES[-1], None, scratch / f"twice{i}")[0]["model_sha256"] for i in range(2)}
    word = "the same" if len(hashes) == 1 else "NOT the same"
    return [f"Two runs from nothing on iris gave {word} `model.onnx` sha256."]


def write_readme(lines: list[str]) -> None:
    """Put the table between the README's marks."""
    path = ROOT / "README.md"
    text = path.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
