"""Let an App Runner service take the verified image, and wait until it answers."""

from typing import Annotated, Any

from zenml import log_metadata, step

from deploy import apprunner
from deploy.image import Release
from deploy.settings import Settings
from steps.model_version import mirror_problem
from tabular.registry import open_registry


@step(enable_cache=False)
def update_service(
    image: str, release: Release, settings: Settings, registry: str
) -> Annotated[dict[str, Any], "update"]:
    """The service and its operation; one that refuses the image runs the one before."""
    done = apprunner.update(settings, image, release.version)
    versions = open_registry(registry)
    versions.record_fact(release.problem, release.version, "apprunner_operation", done.operation)
    mirror_problem(versions, release.problem)
    facts = {**done.model_dump(mode="json"), "target": "apprunner"}
    log_metadata(facts)
    log_metadata(facts, model_name=release.problem, model_version=release.version)
    return done.model_dump(mode="json")
