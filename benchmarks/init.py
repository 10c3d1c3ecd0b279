"""`--init --yes` and `--train` on twelve tables beside trees tuned by hand; `--init` on 200k rows.

    python -m benchmarks.init [TABLE ...]

Each table is trained in a process of its own with an empty home. Exit code 1 where a number falls
short.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.any_tables import TABLES

ROOT = Path(__file__).resolve().parents[1]
WITHIN, MAX_TRAIN_S, MAX_INIT_S = 0.02, 90.0, 10.0
N_ROWS, N_NUMBERS, N_TEXTS = 200_000, 12, 6


def timed(command: list[str], home: Path) -> float:
    """Wall seconds of a command with a home of its own; anything but exit code 0 ends this."""
    environment = os.environ | {"BENTOLINE_HOME": str(home), "ZENML_CONFIG_PATH": str(home / "z")}
    environment["OMP_WAIT_POLICY"] = "passive"  # for the trees by hand too
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    return time.perf_counter() - started


def trained(name: str, folder: Path) -> dict[str, Any]:
    """One table: `--init`, `--train`, then both scores."""
    table = next(table for table in TABLES if table.name == name)
    path, _ = table.write(folder)
    file = folder / f"{name}.yaml"
    run = [sys.executable, "run.py"]
    init = ["--init", str(path), "--target", table.target, "--name", str(file), "--yes"]
    init_s = timed([*run, *init], folder)
    train_s = timed([*run, "--train", "--problem", str(file)], folder)
    scored = "import sys; from benchmarks.init import score; score(*sys.argv[1:])"
    timed([sys.executable, "-c", scored, name, str(folder)], folder)
    scores = json.loads((folder / "scores.json").read_text())
    return {**scores, "init_s": init_s, "train_s": train_s}


def score(name: str, folder: str) -> None:
    """Score the published bundle and the trees by hand; the outcome goes to FOLDER/scores.json."""
    from tests.by_hand import compare_trained

    table = next(table for table in TABLES if table.name == name)
    found = compare_trained(table, Path(folder))
    (Path(folder) / "scores.json").write_text(json.dumps(vars(found)))


def large_init(folder: Path) -> float:
    """Seconds of `--init` on a generated table of 200,000 rows."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(N_ROWS, N_NUMBERS)).round(4)
    texts = rng.choice(["red", "green", "blue", "grey"], (N_ROWS, N_TEXTS))
    outcome = numbers[:, 0] + (texts[:, 0] == "red") + rng.normal(size=N_ROWS) > 0.5
    names = [f"n{i}" for i in range(N_NUMBERS)] + [f"t{i}" for i in range(N_TEXTS)] + ["outcome"]
    path = folder / "large.csv"
    with path.open("w") as file:
        file.write(",".join(names) + "\n")
        for row, text, said in zip(numbers, texts, outcome, strict=True):
            file.write(",".join([*map(str, row), *text, str(int(said))]) + "\n")
    name = str(folder / "large.yaml")
    command = ["--init", str(path), "--target", "outcome", "--name", name, "--yes"]
    return timed([sys.executable, "run.py", *command], folder)


def main() -> int:
    """Print one line a table, and the seconds of `--init` on a large one."""
    wanted = sys.argv[1:] or [table.name for table in TABLES]
    short = []
    print("| table | rows tested | as proposed | by hand | --init s | --train s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="bench-init-") as scratch:
        for name in wanted:
            folder = Path(scratch) / name
            folder.mkdir()
            found = trained(name, folder)
            whole_s = found["init_s"] + found["train_s"]
            is_short = found["shipped"] < found["by_hand"] - WITHIN or whole_s > MAX_TRAIN_S
            short += [name] * is_short
            print(
                f"| {name} | {found['n_test']} | {found['shipped']:.4f} | {found['by_hand']:.4f} | "
                f"{found['init_s']:.1f} | {found['train_s']:.1f} |{' **short**' * is_short}",
                flush=True,
            )
        if not sys.argv[1:]:
            seconds = large_init(Path(scratch))
            print(f"\n--init on {N_ROWS:,} rows: {seconds:.1f} s (at most {MAX_INIT_S:g})")
            short += ["large"] * (seconds > MAX_INIT_S)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
