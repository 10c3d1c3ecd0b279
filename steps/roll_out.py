"""Let CodeDeploy release the verified image on the EC2 group, one host after the other."""

from typing import Annotated, Any

from zenml import log_metadata, step

from deploy import aws, ec2
from deploy.image import Release, released_bundle
from deploy.revision import pack
from deploy.settings import Settings
from steps.model_version import mirror_problem
from tabular.registry import open_registry


@step(enable_cache=False)
def roll_out(
    image: str, release: Release, settings: Settings, registry: str, public_key: str
) -> Annotated[dict[str, Any], "rollout"]:
    """The deployment and its hosts; where a host refuses, all serve what they served before."""
    bundle = released_bundle(release, registry, public_key)
    region = aws.client("ecr").meta.region_name
    done = ec2.roll_out(settings, pack(release, image, bundle, region=region))
    versions = open_registry(registry)
    versions.record_fact(release.problem, release.version, "ec2_deployment", done.deployment)
    mirror_problem(versions, release.problem)
    facts = {**done.model_dump(mode="json"), "target": "ec2", "group": settings.group}
    log_metadata(facts)
    log_metadata(facts, model_name=release.problem, model_version=release.version)
    return done.model_dump(mode="json")
