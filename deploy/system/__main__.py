"""`make up`: the whole system of docker-compose.yml, checked first, started, and explained."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.engine import Engine, find_engine, reason
from deploy.host.checks import readiness
from deploy.image import DIRTY, Release, build_bento, build_image, release_of, released_bundle
from deploy.settings import Settings
from deploy.system.checks import check_ports, find_compose
from deploy.system.environment import EXAMPLE, NAME, port_of, read_environment, write_environment
from deploy.system.model import seed, version_here
from tabular.errors import BentolineError, StoreError
from tabular.registry import open_registry

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "bentoline:system"
READY_WITHIN_S = 120.0
PAUSE_S = 0.5

# By variable of the port: the part, how its address begins, and who may enter.
PARTS = {
    "SERVICE_PORT": ("the service", "http://", "answers {problem} {version}"),
    "GRAFANA_PORT": ("Grafana", "http://", "admin, GRAFANA_PASSWORD"),
    "PROMETHEUS_PORT": ("Prometheus", "http://", "its alerts at /alerts"),
    "ZENML_PORT": ("ZenML", "http://", "admin, ZENML_PASSWORD"),
    "S3_PORT": ("S3", "http://", "S3_ACCESS_KEY, S3_SECRET_KEY"),
    "MONGO_PORT": ("MongoDB", "mongodb://", "bentoline, MONGO_PASSWORD"),
}


def main(environ: Mapping[str, str]) -> int:
    """Bring the system up; what is wrong ends with one sentence and exit code 2."""
    home = Path(environ.get("BENTOLINE_HOME") or ROOT / ".bentoline").resolve()
    try:
        up(home)
    except BentolineError as error:
        print(f"bentoline: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def up(home: Path) -> None:
    """Check, then build, start, fill and wait; whatever is there already stays as it is.

    Raises:
        BentolineError: Something is missing or taken, or a part did not start.
    """
    engine = find_engine(os.environ)
    compose = find_compose(engine)
    is_new = write_environment(ROOT)
    values = read_environment(ROOT)
    say(f"{NAME}: {'written from ' + EXAMPLE + ', with secrets of its own' if is_new else 'kept'}.")
    check_ports(engine, values)
    say(f"{' '.join(compose)}: found; every port of {NAME} is free or ours.")
    problem, here = values["PROBLEM"], open_registry(str(home / "registry"))
    # The system's own stores do not run yet, and a variable of the shell overrides none of .env.
    own = {name: text for name, text in os.environ.items() if name not in values}
    version = version_here(here, problem, root=ROOT, environment=own)
    build(engine, release_of(here, problem, version, ROOT), here.location)
    (home / "monitor").mkdir(parents=True, exist_ok=True)
    start(compose, {**own, "BENTOLINE_HOME": str(home)})
    # boto3 reads these; the values of .env come before those of a developer's own account.
    os.environ.update({name: text for name, text in values.items() if name.startswith("AWS_")})
    os.environ.pop("AWS_SESSION_TOKEN", None)
    served = seed(here, open_registry(values["BENTOLINE_REGISTRY"]), problem)
    wait_ready(port_of("SERVICE_PORT", values))
    show_addresses(values, problem=problem, version=served)
    spoken = "docker compose" if len(compose) > 1 else "docker-compose"
    say(f"`{spoken} down` ends it; `{spoken} down --volumes` deletes what it holds too.")


def show_addresses(values: Mapping[str, str], *, problem: str, version: str) -> None:
    """Where each part answers. No password: the output of `make` is kept in logs."""
    for name, (part, scheme, entry) in PARTS.items():
        address = f"{scheme}localhost:{values[name]}"
        say(f"  {part:<12} {address:<27} {entry.format(problem=problem, version=version)}")
    say(f"The passwords stand in {NAME}. For run.py on this system: set -a; . ./{NAME}; set +a")


def build(engine: Engine, release: Release, registry: str) -> None:
    """Build the service's image, unless it was built from the same commit and model.

    The model in it is what it would serve without a registry.
    """
    if not release.commit.endswith(DIRTY) and is_built(engine, release):
        say(f"the image of {release.problem} {release.version}: kept.")
        return
    say(f"the image of {release.problem} {release.version}: building (the first takes minutes).")
    bundle = released_bundle(release, registry, "")
    settings = Settings.of(os.environ)
    with TemporaryDirectory() as folder:
        bento = build_bento(bundle.path, Path(folder) / "build", root=ROOT, public_key=None)
        built = build_image(
            engine, bento, release, dockerfile=ROOT / "Dockerfile", settings=settings
        )
    engine.call("tag", built, IMAGE, what=f"naming {IMAGE}")


def is_built(engine: Engine, release: Release) -> bool:
    """Whether the image that would be started is the release's."""
    found = engine.inspect("image", IMAGE)
    labels = (found["Config"]["Labels"] or {}) if found else {}
    return bool(release.labels.items() <= labels.items())


def start(compose: list[str], environment: Mapping[str, str]) -> None:
    """`docker compose up`.

    Raises:
        StoreError: An image could not be had, or a part did not start.
    """
    say("docker-compose.yml: starting (images that are not here are pulled first).")
    done = subprocess.run(  # noqa: S603  # Compose, with words of ours
        [*compose, "up", "--detach"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StoreError(
            f"make up: {' '.join(compose)} up failed: {reason(done.stderr)}. What started goes on; "
            "mend it and run `make up` again."
        )


def wait_ready(port: int) -> None:
    """Return once the service has taken up its model.

    Raises:
        StoreError: It did not in time; with what it says.
    """
    deadline, said = time.monotonic() + READY_WITHIN_S, "nothing answers"
    while time.monotonic() < deadline:
        status, answer = readiness(port)
        if status == 200:
            return
        said = answer.get("reason", said)
        time.sleep(PAUSE_S)
    raise StoreError(f"make up: the service is not ready after {READY_WITHIN_S:g} s: {said}.")


def say(sentence: str) -> None:
    """One step of what is done, at once also where the output is a file."""
    print(sentence, flush=True)


if __name__ == "__main__":
    sys.exit(main(os.environ))
