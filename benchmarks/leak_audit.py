"""What the leak audit costs and says on the public tables, as a table.

    python -m benchmarks.leak_audit     BENTOLINE_DATA names the folder of the real tables

CPU seconds of the audit alone, without reading and checking the table. Exit code 1 where it takes
more than `MAX_CPU_S`, or raises an alarm on a shipped problem.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import pyarrow as pa

from tabular.checks.quarantine import check_rows
from tabular.leaks.audit import LeakAudit, audit_leaks
from tabular.problem import load_problem
from tabular.sources import open_rows
from tabular.split import split_rows

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("BENTOLINE_DATA", ROOT / "../shared/data"))
TABLES = {
    "vehicle_insurance": "vehicle_insurance_210k.csv",
    "food_delivery": "food_delivery_zomato.csv",
    "network_security": "network_security_phishing.csv",
    "iris": "",
}
MAX_CPU_S = 20.0


def audit(name: str, file: str) -> tuple[LeakAudit, float]:
    """The audit of one real table, and its CPU seconds over all threads."""
    problem = load_problem(name, ROOT / "configs" / "problems")
    data = str(DATA / file) if file else ""
    source = open_rows(problem, data=data, root=ROOT, mongodb_uri="", needs_target=True)
    rows, _, _ = check_rows(pa.Table.from_batches(source.batches), problem)
    parts = split_rows(rows, problem)
    test_inputs = parts.test.drop(columns=problem.target.column)
    before = _cpu_s()
    found = audit_leaks(parts.train, test_inputs, problem)
    return found, _cpu_s() - before


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Print the table; say whether all held."""
    is_short = False
    print("| table | training rows | CPU s | block | warn | note | random | time | group |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, file in TABLES.items():
        found, cpu_s = audit(name, file)
        counts = [len(found.of(severity)) for severity in ("block", "warn", "note")]
        scores = ["–" if s.score is None else f"{s.score:.4f}" for s in found.splits]
        cells = [name, f"{found.n_train:,}", f"{cpu_s:.1f}", *map(str, counts), *scores]
        print(f"| {' | '.join(cells)} |")
        is_short |= cpu_s > MAX_CPU_S or counts[:2] != [0, 0]
    return int(is_short)


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main())
