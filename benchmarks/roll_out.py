"""Measure roll-outs of the serving image to two hosts, under load from clients.

    python -m benchmarks.roll_out      about ten minutes on a quiet machine; needs root, nginx, wrk

Twenty releases in a row, every third one bad (in turn: wrong answers, never ready, ends, slow), and
a release killed with SIGKILL at twenty random moments. The hosts are two proxies with ports,
containers and folders of their own on one engine, and CodeDeploy is the tests' stand-in, so that
AWS's own time is not in the figures; the hooks and all that they start are the real ones. Exit code
1 where a number falls short. BENCH_RELEASES and BENCH_KILLS shorten it, for who works on this.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import boto3

from deploy.engine import Engine, find_engine
from deploy.image import Release, build_bento, build_image
from deploy.revision import Revision
from deploy.settings import Settings
from tabular.bundle import Bundle, seal
from tabular.errors import RefusedError
from tests.base_image import base_image
from tests.e2e.checkout import make_checkout
from tests.e2e.hosts import Load, Machine, steady_load
from tests.e2e.image_registry import image_registry, password_of
from tests.e2e.releases import (
    CHANGES,
    ENDING,
    RIGHT,
    SILENT,
    SLOW,
    WRONG,
    Kinds,
    Releases,
    releases,
)  # fmt: skip
from tests.s3 import credentials, moto
from tests.unit.tiny import RECORDS, write_tiny

N_RELEASES = int(os.environ.get("BENCH_RELEASES", "20"))
N_KILLS = int(os.environ.get("BENCH_KILLS", "20"))
BAD = (WRONG, SILENT, ENDING, SLOW)
MAX_S = 25.0
CONNECTIONS, REST_MS = 4, 10  # of clients, for each host


@dataclass(frozen=True)
class Seen:
    """What one release did."""

    kind: str
    seconds: float
    is_as_it_should: bool


def main() -> int:
    """Run both parts and print the table."""
    with tempfile.TemporaryDirectory(prefix="bench-roll-out-") as scratch, moto() as endpoint:
        folder = Path(scratch)
        engine = find_engine(os.environ)
        client = boto3.Session("a", "b", region_name="us-east-1").client(
            "ecr", endpoint_url=endpoint
        )
        client.create_repository(repositoryName="bentoline", imageTagMutability="IMMUTABLE")
        token = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        with image_registry(folder, password_of(token)) as address:
            environment = {**credentials(endpoint), "BENTOLINE_ECR_HOST": address}
            kinds = prepare(engine, folder)
            with releases(engine, kinds, environment, folder) as made:
                lines, is_right = measured(made, folder)
        engine.tries("rmi", "--force", kinds.image)
    print("\n".join(lines))
    return 0 if is_right else 1


def prepare(engine: Engine, folder: Path) -> Kinds:
    """Build the serving image once; every release adds a label to it, or what makes it bad."""
    bundle: Bundle = write_tiny(folder / "v1")
    other = write_tiny(folder / "other" / "v1", task="regression")
    patient = seal(bundle, folder / "patient", {"serving": {"max_latency_ms": 500}})
    (folder / "checkout").mkdir()
    checkout = make_checkout(folder / "checkout")
    bento = build_bento(bundle.path, folder / "bento", root=checkout, public_key=None)
    release = Release(problem="bench", version="v0", commit="0" * 12, bundle="ab")
    settings = Settings.of({**os.environ, "BENTOLINE_BASE_IMAGE": base_image()})
    build_image(engine, bento, release, dockerfile=checkout / "Dockerfile", settings=settings)
    return Kinds(release.image, {RIGHT: patient, WRONG: other}, CHANGES)


def measured(made: Releases, folder: Path) -> tuple[list[str], bool]:
    """Both parts; the table's lines, and whether every number holds."""
    body = folder / "row.json"
    body.write_text(json.dumps(RECORDS[0]))
    revision, image = made.revision(1)
    made.roll_out(revision)
    with steady_load(made.machines, body, connections=CONNECTIONS, rest_ms=REST_MS) as load:
        seen, good = in_a_row(made, image)
    left = leftovers(made, good)
    with steady_load(made.machines[:1], body, connections=CONNECTIONS, rest_ms=REST_MS) as under:
        n_clean = killed(made, made.machines[0], folder)
    lines = table(seen, load, left, under, n_clean)
    slowest = max(one.seconds for one in seen)
    is_right = all(one.is_as_it_should for one in seen) and slowest <= MAX_S
    no_failures = load.failed == under.failed == 0
    return lines, is_right and no_failures and not left and n_clean == N_KILLS


def in_a_row(made: Releases, image: str) -> tuple[list[Seen], list[str]]:
    """Releases, every third one bad; what each did, and the images of the good ones."""
    seen, good = [], [image]
    for number in range(2, N_RELEASES + 2):
        kind = BAD[(number // 3 - 1) % len(BAD)] if number % 3 == 0 else RIGHT
        revision, image = made.revision(number, kind)
        before, refusal, begun = made.serving(), "", time.monotonic()
        try:
            made.roll_out(revision)
            good.append(image)
        except RefusedError as error:
            refusal = str(error)
        seconds = time.monotonic() - begun
        now = made.serving()
        wanted = [[image]] * 2 if kind == RIGHT else [list(host.values()) for host in before]
        is_same = kind == RIGHT or now == before  # the very containers
        is_right = bool(refusal) == (kind != RIGHT) and is_same
        is_right &= [list(host.values()) for host in now] == wanted
        seen.append(Seen(kind, seconds, is_right))
        print(f"{number - 1}. {kind}: {seconds:.1f} s {refusal}", flush=True)
    return seen, good


def leftovers(made: Releases, good: list[str]) -> list[str]:
    """What is there beside the last good release and the image before it."""
    found = [f"image {image}" for image in made.images() if image not in good[-2:]]
    for one in made.machines:
        images = list(one.containers(made.engine).values())
        found += [f"container of {image}" for image in images if image != good[-1]]
        found += [f"file {name}" for name in one.files() - {"images.json", "lock"}]
    return found


def killed(made: Releases, machine: Machine, folder: Path) -> int:
    """Kill releases at random moments; how many the same command finished afterwards."""
    moments, n_clean, whole_s = random.Random(7), 0, 6.0  # noqa: S311  # moments, not secrets
    for number in range(N_KILLS):
        revision, image = made.revision(100 + number)
        command = [str(unpacked(revision, folder / f"killed-{number}") / "release.sh")]
        release = subprocess.Popen(command, env=machine.host.environment)
        moment = moments.uniform(0, whole_s)
        try:
            release.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            release.send_signal(signal.SIGKILL)
            release.wait()
        status, _ = machine.ask()
        again = subprocess.run(command, env=machine.host.environment, check=False)
        images = list(machine.containers(made.engine).values())
        is_clean = machine.files() == {"images.json", "lock"} and images == [image]
        n_clean += status == 200 and again.returncode == 0 and is_clean
        print(f"killed after {moment:.1f} s: answered {status}, again {again.returncode}")
    return n_clean


def unpacked(revision: Revision, folder: Path) -> Path:
    """A revision as it lies on a host."""
    with zipfile.ZipFile(BytesIO(revision.content)) as zipped:
        zipped.extractall(folder)
        for entry in zipped.infolist():
            (folder / entry.filename).chmod(entry.external_attr >> 16)
    return folder


def table(seen: list[Seen], load: Load, left: list[str], under: Load, n_clean: int) -> list[str]:
    """The figures as Markdown."""
    lines = ["| release | n | as it should | seconds: median | highest |", "|---|---|---|---|---|"]
    for kind in (RIGHT, *BAD):
        own = [one for one in seen if one.kind == kind]
        if own:
            seconds = [one.seconds for one in own]
            n_right = sum(one.is_as_it_should for one in own)
            lines.append(
                f"| {kind} | {len(own)} | {n_right} | {statistics.median(seconds):.1f} | "
                f"{max(seconds):.1f} |"
            )
    meanwhile = "{:,} requests meanwhile, {} failed"
    row = meanwhile.format(load.requests, load.failed)
    killing = meanwhile.format(under.requests, under.failed)
    lines += ["", f"{row}; left behind: {left or 'nothing'}."]
    lines += [f"Killed {N_KILLS} times, {n_clean} finished by the same command; {killing}."]
    return lines


if __name__ == "__main__":
    sys.exit(main())
