"""`run.py --status`: every problem's aliases, versions, metrics and moves, from the registry.

ZenML is looked at without importing it, and mended where it shows something else.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from typing import Any

from pipelines.console import show_note
from pipelines.mirror import Mirrored, mirror, tell_disagreement
from pipelines.outcome import as_json, check_report, write_report
from pipelines.place import Place
from pipelines.promotion import published_problem
from pipelines.registry_state import problem_state
from pipelines.status_table import show_problem
from tabular.errors import BundleError
from tabular.registry import Registry

DONE, DAMAGED = 0, BundleError.exit_code


def run(options: argparse.Namespace, place: Place) -> int:
    """Show what is published; 2 where a version is damaged, so that a program notices."""
    check_report(options.report)
    registry = place.open_registry()
    names = _named(options, registry)
    states = [problem_state(registry, name) for name in names]
    if options.json:
        with redirect_stdout(sys.stderr):  # what is said while ZenML is mended is no JSON
            mirrored = mirror(place, registry, names, wait_s=0)
        sys.stdout.write(as_json(_outcome(registry, states, mirrored)))
    else:
        _show(registry, states)
        mirrored = mirror(place, registry, names, wait_s=0)
        tell_disagreement(mirrored)
    write_report(options.report, _outcome(registry, states, mirrored))
    return DAMAGED if any(v["damaged"] for state in states for v in state["versions"]) else DONE


def _show(registry: Registry, states: list[dict[str, Any]]) -> None:
    for state in states:
        show_problem(state)
    if not states:
        show_note(f"registry {registry.location}: no problem has a version; --train makes one.")


def _named(options: argparse.Namespace, registry: Registry) -> list[str]:
    """The problem of `--problem`, or all of them."""
    if options.has_problem:
        return [published_problem(registry, options.problem)]
    return registry.problems()


def _outcome(
    registry: Registry, states: list[dict[str, Any]], mirrored: Mirrored
) -> dict[str, Any]:
    return {
        "registry": registry.location,
        "problems": {state["problem"]: state for state in states},
        "zenml": {
            "state": mirrored.state,
            "disagreed": mirrored.disagreed,
            "reason": mirrored.reason,
        },
    }
