"""Moves by hand: which version may have which alias, and production going back."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.store_view import run_status
from tabular.errors import ConfigError, RefusedError, did_you_mean, listed
from tabular.registry import Registry
from tabular.versions.stages import LED_TO, past_versions

PRODUCTION = "production"
COMPLETED = ("completed", "cached")


def promote(
    registry: Registry,
    problem: str,
    version: str,
    alias: str,
    *,
    store: Path,
    why: str,
    override: str = "",
) -> dict[str, Any] | None:
    """Let an alias name a version that has earned it, and return the audit record.

    Args:
        registry: Where the version is.
        problem: Its problem.
        version: Its name; every file of it is verified.
        alias: staging or production.
        store: The folder of the ZenML store that is asked for the version's run.
        why: For the audit record.
        override: Why it is moved although a gate or its run stands against it.

    Returns:
        The record, or None where the alias names the version already.

    Raises:
        RefusedError: The version has not passed the alias's gates, or its run did not complete.
        StoreError: Somebody else moved the alias at the same moment.
    """
    check_alias(alias)
    present = registry.alias(problem, alias)
    manifest = registry.manifest(problem, version)
    if present == version:
        return None
    against = obstacles(manifest, alias, store)
    if against and not override:
        raise RefusedError(
            f"registry {registry.location}: {problem} {version} may not be {alias}: "
            f"{'; '.join(against)}. Nothing was changed. Train a better model, or move it all the "
            f'same by --promote {version} --to {alias} --override "reason", which the audit keeps.'
        )
    return registry.set_alias(
        problem,
        alias,
        version,
        actor=actor(),
        why=why,
        expected=present,
        override=override if against else "",
    )


def roll_back(
    registry: Registry, problem: str, *, to: str, store: Path, why: str
) -> dict[str, Any] | None:
    """Move production back to `to`, or to the version that held it before, and return the record.

    Returns:
        The record, or None where production names that version already.

    Raises:
        ConfigError: Production was never set, or names its first version.
        RefusedError: `to` never held production, and did not pass its gates.
        StoreError: Somebody else moved the alias at the same moment.
    """
    present = registry.alias(problem, PRODUCTION)
    if present is None:
        raise ConfigError(
            f"registry {registry.location}: {problem} has no production yet, so there is nothing "
            "to roll back; --promote VERSION --to production sets it."
        )
    if to and to not in past_versions(registry, problem, PRODUCTION):
        return promote(registry, problem, to, PRODUCTION, store=store, why=why)
    target = to or registry.previous(problem, PRODUCTION)
    if target is None:
        raise ConfigError(
            f"registry {registry.location}: {problem}'s production is {present}, the first version "
            "that it named, so there is nothing to roll back to; name one by --to, or promote one."
        )
    if target == present:
        return None
    return registry.set_alias(problem, PRODUCTION, target, actor=actor(), why=why, expected=present)


def obstacles(manifest: Mapping[str, Any], alias: str, store: Path) -> list[str]:
    """What stands against an alias, in words: gates that failed, and a run that did not end well.

    The gates of an alias are its own and those of the aliases below it.
    """
    report = manifest.get("report", {})
    found = failed_gates(report.get("verdict"), alias)
    if run := report.get("run"):
        status = run_status(store, run)
        if status not in (None, *COMPLETED):
            found.append(f"its ZenML run {run} is {status}, not completed")
    return found


def failed_gates(verdict: Mapping[str, Any] | None, alias: str) -> list[str]:
    """The sentences of the blocking gates that an alias asks for and that did not hold."""
    if verdict is None:
        return ["its manifest has no verdict"]
    later = LED_TO[LED_TO.index(alias) + 1 :]
    return [
        result["sentence"]
        for result in verdict["results"]
        if result["severity"] == "block"
        and not result["passed"]
        and result.get("alias") not in later
    ]


def check_alias(name: str) -> None:
    """Refuse an alias that is not moved by hand.

    Raises:
        ConfigError: It is neither staging nor production.
    """
    if name not in LED_TO:
        raise ConfigError(
            f"--to: '{name}' is not an alias to promote to{did_you_mean(name, LED_TO)}; write "
            f"{' or '.join(LED_TO)}."
        )


def published_problem(registry: Registry, name: str) -> str:
    """The problem of `--problem`, a name or the path of its YAML file, as the registry knows it.

    Raises:
        ConfigError: The registry has no version of it.
    """
    problem = Path(name).stem if Path(name).suffix in (".yaml", ".yml") else name
    if not registry.versions(problem):
        known = registry.problems()
        raise ConfigError(
            f"registry {registry.location}: '{problem}' has no version"
            f"{did_you_mean(problem, known)}; the problems that have one are {listed(known)}. "
            "--train publishes one."
        )
    return problem


def actor() -> str:
    """Who moves an alias by hand: the system's user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under an id without a name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
