"""`run.py --promote` and `run.py --rollback`: an alias moves, and then ZenML follows.

ZenML is not imported before the alias has moved and the user was told so: that takes well under a
second, and ZenML several.
"""

from __future__ import annotations

import argparse
from typing import Any

from pipelines.console import show_move
from pipelines.mirror import mirror_promotion
from pipelines.outcome import check_report, write_report
from pipelines.place import Place
from pipelines.promotion import PRODUCTION, check_alias, promote, published_problem, roll_back
from pipelines.store import store_folder
from pipelines.tracking.following import follow_in_mlflow, version_in_mlflow
from tabular.errors import ConfigError, RefusedError
from tabular.registry import Registry

DONE = 0
IN_MLFLOW = "mlflow"  # --promote takes it for the version that MLflow's alias names


def run(options: argparse.Namespace, place: Place) -> int:
    """Move one alias; a refusal by a gate is raised."""
    check_report(options.report)
    registry = place.open_registry()
    move = _promote if options.action == "promote" else _roll_back
    problem, alias, record = move(options, place, registry)
    version = registry.alias(problem, alias) if record is None else record["to"]
    show_move(problem, alias, version, record)
    mirrored = mirror_promotion(place, registry, problem)
    write_report(
        options.report,
        {
            "problem": problem,
            "alias": alias,
            "version": version,
            "moved": record is not None,
            "record": record,
            "zenml": mirrored.state,
            "mlflow": follow_in_mlflow(place, registry, problem),
        },
    )
    return DONE


def _promote(
    options: argparse.Namespace, place: Place, registry: Registry
) -> tuple[str, str, dict[str, Any] | None]:
    if not options.to:
        raise ConfigError("--promote: it needs --to staging or --to production.")
    check_alias(options.to)
    if not (options.why or "").strip():
        raise ConfigError('--promote: it needs --why "...", which the audit keeps.')
    problem = published_problem(registry, options.problem)
    is_moved_there = options.promote == IN_MLFLOW
    if is_moved_there:
        version = version_in_mlflow(place, registry, problem, options.to)
    else:
        version = registry.resolve(problem, options.promote)
    try:
        record = promote(
            registry,
            problem,
            version,
            options.to,
            store=store_folder(place.home),
            why=options.why,
            override=(options.override or "").strip(),
        )
    except RefusedError:
        if is_moved_there:  # MLflow shows again what the registry holds
            follow_in_mlflow(place, registry, problem)
        raise
    return problem, options.to, record


def _roll_back(
    options: argparse.Namespace, place: Place, registry: Registry
) -> tuple[str, str, dict[str, Any] | None]:
    problem = published_problem(registry, options.problem)
    to = registry.resolve(problem, options.to) if options.to else ""
    why = options.why or "rolled back by hand"
    record = roll_back(registry, problem, to=to, store=store_folder(place.home), why=why)
    return problem, PRODUCTION, record
