"""`run.py --deploy --target ec2`: from a published bundle to two hosts that answer with it."""

import os

import pytest

from deploy import ecr
from tabular.registry import open_registry
from tests.e2e.releases import BUCKET, Kinds, releases
from tests.e2e.test_delivery import deploy, publish
from tests.unit.tiny import RECORDS

# The first one may install an engine, make a base image and fetch packages.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def site(engine, built, aws, tmp_path):
    """Two hosts that serve nothing yet."""
    environment = {**aws.environment, "BENTOLINE_ECR_REPOSITORY": "hosts"}
    kinds = Kinds(built.id, {}, {})
    with releases(engine, kinds, environment, tmp_path) as made:
        for one in made.machines:
            one.set(ready_s=120)  # several tests share these processors
        yield made
        for image in made.images():
            engine.tries("rmi", "--force", image)


def test_a_version_serves_on_every_host_and_a_second_run_finds_that(
    site, checkout, aws, engine, tmp_path
):
    home = tmp_path / "home"
    publish(home, tmp_path, facts={"problem": "tiny", "serving": {"max_latency_ms": 10_000}})
    own = {
        "AWS_ENDPOINT_URL_CODEDEPLOY": os.environ["AWS_ENDPOINT_URL_CODEDEPLOY"],
        "BENTOLINE_ECR_REPOSITORY": "hosts",
        "BENTOLINE_RELEASES_BUCKET": BUCKET,
    }
    done, report = deploy(checkout, home, aws, "ec2", **own)
    assert done.returncode == 0, done.stdout + done.stderr
    assert report["rollout"]["hosts"] == [one.host.name for one in site.machines]
    containers = site.serving()
    assert [list(host.values()) for host in containers] == [[report["image"]]] * 2
    for one in site.machines:
        status, answer = one.ask("/predict", RECORDS[0])
        assert (status, answer["model_version"]) == (200, "v1")
    facts = open_registry(str(home / "registry")).facts("tiny", "v1")
    assert facts["image"] == report["image"]
    assert facts["ec2_deployment"] == report["rollout"]["deployment"]

    # As after a run that was killed: the tag is there, with this bundle in it.
    engine.tries("rmi", "--force", f"bentoline:{report['tag']}")
    again, second = deploy(checkout, home, aws, "ec2", **own)
    assert again.returncode == 0, again.stdout + again.stderr
    assert (second["digest"], second["image_id"]) == (report["digest"], report["image_id"])
    assert site.serving() == containers
    engine.tries("rmi", "--force", f"bentoline:{report['tag']}")
    repository = ecr.open_repository(site.settings)
    assert repository.digest(report["tag"]) == report["digest"]
