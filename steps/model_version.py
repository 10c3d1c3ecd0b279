"""The ZenML model version that mirrors a published bundle, for the dashboard."""

from typing import Any

from zenml.client import Client
from zenml.enums import ModelStages

from tabular.problem import Problem


def mirror_version(
    problem: Problem, published: dict[str, str], metrics: dict[str, Any], *, accepted: bool
) -> None:
    """Make the model version once its bundle is in the registry, so that no failed run leaves one.

    The registry's alias decides what is served; the stage here only shows it.
    """
    client = Client()
    try:
        model = client.get_model(problem.name)
    except KeyError:
        model = client.create_model(
            name=problem.name, description=problem.title, license="", tags=[problem.task]
        )
    version = client.create_model_version(
        model_name_or_id=model.id,
        name=published["version"],
        description="accepted" if accepted else "refused",
        tags=["candidate", "accepted" if accepted else "refused"],
    )
    client.create_run_metadata(
        metadata={**metrics, "bundle": published["bundle"]},
        resources=[_resource(version.id)],
    )
    if accepted:
        version.set_stage(ModelStages.PRODUCTION, force=True)


def _resource(version_id: Any) -> Any:
    from zenml.enums import MetadataResourceTypes
    from zenml.models import RunMetadataResource

    return RunMetadataResource(id=version_id, type=MetadataResourceTypes.MODEL_VERSION)
