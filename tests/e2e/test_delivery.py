"""`run.py --deploy --target ecr`: the SDK's token, a real registry, and what is refused first."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from deploy import ecr
from deploy.image import revision
from tabular.bundle import seal
from tabular.errors import StoreError
from tabular.registry import open_registry
from tests.e2e.checkout import ROOT
from tests.e2e.image_registry import password_of
from tests.unit.app_runner import app_runner
from tests.unit.tiny import RECORDS, write_tiny

# The first one may install an engine, make a base image and fetch packages.
pytestmark = pytest.mark.timeout(900)

CANARY = "canary-7f3a91"
REPORT = {"verdict": {"accepted": True, "results": [], "sentence": "As measured."}, "metrics": {}}


def publish(home, folder, **parts):
    """Publish a version of `tiny` as production, and return its name."""
    sealed = seal(write_tiny(folder / "a", **parts), folder / "b", {"report": REPORT})
    registry = open_registry(str(home / "registry"))
    version = registry.publish("tiny", sealed.path)
    registry.set_alias("tiny", "production", version, actor="test", why="test")
    return version


def deploy(checkout, home, aws, target="ecr", flags=(), **environment):
    """Run the command in a process of its own."""
    report = home / "report.json"
    report.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "run.py", "--deploy", "--target", target, "--problem", "tiny",
         "--report", str(report), *flags],
        cwd=checkout, capture_output=True, text=True, check=False,
        env={**os.environ, **aws.environment, "BENTOLINE_HOME": str(home), **environment},
    )  # fmt: skip
    return done, json.loads(report.read_text()) if report.exists() else {}


@dataclass(frozen=True)
class Delivered:
    """A deployment that went well."""

    home: Path
    report: dict
    output: str


@pytest.fixture(scope="module")
def delivered(checkout, aws, engine, tmp_path_factory):
    """Delivered once, with canaries in every secret that the environment may hold."""
    folder = tmp_path_factory.mktemp("delivered")
    home = folder / "home"
    publish(home, folder)
    secrets = {
        "AWS_SECRET_ACCESS_KEY": f"{CANARY}-aws",
        "AWS_SESSION_TOKEN": f"{CANARY}-session",
        "BENTOLINE_TOKEN": f"{CANARY}-token",
        "MONGODB_URI": f"mongodb://user:{CANARY}-mongo@localhost/db",
        "PIP_INDEX_URL": f"https://user:{CANARY}-pip@localhost/simple",
    }
    listed = ["--sbom", str(home / "sbom.cdx.json")]
    done, report = deploy(checkout, home, aws, flags=listed, **secrets)
    assert done.returncode == 0, done.stdout + done.stderr
    yield Delivered(home, report, done.stdout + done.stderr)
    engine.tries("rmi", "--force", f"bentoline:{report['tag']}")


def test_the_digest_stands_in_the_registry_and_the_report(delivered, checkout, aws):
    report = delivered.report
    assert report["tag"] == f"tiny-v1-{revision(checkout)}"
    host = aws.environment["BENTOLINE_ECR_HOST"].removeprefix("http://")
    assert report["image"] == f"{host}/bentoline@{report['digest']}"
    facts = open_registry(str(delivered.home / "registry")).facts("tiny", "v1")
    assert facts["image_digest"] == report["digest"]
    assert facts["image"] == report["image"]
    repository = ecr.Repository(aws.environment["BENTOLINE_ECR_HOST"], "bentoline", aws.token)
    assert repository.digest(report["tag"]) == report["digest"]


def test_zenml_shows_the_steps_and_the_digest_beside_the_model(delivered):
    program = """
import json, sys
from zenml.client import Client
run = Client().get_pipeline_run(sys.argv[1])
version = Client().get_model_version("tiny", "v1")
print(json.dumps({"steps": sorted(run.steps), "metadata": {k: str(v) for k, v
      in version.run_metadata.items()}, "runs": [str(one.pipeline_run.id) for one in
      Client().zen_store.list_model_version_pipeline_run_links(
      __import__("zenml").models.ModelVersionPipelineRunFilter(model_version_id=version.id)).items]
}))
"""
    own = {"ZENML_CONFIG_PATH": str(delivered.home / "zenml"), "ZENML_ANALYTICS_OPT_IN": "false"}
    done = subprocess.run(
        [sys.executable, "-c", program, delivered.report["run"]],
        capture_output=True, text=True, check=False, env={**os.environ, **own},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    assert shown["steps"] == ["build_bento", "containerize", "push", "smoke_test", "verify"]
    assert shown["metadata"]["image_digest"] == delivered.report["digest"]
    assert shown["metadata"]["target"] == "ecr"
    assert shown["runs"] == [delivered.report["run"]]


def test_what_is_in_the_image_is_listed_and_the_list_s_hash_recorded(delivered):
    document = (delivered.home / "sbom.cdx.json").read_bytes()
    facts = open_registry(str(delivered.home / "registry")).facts("tiny", "v1")
    assert facts["sbom_sha256"] == hashlib.sha256(document).hexdigest()
    assert facts["sbom_sha256"] == delivered.report["sbom_sha256"]
    listed = {one["name"]: one.get("version") for one in json.loads(document)["components"]}
    lock = (ROOT / "requirements-serve.lock").read_text()
    for name in ("onnxruntime", "numpy", "orjson"):
        assert f"{name}=={listed[name]} " in lock
    assert {"scikit-learn", "pandas", "zenml", "pip", "gcc", "git"} & set(listed) == set()


def test_the_image_can_be_pulled_by_digest_alone(delivered, engine, aws):
    repository = ecr.Repository(aws.environment["BENTOLINE_ECR_HOST"], "bentoline", aws.token)
    digest = delivered.report["digest"]
    ecr.verify(engine, delivered.report["image_id"], repository, digest)
    with pytest.raises(StoreError, match="but sha256:another was tested; delete it there"):
        ecr.verify(engine, "sha256:another", repository, digest)


def test_app_runner_takes_what_was_pushed(delivered, checkout, aws):
    with app_runner(version="v1") as server:
        endpoint = {"AWS_ENDPOINT_URL_APPRUNNER": server.address}
        done, report = deploy(checkout, delivered.home, aws, "apprunner", **endpoint)
        assert done.returncode == 0, done.stdout + done.stderr
        (update,) = [given for call, given in server.asked if call == "UpdateService"]
    image = update["SourceConfiguration"]["ImageRepository"]["ImageIdentifier"]
    assert image == report["image"] == delivered.report["image"]
    assert report["update"]["address"] == server.address
    facts = open_registry(str(delivered.home / "registry")).facts("tiny", "v1")
    assert facts["apprunner_operation"] == "op"


def test_a_cluster_gets_manifests_of_what_was_pushed(delivered, checkout, aws):
    done, report = deploy(checkout, delivered.home, aws, "kubernetes")
    assert done.returncode == 0, done.stdout + done.stderr
    file = delivered.home / "kubernetes" / "tiny.yaml"
    assert report["manifests"] == str(file)
    assert f"kubectl apply --filename {file}" in done.stdout.replace("\n", "")
    pods = [one["spec"]["template"]["spec"] for one in yaml.safe_load_all(file.read_text())
            if one["kind"] == "Deployment"]  # fmt: skip
    assert [pod["containers"][0]["image"] for pod in pods] == [delivered.report["image"]]


def test_no_secret_is_in_a_layer_a_log_or_the_history(delivered, engine, aws, tmp_path):
    image = delivered.report["image_id"]
    saved = tmp_path / "image.tar"
    engine.call("save", "--output", str(saved), image, what="saving")
    found = [
        *(secret for secret in secrets_of(aws) if contains(saved, secret)),
        *(secret for secret in secrets_of(aws) if secret in delivered.output.encode()),
    ]
    history = engine.call("history", "--no-trunc", image, what="history")
    store = [file for file in delivered.home.rglob("*") if file.is_file()]
    found += [secret for secret in secrets_of(aws) if secret in history.encode()]
    found += [str(file) for file in store for secret in secrets_of(aws) if contains(file, secret)]
    assert found == []
    assert contains(saved, b"A trained problem, answered by its contract")  # layers are searched
    assert not list(Path(delivered.home).glob("builds/*"))


def secrets_of(aws):
    return [CANARY.encode(), aws.token.encode(), password_of(aws.token).encode()]


def contains(file, text, block=1 << 24):
    """Search a file of any size."""
    with file.open("rb") as stream:
        tail = b""
        while read := stream.read(block):
            if text in tail + read:
                return True
            tail = read[-len(text) :]
    return False


def test_an_image_that_fails_its_test_is_never_pushed(checkout, aws, engine, tmp_path):
    home = tmp_path / "home"
    publish(home, tmp_path, golden=[{"record": RECORDS[0], "answer": [0.9, 0.1]}])
    done, report = deploy(checkout, home, aws, BENTOLINE_ECR_REPOSITORY="second")
    tag = f"tiny-v1-{revision(checkout)}"
    engine.tries("rmi", "--force", f"bentoline:{tag}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "golden row 0 answers" in report["error"]
    assert "Traceback" not in done.stderr
    assert open_registry(str(home / "registry")).facts("tiny", "v1") == {}
    repository = ecr.Repository(aws.environment["BENTOLINE_ECR_HOST"], "second", aws.token)
    assert repository.digest(tag) is None
