"""The model that a new system serves: a version of the folder's registry, copied into its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tabular.errors import BentolineError, RefusedError, StoreError
from tabular.registry import Registry

PRODUCTION = "production"
STORE_WITHIN_S = 120.0
PAUSE_S = 1.0


def version_here(
    registry: Registry, problem: str, *, root: Path, environment: Mapping[str, str]
) -> str:
    """The production version of this machine's registry; one is trained where there is none.

    Raises:
        RefusedError: None was published.
    """
    if version := registry.alias(problem, PRODUCTION):
        return version
    command = [sys.executable, "run.py", "--train", "--problem", problem]
    own = {**environment, "BENTOLINE_REGISTRY": registry.location}
    subprocess.run(command, cwd=root, env=own, check=False)  # noqa: S603  # our own command
    if version := registry.alias(problem, PRODUCTION):
        return version
    raise RefusedError(
        f"make up: there is no production version of {problem} to serve; mend what run.py --train "
        "--problem says above, or name another PROBLEM in .env."
    )


def seed(source: Registry, target: Registry, problem: str) -> str:
    """Copy the production version into a registry that has none, and return what it serves.

    Raises:
        StoreError: The store does not answer in time.
    """
    if version := until_answered(lambda: target.alias(problem, PRODUCTION)):
        return version
    version = source.resolve(problem, PRODUCTION)
    copied = target.publish(problem, source.fetch(problem, version))
    target.set_alias(
        problem,
        PRODUCTION,
        copied,
        actor="make up",
        why=f"{version} of {source.location}, the first of this system",
        expected=None,
    )
    return copied


def until_answered(
    ask: Callable[[], str | None], *, within_s: float = STORE_WITHIN_S, pause_s: float = PAUSE_S
) -> str | None:
    """Ask again while the store starts and its bucket is made.

    Raises:
        StoreError: It did not answer in time; the sentence is the last one.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            return ask()
        except BentolineError as error:
            if time.monotonic() > deadline:
                raise StoreError(
                    f"make up: the S3 store did not answer within {within_s:g} s: {error}"
                ) from error
        time.sleep(pause_s)
