"""MLflow's model registry and runs, brought up to date from our registry's truth.

A problem is a registered model named after its title, `Iris species` as `IrisSpeciesModel`, so that
`models:/IrisSpeciesModel@production` is the very bundle in production. docs/adr/0023 says why the
registry leads and MLflow follows.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.types import ColSpec, DataType, Schema

from tabular.bundle import load_bundle
from tabular.card import render_card
from tabular.gates import ALIASES
from tabular.registry import Registry

VERSION_TAG, PROBLEM_TAG, CANDIDATE_TAG = (
    "bentoline.version",
    "bentoline.problem",
    "bentoline.candidate",
)
CODE = Path(__file__).resolve().parents[2] / "tabular"
# What `bundle_model.py` needs where MLflow loads it.
REQUIREMENTS = ("numpy", "onnxruntime", "pandas", "pydantic", "cryptography")


class MlflowRegistry:
    """One MLflow server, seen as a mirror of a registry."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        mlflow.set_tracking_uri(uri)
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def follow(self, registry: Registry, problem: str) -> list[str]:
        """Show every version and every alias of a problem; return what was missing, in words.

        It may be killed anywhere and run again: a version is known by its tag.
        """
        model = self.model(registry, problem)
        known = self.versions(model)
        done = []
        for version in registry.versions(problem):
            if version not in known:
                known[version] = self._show(registry, problem, version, model)
                done.append(f"{version} was missing")
        wanted, shown = registry.aliases(problem), self.aliases(model)
        for alias in ALIASES:
            target = wanted.get(alias)
            if target == shown.get(alias):
                continue
            if target is None:
                self.client.delete_registered_model_alias(model, alias)
            else:
                self.client.set_registered_model_alias(model, alias, known[target])
            done.append(f"{alias} was {shown.get(alias, 'nothing')} and is {target or 'nothing'}")
        return done

    def versions(self, model: str) -> dict[str, str]:
        """MLflow's number of each version that it shows."""
        found = self.client.search_model_versions(f"name = '{model}'", max_results=10_000)
        return {one.tags[VERSION_TAG]: str(one.version) for one in found if VERSION_TAG in one.tags}

    def aliases(self, model: str) -> dict[str, str]:
        """The version that each alias names in MLflow, of the versions that we put there."""
        by_number = {number: version for version, number in self.versions(model).items()}
        shown = self.client.get_registered_model(model).aliases
        return {
            alias: by_number[str(number)]
            for alias, number in shown.items()
            if str(number) in by_number
        }

    def model(self, registry: Registry, problem: str) -> str:
        """The registered model's name; it is made where there is none yet."""
        newest = registry.manifest(problem, registry.versions(problem)[-1])
        name = model_name(str(newest.get("title", problem)))
        try:
            self.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            title = str(newest.get("title", ""))
            self.client.create_registered_model(name, {PROBLEM_TAG: problem}, title)
        return name

    def _show(self, registry: Registry, problem: str, version: str, model: str) -> str:
        """One version: its run with the candidates below it, and the bundle; MLflow's number."""
        report = registry.manifest(problem, version).get("report", {})
        with mlflow.start_run(
            experiment_id=self._experiment(problem), run_name=f"{problem} {version}"
        ) as run:
            mlflow.set_tags(_tags(problem, version, report))
            mlflow.log_params(_params(report.get("chosen", {})))
            mlflow.log_metrics(_metrics(report))
            mlflow.log_dict(report.get("curves", {}), "curves.json")
            mlflow.log_text(json.dumps(report, indent=2), "report.json")
            if report:
                mlflow.log_text(render_card(report), "model_card.html")
            for trial in report.get("trials", ()):
                self._show_trial(run.info, problem, trial)
            folder = registry.fetch(problem, version)
            logged = _log_model(folder)
        made = self.client.create_model_version(
            model,
            logged.model_uri,
            run.info.run_id,
            tags={VERSION_TAG: version},
            model_id=logged.model_id,
            description=report.get("verdict", {}).get("sentence"),
        )
        return str(made.version)

    def _experiment(self, problem: str) -> str:
        """The problem's experiment; a database in a file keeps what it holds beside it."""
        if found := self.client.get_experiment_by_name(problem):
            return str(found.experiment_id)
        is_file = self._uri.startswith("sqlite:///")
        beside = Path(self._uri.removeprefix("sqlite:///")).resolve().parent / "artifacts"
        return self.client.create_experiment(problem, str(beside) if is_file else None)

    def _show_trial(self, parent: Any, problem: str, trial: Mapping[str, Any]) -> None:
        """A candidate with one set of parameters: written at once, as there may be hundreds."""
        name = str(trial["candidate"])
        tags = {"mlflow.parentRunId": parent.run_id, PROBLEM_TAG: problem, CANDIDATE_TAG: name}
        run = self.client.create_run(parent.experiment_id, run_name=name, tags=tags)
        scores = {key: trial.get(key) for key in ("mean", "sd", "seconds")}
        at = run.info.start_time
        self.client.log_batch(
            run.info.run_id,
            metrics=[Metric(f"cv_{k}", v, at, 0) for k, v in scores.items() if v is not None],
            params=[Param(key, value) for key, value in _params(trial).items()],
            tags=[RunTag("bentoline.resample", str(trial.get("resample", "none")))],
        )
        self.client.set_terminated(run.info.run_id)


def model_name(title: str) -> str:
    """`Food delivery time` as `FoodDeliveryTimeModel`; other signs than letters part words."""
    words = re.findall(r"\w+", title)
    return "".join(word[0].upper() + word[1:] for word in words) + "Model"


def _log_model(folder: Path) -> Any:
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "bundle"
        shutil.copytree(folder, bundle)  # MLflow follows no link out of its folder
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("bundle_model.py")),
            artifacts={"bundle": str(bundle)},
            code_paths=[str(CODE)],
            signature=_signature(folder),
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in REQUIREMENTS],
        )


def _signature(folder: Path) -> ModelSignature:
    """The problem's own columns, each of which a row may leave out."""
    inputs = load_bundle(folder).contract.contract.inputs()
    kinds = {True: DataType.double, False: DataType.string}
    return ModelSignature(
        Schema([ColSpec(kinds[c.type == "number"], n, required=False) for n, c in inputs.items()])
    )


def _tags(problem: str, version: str, report: Mapping[str, Any]) -> dict[str, str]:
    return {
        PROBLEM_TAG: problem,
        VERSION_TAG: version,
        "bentoline.snapshot": str(report.get("snapshot", "")),
        "bentoline.run": str(report.get("run", "")),
        "bentoline.model_sha256": str(report.get("model_sha256", "")),
        "mlflow.source.git.commit": str(report.get("git_commit", "")),
    }


def _params(trial: Mapping[str, Any]) -> dict[str, str]:
    params = {key: str(value) for key, value in trial.get("params", {}).items()}
    return {"candidate": str(trial.get("candidate", "")), **params}


def _metrics(report: Mapping[str, Any]) -> dict[str, float]:
    """Of the test part, with the ends of the 95 % interval."""
    found = {
        name if end == "value" else f"{name}_{end}": one[end]
        for name, one in report.get("metrics", {}).items()
        for end in ("value", "low", "high")
    }
    return {name: value for name, value in found.items() if value is not None}
