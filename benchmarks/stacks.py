"""What the stacks cost: S3 against local, and steps in containers: `python -m benchmarks.stacks`.

The insurance table is trained on the local stack and on `aws` over a moto server on this machine,
the two in turn, each from an empty ZenML store; iris is trained on `docker`, where an engine
answers. BENTOLINE_DATA names the folder of the real tables. `--quick`: one pair, on iris.
Exit code 1 where a figure falls short or the models differ.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.engine import find_engine
from deploy.settings import Settings
from deploy.training_image import training_image
from tabular.errors import BentolineError
from tests.base_image import base_image
from tests.s3 import ROOT, client, credentials, moto

PAIRS = 3
MAX_RATIO, MAX_STEP_S = 1.30, 12.0
BUCKET, TABLE = "bench", "vehicle_insurance_210k.csv"
PLACES = {
    "BENTOLINE_ARTIFACTS": f"s3://{BUCKET}/zenml",
    "BENTOLINE_REGISTRY": f"s3://{BUCKET}/registry",
}
# Nothing of the caller's own stores may reach a run; the base image and threads may.
SHUT_OUT = ("AWS_", "ZENML_", "MLFLOW_", "BENTOLINE_HOME", "BENTOLINE_REGISTRY", "MONGODB_")
REQUEST = re.compile(r'"([A-Z]+) (\S+) HTTP')


@dataclass(frozen=True)
class Run:
    """One process from its start to its end, and the model that it made."""

    wall_s: float
    cpu_s: float
    model_sha256: str
    step_s: dict[str, float]


@dataclass(frozen=True)
class Store:
    """A moto server; `log` holds a line for each request."""

    address: str
    log: Path

    def requests(self) -> Counter[str]:
        """How many there were since the last call, by method; a GET of a prefix is a LIST."""
        found = REQUEST.findall(self.log.read_text(errors="replace"))
        os.truncate(self.log, 0)
        return Counter("LIST" if "list-type" in path else method for method, path in found)


@contextmanager
def store(folder: Path) -> Iterator[Store]:
    """A moto server in a process of its own, with an empty bucket."""
    log = folder / "requests.log"
    with moto(log=log) as address:
        client(address).create_bucket(Bucket=BUCKET)
        yield Store(address, log)


def train(home: Path, flags: list[str], variables: dict[str, str]) -> Run:
    """`run.py --train` with an empty ZenML store; CPU is the operating system's own figure."""
    home.mkdir()
    report = home / "report.json"
    kept = {name: v for name, v in os.environ.items() if not name.startswith(SHUT_OUT)}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "run.py", "--train", "--report", str(report), *flags],
        cwd=ROOT, env={**kept, **variables, "BENTOLINE_HOME": str(home)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # a refused model is one too
        raise SystemExit(f"failed: run.py --train {' '.join(flags)}")
    found = json.loads(report.read_text())
    steps = {step["name"]: step["seconds"] for step in found["steps"]}
    return Run(wall_s, usage.ru_utime + usage.ru_stime, found["model_sha256"], steps)


def s3_against_local(scratch: Path, flags: list[str], n_pairs: int) -> list[str]:
    """Print the table; what fell short."""
    near, far, counts = [], [], Counter[str]()
    with store(scratch) as s3:
        variables = {**credentials(s3.address), **PLACES}
        for pair in range(n_pairs):
            near.append(train(scratch / f"local{pair}", flags, {}))
            s3.requests()
            # A bucket of its own path each time: the first version, as on the local stack.
            places = {name: f"{place}/{pair}" for name, place in PLACES.items()}
            far.append(
                train(scratch / f"aws{pair}", [*flags, "--stack", "aws"], variables | places)
            )
            counts = s3.requests()
    ratio = statistics.median(b.wall_s / a.wall_s for a, b in zip(near, far, strict=True))
    print("| stack | wall s | CPU s |\n|---|---|---|")
    for name, runs in (("local", near), ("aws", far)):
        wall_s = statistics.median(run.wall_s for run in runs)
        print(f"| {name} | {wall_s:.1f} | {statistics.median(run.cpu_s for run in runs):.1f} |")
    print(
        f"\nWall time, S3 over local, median of {n_pairs} pairs: {ratio:.2f} (at most {MAX_RATIO})."
    )
    shown = ", ".join(f"{n} {method}" for method, n in counts.most_common())
    print(f"Requests of one run: {counts.total()} ({shown}).")
    models = {run.model_sha256 for run in (*near, *far)}
    print(
        f"model.onnx: {'the same' if len(models) == 1 else 'NOT the same'} in all runs: {models}."
    )
    missed = [f"S3 costs {ratio:.2f} times local"] if ratio > MAX_RATIO else []
    return missed + (["the stacks made different models"] if len(models) > 1 else [])


def containers(scratch: Path) -> list[str]:
    """Print the seconds of each step of iris in a container; what fell short."""
    try:
        base = os.environ.get("BENTOLINE_BASE_IMAGE") or base_image()
        engine = find_engine(os.environ)
        training_image(engine, ROOT, Settings.of({**os.environ, "BENTOLINE_BASE_IMAGE": base}))
    except (BentolineError, subprocess.CalledProcessError) as error:
        print(f"\nDocker orchestrator: not measured: {error}")
        return []
    flags = ["--problem", "iris"]
    with store(scratch) as s3:
        variables = {**credentials(s3.address), **PLACES, "BENTOLINE_BASE_IMAGE": base}
        run = train(scratch / "docker", [*flags, "--stack", "docker"], variables)
        requests = s3.requests().total()
    near = train(scratch / "beside-docker", flags, {})
    mean_s = run.wall_s / len(run.step_s)
    slowest = max(run.step_s, key=lambda name: run.step_s[name])
    print(
        f"\nDocker orchestrator, iris: {run.wall_s:.0f} s for {len(run.step_s)} steps, "
        f"{mean_s:.1f} s a step (at most {MAX_STEP_S:g}), inside it "
        f"{statistics.median(run.step_s.values()):.1f} s at the median and "
        f"{run.step_s[slowest]:.1f} s in {slowest}; {requests} requests to S3."
    )
    missed = [f"a step in a container takes {mean_s:.1f} s"] if mean_s > MAX_STEP_S else []
    same = near.model_sha256 == run.model_sha256
    return missed + ([] if same else ["the containers made another model than the local stack"])


def main() -> int:
    """Measure, print, and say what fell short."""
    quick = "--quick" in sys.argv[1:]
    table = Path(os.environ.get("BENTOLINE_DATA", ROOT.parent / "shared" / "data")) / TABLE
    if quick or not table.exists():
        flags, n_pairs = ["--problem", "iris"], 1
        print("On iris, one pair" + ("." if quick else f": {TABLE} is not in BENTOLINE_DATA."))
    else:
        flags, n_pairs = ["--problem", "vehicle_insurance", "--data", str(table)], PAIRS
    with tempfile.TemporaryDirectory(prefix="bench-stacks-") as folder:
        short = s3_against_local(Path(folder), flags, n_pairs) + containers(Path(folder))
    for sentence in short:
        print(f"short: {sentence}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
