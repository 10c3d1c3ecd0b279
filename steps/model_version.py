"""ZenML's model versions mirror the registry, for the dashboard and ZenML's own commands."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from zenml.client import Client
from zenml.enums import MetadataResourceTypes, ModelStages
from zenml.models import (
    ModelVersionArtifactRequest,
    ModelVersionPipelineRunRequest,
    ModelVersionResponse,
    RunMetadataResource,
)
from zenml.utils.pagination_utils import depaginate

from tabular.registry import Registry
from tabular.versions.stages import Disagreement, Shown, disagreements, wanted_stages

CANDIDATE = "candidate"


def mirror_problem(registry: Registry, problem: str) -> tuple[Disagreement, ...]:
    """Make ZenML show what the registry says of a problem, and return what it showed otherwise.

    The caller holds the store alone (`pipelines.store`): ZenML's own promotions race, and leave
    several versions in production, which this mends too. Versions are taken out of their stages
    before others enter, and one by one by id, so that it never asks for "the" version in a stage.
    It may be killed anywhere and run again.
    """
    client = Client()
    model = _model(client, registry, problem)
    known = {
        str(version.name): version
        for version in depaginate(client.list_model_versions, model_name_or_id=model, hydrate=True)
    }
    shown = {name: _shown(version) for name, version in known.items()}
    found = disagreements(wanted_stages(registry, problem), shown)
    for one in found:
        version = known.get(one.version) or _create(client, registry, problem, model, one.version)
        _mend(client, model, version, one.wanted or Shown("archived", is_candidate=False))
    return found


def _model(client: Client, registry: Registry, problem: str) -> UUID:
    try:
        return client.get_model(problem).id
    except KeyError:
        newest = registry.manifest(problem, registry.versions(problem)[-1])
        title, task = str(newest.get("title", problem)), str(newest.get("task", ""))
        tags = [task] if task else None
        return client.create_model(name=problem, description=title, license="", tags=tags).id


def _shown(version: ModelVersionResponse) -> Shown:
    is_candidate = any(tag.name == CANDIDATE for tag in version.tags)
    return Shown(version.stage or "none", is_candidate)


def _mend(client: Client, model: UUID, version: ModelVersionResponse, wanted: Shown) -> None:
    now = _shown(version)
    stage = None
    if wanted.stage != now.stage and (wanted.stage, now.stage) != ("none", "archived"):
        # ZenML takes no version back to `none` without archiving one that is there.
        stage = ModelStages("archived" if wanted.stage == "none" else wanted.stage)
    client.update_model_version(
        model,
        version.id,
        stage=stage,
        force=True,
        add_tags=[CANDIDATE] if wanted.is_candidate and not now.is_candidate else None,
        remove_tags=[CANDIDATE] if now.is_candidate and not wanted.is_candidate else None,
    )


def _create(
    client: Client, registry: Registry, problem: str, model: UUID, name: str
) -> ModelVersionResponse:
    """A model version with what its manifest says, linked to its run where this store has it."""
    manifest = registry.manifest(problem, name)
    report = manifest.get("report", {})
    verdict = report.get("verdict", {})
    version = client.create_model_version(
        model_name_or_id=model,
        name=name,
        description=verdict.get("sentence", ""),
        tags=["accepted" if verdict.get("accepted") else "refused"],
    )
    client.create_run_metadata(
        metadata=_metadata(registry, problem, name, manifest),
        resources=[RunMetadataResource(id=version.id, type=MetadataResourceTypes.MODEL_VERSION)],
    )
    if run := report.get("run"):
        link_run(client, version.id, UUID(run))
    return version


def _metadata(
    registry: Registry, problem: str, version: str, manifest: dict[str, Any]
) -> dict[str, Any]:
    """Metrics, where the bundle lies, and on which rows it was measured; no nulls."""
    report = manifest.get("report", {})
    facts = {name: metric["value"] for name, metric in report.get("metrics", {}).items()}
    facts |= {
        "bundle": f"{registry.location}/{problem}/versions/{version}",
        "data_sha256": report.get("snapshot"),
        "evaluation_set": report.get("evaluation_set"),
        "git_commit": report.get("git_commit"),
        "model_sha256": manifest["files"].get("model.onnx"),
    }
    return {name: value for name, value in facts.items() if value is not None}


def link_run(client: Client, version: UUID, run_id: UUID) -> None:
    """Link the run and everything that its steps gave."""
    try:
        run = client.get_pipeline_run(run_id)
    except KeyError:
        return  # trained in another store
    client.zen_store.create_model_version_pipeline_run_link(
        ModelVersionPipelineRunRequest(model_version=version, pipeline_run=run.id)
    )
    outputs = [one for step in run.steps.values() for many in step.outputs.values() for one in many]
    for artifact in {output.id for output in outputs}:
        client.zen_store.create_model_version_artifact_link(
            ModelVersionArtifactRequest(model_version=version, artifact_version=artifact)
        )
