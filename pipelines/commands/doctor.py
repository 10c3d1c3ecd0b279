"""`run.py --doctor [--stack NAME]`: is every part well, and what is to be done about the others."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from rich.table import Table
from rich.text import Text

from pipelines.console import console
from pipelines.doctor import machine, prediction_log, servers
from pipelines.doctor.examination import Check, Finding, examine
from pipelines.outcome import as_json, check_report, write_report
from pipelines.place import Place
from pipelines.stacks.definition import StackDefinition, load_stack
from tabular.errors import ConfigError

WELL, WRONG = 0, 2
MARKS = {"good": ("✓", "green"), "note": ("!", "yellow"), "wrong": ("✗", "red")}
# What a flavor needs beside ZenML itself.
PACKAGES = {"s3": "s3fs", "mlflow": "mlflow", "local_docker": "docker", "kubernetes": "kubernetes"}


def run(options: argparse.Namespace, place: Place) -> int:
    """Print the findings; return 0 where nothing is wrong, 2 otherwise."""
    check_report(options.report)
    stack = load_stack(options.stack, place.stacks, os.environ) if options.stack else None
    findings = examine(checks(place, os.environ, stack))
    outcome = {"stack": options.stack or "local", "findings": [asdict(one) for one in findings]}
    write_report(options.report, outcome)
    if options.json:
        sys.stdout.write(as_json(outcome))
    else:
        _show(findings)
    return WRONG if any(one.state == "wrong" for one in findings) else WELL


def checks(place: Place, environ: Mapping[str, str], stack: StackDefinition | None) -> list[Check]:
    """What the environment and the stack name, in the order in which one rests on another."""
    found = [
        Check("python", machine.python),
        Check("packages", partial(machine.packages, place.root)),
        Check("disk", partial(machine.disk, place.home)),
        Check("home", partial(machine.writable, place.home, "BENTOLINE_HOME")),
        Check("ZenML store", partial(machine.zenml_store, place.home)),
        *_components(stack),
        *_stores(place, stack),
    ]
    if log := place.prediction_log:
        found.append(Check("prediction log", partial(prediction_log.place_of_log, log)))
    if url := environ.get("ZENML_STORE_URL", ""):
        found.append(Check("ZenML server", partial(servers.zenml_server, url)))
    if place.mlflow:
        found.append(Check("MLflow", partial(servers.mlflow_server, place.mlflow, environ)))
    if uri := environ.get("MONGODB_URI", ""):
        found.append(Check("MongoDB", partial(servers.mongodb, uri)))
    needs_engine = stack is not None and _flavor(stack, "orchestrator") == "local_docker"
    look = partial(machine.engine, environ)
    return [*found, Check("engine", look, "wrong" if needs_engine else "note")]


def _components(stack: StackDefinition | None) -> list[Check]:
    parts = stack.components.items() if stack else ()
    return [
        Check(f"{kind} {part.flavor}", partial(_installed, part.flavor, PACKAGES[part.flavor]))
        for kind, part in parts
        if part.flavor in PACKAGES
    ]


def _installed(flavor: str, package: str) -> str:
    if importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"flavor {flavor} needs {package}; install the lock again, or pip install {package}."
        )
    return f"{package} is installed"


def _stores(place: Place, stack: StackDefinition | None) -> list[Check]:
    named = {"registry": place.registry}
    if stack and (path := _settings(stack, "artifact_store").get("path")):
        named = {"artifacts": str(path), **named}
    return [
        Check(part, partial(_look_in_s3, location))
        for part, location in named.items()
        if location.startswith("s3://")
    ]


def _look_in_s3(location: str) -> str:
    from pipelines.doctor.object_store import place_in_s3  # boto3 costs half a second

    return place_in_s3(location)


def _flavor(stack: StackDefinition, kind: str) -> str:
    return next((part.flavor for name, part in stack.components.items() if name == kind), "")


def _settings(stack: StackDefinition, kind: str) -> Mapping[str, Any]:
    return next((part.settings for name, part in stack.components.items() if name == kind), {})


def _show(findings: list[Finding]) -> None:
    """What is wrong first, then what is good to know, then what is well."""
    table = Table.grid(padding=(0, 1))
    for state in ("wrong", "note", "good"):
        mark, style = MARKS[state]
        for one in findings:
            if one.state == state:
                table.add_row(Text(mark, style), one.part, Text(one.sentence, overflow="fold"))
    console.print(table)
    n_wrong = sum(one.state == "wrong" for one in findings)
    console.print("Everything is well." if not n_wrong else f"{n_wrong} to mend, the first above.")
