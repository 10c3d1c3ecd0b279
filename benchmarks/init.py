"""`--init --yes` and `--train` on twelve tables beside trees tuned by hand; `--init` on 200k rows.

    python -m benchmarks.init [TABLE ...]

Each table is trained in a process of its own with an empty home. Seconds are of the wall and, in
brackets, of CPU over all threads, which other work on the machine does not lengthen as much. The
interval says what 89 or 800 test rows can tell of the difference. Exit code 1 where a number falls
short.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.any_tables import TABLES
from tests.by_hand import Compared, compare_trained

ROOT = Path(__file__).resolve().parents[1]
WITHIN, MAX_TRAIN_S, MAX_INIT_S = 0.02, 90.0, 10.0
N_ROWS, N_NUMBERS, N_TEXTS = 200_000, 12, 6


@dataclass(frozen=True)
class Taken:
    """Seconds that a command took."""

    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        return f"{self.wall_s:.1f} ({self.cpu_s:.0f})"


def timed(command: list[str], home: Path) -> Taken:
    """Run a command with a home of its own; anything but exit code 0 ends this."""
    environment = os.environ | {"BENTOLINE_HOME": str(home), "ZENML_CONFIG_PATH": str(home / "z")}
    environment["OMP_WAIT_POLICY"] = "passive"  # for the trees by hand too
    started, cpu_before = time.perf_counter(), _cpu_of_children()
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    return Taken(time.perf_counter() - started, _cpu_of_children() - cpu_before)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def trained(name: str, folder: Path) -> tuple[Compared, Taken, Taken]:
    """One table: `--init`, `--train`, then both scores; and what the two commands took."""
    table = next(table for table in TABLES if table.name == name)
    path, _ = table.write(folder)
    file = folder / f"{name}.yaml"
    run = [sys.executable, "run.py"]
    asked = ["--init", str(path), "--target", table.target, "--name", str(file), "--yes"]
    init = timed([*run, *asked], folder)
    train = timed([*run, "--train", "--problem", str(file)], folder)
    scored = "import sys; from benchmarks.init import score; score(*sys.argv[1:])"
    timed([sys.executable, "-c", scored, name, str(folder)], folder)
    return Compared(**json.loads((folder / "scores.json").read_text())), init, train


def score(name: str, folder: str) -> None:
    """Score the published bundle and the trees by hand; the outcome goes to FOLDER/scores.json."""
    table = next(table for table in TABLES if table.name == name)
    found = compare_trained(table, Path(folder))
    (Path(folder) / "scores.json").write_text(json.dumps(vars(found)))


def large_init(folder: Path) -> Taken:
    """`--init` on a generated table of 200,000 rows."""
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


def line(name: str, found: Compared, init: Taken, train: Taken) -> tuple[str, bool]:
    """A row of the printed table, and whether a number in it falls short."""
    difference = found.shipped - found.by_hand
    is_within = difference >= -WITHIN
    is_quick = init.wall_s + train.wall_s <= MAX_TRAIN_S
    cells = (
        name,
        found.n_test,
        f"{found.shipped:.4f}",
        f"{found.by_hand:.4f}",
        f"{difference:+.4f} ({found.low:+.3f} to {found.high:+.3f})",
        "yes" if is_within else "**no**",
        init,
        f"{train}{'' if is_quick else ' **long**'}",
    )
    return f"| {' | '.join(map(str, cells))} |", not (is_within and is_quick)


def main() -> int:
    """Print one line a table, and the seconds of `--init` on a large one."""
    wanted = sys.argv[1:] or [table.name for table in TABLES]
    short = []
    print("| table | rows tested | as proposed | by hand | difference (95 %) | within 2 % ", end="")
    print("| --init s | --train s |\n|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-init-") as scratch:
        for name in wanted:
            folder = Path(scratch) / name
            folder.mkdir()
            text, is_short = line(name, *trained(name, folder))
            short += [name] * is_short
            print(text, flush=True)
        if not sys.argv[1:]:
            large = large_init(Path(scratch))
            print(f"\n--init on {N_ROWS:,} rows: {large} s (at most {MAX_INIT_S:g})")
            short += ["large"] * (large.wall_s > MAX_INIT_S)
    print(f"\nshort: {', '.join(short) or 'nothing'}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
