"""`run.py --train`: settings, lock, the pipeline, report, words."""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipelines.console import show_outcome, show_start
from pipelines.place import Place
from pipelines.step_progress import showing_steps
from pipelines.store import open_client, reap_dead_runs, zenml_store
from pipelines.tracking.following import follow_in_mlflow
from tabular.card import render_card
from tabular.engines import joblib_on
from tabular.errors import ConfigError, StoreError
from tabular.files import whole_file
from tabular.problem import Problem, load_problem

DONE, REFUSED = 0, 1


def run(options: argparse.Namespace, place: Place) -> int:
    """Train one problem; return 0 where the model was accepted, 1 where a gate refused it."""
    problem = find_problem(options.problem, place)
    data: str = options.data or ""
    report_file: Path | None = options.report
    if report_file is not None and not report_file.resolve().parent.is_dir():
        raise ConfigError(f"--report: there is no folder {report_file.parent}; make it first.")
    where = {"engine": options.engine, "scheduler": options.scheduler, "stack": options.stack}
    outcome = train(problem, data, place, report_file, **where)
    return DONE if outcome["verdict"]["accepted"] else REFUSED


def train(
    problem: Problem,
    data: str,
    place: Place,
    report_file: Path | None = None,
    *,
    engine: str | None = None,
    scheduler: str | None = None,
    stack: str | None = None,
) -> dict[str, Any]:
    """Train, judge, publish and tell; the outcome is in HOME/reports too."""
    show_start(problem, data, has_mongodb=place.has_mongodb)
    with zenml_store(place.home), on_stack(stack, place) as settings:
        if not settings:  # steps that run elsewhere have rights of their own
            place.open_registry().check_publishable(problem.name)
        _refuse_untrainable(problem, engine or "local")
        with joblib_on(engine or "local", scheduler or ""), showing_steps():
            outcome = run_training(problem, data, place, settings)
    card = place.home / "reports" / f"{problem.name}.html"
    _write(card, render_card(outcome))  # as in the DAG, and with the version
    outcome["card"] = str(card)
    text = json.dumps(outcome, indent=2, allow_nan=False) + "\n"
    _write(place.home / "reports" / f"{problem.name}.json", text)
    if report_file is not None:
        _write(report_file.resolve(), text)
    outcome["report"] = str(report_file or place.home / "reports" / f"{problem.name}.json")
    show_outcome(outcome)
    follow_in_mlflow(place, place.open_registry(), problem.name)
    return outcome


@contextmanager
def on_stack(name: str | None, place: Place) -> Iterator[dict[str, Any]]:
    """Run on the stack of `--stack`, else on that of ZenML's store; gives a pipeline's settings."""
    if name is None:
        yield {}
        return
    from pipelines.stacks.definition import load_stack

    stack = load_stack(name, place.stacks, os.environ)
    from pipelines.stacks.containers import container_settings
    from pipelines.stacks.registration import running_on

    with running_on(stack, open_client(), os.environ):
        yield container_settings(stack, os.environ, root=place.root, home=place.home)


def find_problem(name: str, place: Place) -> Problem:
    """The problem of `--problem`: a name under configs/problems/, or the path of a YAML file."""
    file = Path(name)
    if file.suffix in (".yaml", ".yml"):
        return load_problem(file.stem, file.parent)
    return load_problem(name, place.problems)


def _refuse_untrainable(problem: Problem, engine: str) -> None:
    # They import scikit-learn: neither a registry that is away nor --score waits for it.
    from tabular.onnx_export import probe_export
    from tabular.partitions import check_partitions

    check_partitions(problem, engine)
    probe_export(problem)


def _write(path: Path, text: str) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def run_training(
    problem: Problem, data: str, place: Place, settings: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Run the pipeline and gather its report, with seconds and rows by step.

    Args:
        problem: What is trained.
        data: A table in place of the problem's source, or "".
        place: Where.
        settings: ZenML's, where the stack wants some.
    """
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    reap_dead_runs(open_client())
    from pipelines.training import training

    local = data and "://" not in data
    table = str(Path(data).resolve()) if local else data
    run = training.with_options(settings=dict(settings))(
        problem,
        table,
        str(place.root),
        str(place.home),
        place.registry,
        public_key=str(place.public_key or ""),
        signing_key=str(place.signing_key or ""),
    )
    if run is None:
        raise StoreError("ZenML gave no run back; run the command again.")
    steps = sorted(run.steps.values(), key=lambda step: step.start_time or run.created)
    report: dict[str, Any] = steps[-2].outputs["report"][0].load()
    published: dict[str, str] = steps[-1].outputs["published_version"][0].load()
    report["steps"] = [
        {
            "name": step.name,
            "rows": step.run_metadata.get("rows"),
            "seconds": _seconds(step),
            "cached": step.status.value == "cached",
        }
        for step in steps
    ]
    return {**report, **published, "run": str(run.id)}


def _seconds(step: Any) -> float:
    if step.start_time is None or step.end_time is None or step.status.value == "cached":
        return 0.0
    return round((step.end_time - step.start_time).total_seconds(), 3)
