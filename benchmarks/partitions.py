"""LightGBM on partitions of a table, on one and two Dask workers, against one process.

    python -m benchmarks.partitions [ROWS]        default 5 million rows of 12 columns

The table is that of benchmarks.big_table. Each fit is a process of its own, with the workers as its
children; wall seconds are those of reading, encoding and fitting, the peak is that of the process
that needs the most. The score is that of the same test rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.big_table import PROBLEM, ROOT, peak_gb, write_parts

LIGHTGBM = {"n_estimators": 100, "num_leaves": 31, "learning_rate": 0.1}
SAMPLE_SHARE = 5  # the sample is a fifth of the table
FITS = ("sample", "all", "1 worker", "2 workers")


def asked(max_train_rows: int) -> Any:
    """The problem of the large table with one candidate, that is fitted in partitions."""
    from tabular.problem import Problem

    split = {"kind": "stratified", "train_on": "partitions", "max_train_rows": max_train_rows}
    candidates = {"boosted": {"estimator": "lightgbm", "params": LIGHTGBM}}
    return Problem.model_validate({**PROBLEM, "split": split, "candidates": candidates})


def check(data: str, home: str) -> None:
    """Write the checked rows, as the first steps of training do; print where they are as JSON."""
    from tabular.checks.quarantine import check_table
    from tabular.sources import open_rows
    from tabular.tables.snapshot import save_snapshot

    problem = asked(max_train_rows=100)  # not read here
    rows = open_rows(problem, data=data, root=ROOT, mongodb_uri="", needs_target=True)
    snapshot = save_snapshot(rows.batches, Path(home), source=rows.source, synthetic=True)
    checked, _, _ = check_table(snapshot, problem, home=Path(home))
    print(checked.model_dump_json())


def fit(how: str, table: str) -> None:
    """One fit; prints seconds, the highest peak in GB, rows, and ROC-AUC on the test part."""
    import pandas as pd
    from sklearn.metrics import roc_auc_score

    from tabular.candidates import Trial
    from tabular.engines import open_cluster
    from tabular.fitting import fit_model
    from tabular.partitions import training_partitions
    from tabular.split import split_table
    from tabular.tables.snapshot import CheckedRows

    rows = CheckedRows.model_validate_json(table)
    problem = asked(rows.n_rows // SAMPLE_SHARE)
    parts = split_table(rows, problem)
    partitions = training_partitions(rows, len(parts.train), problem)
    trial = Trial(candidate="boosted", params={}, mean=0, sd=0, seconds=0)
    with ExitStack() as stack:
        peaks = [peak_gb]
        if how.endswith(("worker", "workers")):
            cluster = stack.enter_context(open_cluster(n_workers=int(how[0])))
            peaks.append(lambda: max(cluster.client.run(peak_gb).values()))
        started = time.perf_counter()
        train = parts.train
        if how == "all":
            train = pd.concat([one.read() for one in partitions], ignore_index=True)
        on_workers = partitions if len(peaks) > 1 else []
        fitted = fit_model(train, parts.test, trial, problem, on_workers)
        seconds = time.perf_counter() - started
        peak = max(measured() for measured in peaks)
    n_rows = sum(len(one.rows) for one in on_workers) or len(train)
    auc = roc_auc_score(parts.test["bought"], fitted.test_answers["answer_1"])
    print(json.dumps([seconds, peak, n_rows, auc]))


def called(*arguments: str) -> str:
    """What a part of this file prints, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.partitions", *arguments]
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def main(n_rows: int) -> None:
    """Generate, check, fit in each way, print a table."""
    with tempfile.TemporaryDirectory(prefix="bentoline-partitions-") as folder:
        write_parts(Path(folder) / "data", n_rows)
        table = called("--check", f"{folder}/data", f"{folder}/home")
        print(f"{n_rows:,} rows x 12 columns; {LIGHTGBM['n_estimators']} trees")
        for how in FITS:
            seconds, peak, fitted, auc = json.loads(called("--fit", how, table))
            print(f"{how:>10} {fitted:>12,} rows {seconds:7.1f} s {peak:5.2f} GB  AUC {auc:.4f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check(*sys.argv[2:4])
    elif sys.argv[1:2] == ["--fit"]:
        fit(*sys.argv[2:4])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000)
