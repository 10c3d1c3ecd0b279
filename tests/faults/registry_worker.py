"""A process that works on a registry as it is told: one JSON command a line, one answer a line.

`fork` makes a copy of this process that publishes and promotes for ever, to be killed: a new
interpreter would cost more than the work.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tabular.errors import BentolineError
from tabular.registry import ANY, Registry, open_registry
from tabular.stores import s3 as s3_store

PROBLEM, ALIAS = "tiny", "production"


def answer(registry: Registry, command: dict[str, Any]) -> Any:
    """Do what a command says."""
    match command["do"]:
        case "publish":
            return registry.publish(PROBLEM, Path(command["bundle"]))
        case "promote":
            time.sleep(max(0.0, command["at"] - time.monotonic()))
            return promote(registry, command["version"], command["actor"], command["expected"])
        case "look":
            return look(registry, command["seconds"])
        case "fork":
            return fork(registry.location, Path(command["bundle"]))
        case "reap":
            return os.waitpid(command["pid"], 0)[1]
    raise ValueError(command["do"])


def promote(registry: Registry, version: str, actor: str, expected: str | None = ANY) -> str:
    """Return `won`, or the sentence of the refusal."""
    try:
        registry.set_alias(PROBLEM, ALIAS, version, actor=actor, why="", expected=expected)
    except BentolineError as error:
        return str(error)
    return "won"


def look(registry: Registry, seconds: float) -> int:
    """Read as a server does, verify what is seen, and return how often; half a version raises."""
    n_looks, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        if version := registry.alias(PROBLEM, ALIAS):
            registry.fetch(PROBLEM, version)
        if versions := registry.versions(PROBLEM):
            registry.fetch(PROBLEM, versions[-1])
        n_looks += 1
    return n_looks


def fork(location: str, bundle: Path) -> int:
    """Start the copy that publishes and promotes until it is killed."""
    pid = os.fork()
    if pid:
        return pid
    registry = open_registry(location)
    while True:
        promote(registry, registry.publish(PROBLEM, bundle), "killed")


def be_patient() -> None:
    """Wait longer than a user would: here nine clients share the server's cores."""
    s3_store.READ_TIMEOUT_S = s3_store.ATTEMPTS_FOR_S = 60


def main(location: str, cache: str) -> None:
    """Answer until the input ends."""
    be_patient()
    registry = open_registry(location, Path(cache))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(registry, json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
