"""What `--deploy` refuses before anything is built: one sentence with the fix, exit code 2."""

import http.server
import json
import socket
import subprocess
import threading
from contextlib import contextmanager

import boto3
import pytest

import run
from deploy import ecr
from deploy.image import Release, revision
from tabular.errors import ConfigError
from tabular.registry import open_registry
from tests.e2e.codedeploy import CodeDeploy, serving
from tests.e2e.image_registry import image_registry
from tests.s3 import free_port
from tests.unit.tiny import write_tiny

# The first one may install an engine, make a base image and fetch packages.
pytestmark = pytest.mark.timeout(900)

AWS_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")


@pytest.fixture
def home(tmp_path):
    """A registry with one version of `tiny`, which production names."""
    registry = open_registry(str(tmp_path / "home" / "registry"))
    registry.publish("tiny", write_tiny(tmp_path / "a").path)
    registry.set_alias("tiny", "production", "v1", actor="test", why="test")
    return tmp_path / "home"


@pytest.fixture
def refused(home, checkout, aws, monkeypatch, capfd):
    """Call `run.py --deploy --target ecr` with variables changed, and return its sentence.

    The repository is one that no test pushes to: a tag that is taken would be what is refused.
    """
    monkeypatch.setattr(run, "ROOT", checkout)
    own = {"BENTOLINE_HOME": str(home), "BENTOLINE_ECR_REPOSITORY": "refusing"}
    for name, value in {**aws.environment, **own}.items():
        monkeypatch.setenv(name, value)

    def call(target="ecr", without=(), **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        for name in without:
            monkeypatch.delenv(name, raising=False)
        capfd.readouterr()
        assert run.main(["--deploy", "--target", target, "--problem", "tiny"]) == 2
        said = capfd.readouterr().err
        assert said.count("\n") == 1, said
        assert not (home / "zenml").exists()  # nothing was begun
        assert not (home / "builds").exists()
        return said

    return call


def test_no_docker_on_path(refused, monkeypatch, tmp_path):
    monkeypatch.setattr("deploy.engine.DEBIAN", tmp_path / "none")
    git_only = tmp_path / "bin"
    git_only.mkdir()
    (git_only / "git").symlink_to(subprocess.check_output(["which", "git"], text=True).strip())
    assert "there is no docker on PATH; run `make engine`" in refused(PATH=str(git_only))


def test_a_client_that_cannot_build(refused, monkeypatch, tmp_path):
    monkeypatch.setattr("deploy.engine.DEBIAN", tmp_path / "none")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").symlink_to(subprocess.check_output(["which", "git"], text=True).strip())
    client = folder / "docker"
    client.write_text(
        "#!/bin/sh\n[ $1 = --version ] && echo 'Docker version 28.2.2, build e6' || exit 1\n"
    )
    client.chmod(0o755)
    assert f"{client} has no BuildKit; run `make engine`" in refused(PATH=str(folder))


def test_no_engine_answers(refused, tmp_path):
    said = refused(DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert "no engine answers" in said
    assert "run `make engine`, or start docker" in said


def test_no_credentials(refused):
    said = refused(without=AWS_VARIABLES)
    assert "there are no AWS credentials; log in (aws sso login)" in said


def test_no_region(refused):
    said = refused(without=("AWS_DEFAULT_REGION", "AWS_REGION"))
    assert "no AWS region is named; set AWS_DEFAULT_REGION" in said


@contextmanager
def answering(code):
    """An AWS that answers every request with this error."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.dumps({"__type": code, "message": "no"}).encode()
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("ExpiredTokenException", "your AWS credentials expired; renew them"),
        ("UnrecognizedClientException", "are refused (UnrecognizedClientException)"),
        ("LimitExceededException", "a quota of your AWS account is full (LimitExceededException"),
        ("ServerException", "it refused what was asked (ServerException: "),
    ],
)
def test_aws_says_no(refused, code, sentence):
    with answering(code) as endpoint:
        assert sentence in refused(AWS_ENDPOINT_URL=endpoint)


def test_a_roll_out_without_a_bucket(refused, monkeypatch):
    monkeypatch.delenv("BENTOLINE_RELEASES_BUCKET", raising=False)
    said = refused("ec2")
    assert "no bucket is named for revisions; set BENTOLINE_RELEASES_BUCKET" in said


def test_a_roll_out_into_a_bucket_that_is_not_there(refused):
    said = refused("ec2", BENTOLINE_RELEASES_BUCKET="nowhere")
    assert "there is no bucket 'nowhere'; make it (terraform apply)" in said


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"BENTOLINE_CODEDEPLOY_APPLICATION": "other"}, "there is no application 'other'"),
        ({"BENTOLINE_CODEDEPLOY_GROUP": "other"}, "application 'bentoline' has no group 'other'"),
        ({}, "does not go back after a failure; switch its automatic rollback on"),
    ],
)
def test_a_group_that_cannot_be_rolled_out_to(refused, aws, changed, sentence):
    boto3.client("s3", endpoint_url=aws.environment["AWS_ENDPOINT_URL"]).create_bucket(
        Bucket="releases"
    )
    codedeploy = CodeDeploy([], lambda _: b"")
    codedeploy.rolls_back = False
    with serving(codedeploy) as address:
        said = refused(
            "ec2",
            BENTOLINE_RELEASES_BUCKET="releases",
            AWS_ENDPOINT_URL_CODEDEPLOY=address,
            **changed,
        )
    assert sentence in said


def test_aws_is_away(refused):
    said = refused(AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}")
    assert "AWS does not answer" in said


def test_there_is_no_such_repository(refused):
    said = refused(BENTOLINE_ECR_REPOSITORY="nowhere")
    assert "there is no repository 'nowhere'; make it (aws ecr create-repository" in said


def test_a_repository_whose_tags_can_be_overwritten(refused):
    said = refused(BENTOLINE_ECR_REPOSITORY="loose")
    assert "'loose' lets tags be overwritten; set its tag immutability to IMMUTABLE" in said


def test_a_registry_that_takes_the_token_no_more(refused, tmp_path):
    with image_registry(tmp_path, "of another hour") as address:
        said = refused(BENTOLINE_ECR_HOST=address)
    assert "refused the token for refusing (status 401), which may have expired" in said


def test_a_registry_that_is_away(refused):
    said = refused(BENTOLINE_ECR_HOST=f"http://127.0.0.1:{free_port()}")
    assert "it does not answer" in said
    assert "Nothing was pushed" in said


def test_a_taken_tag(refused, checkout, aws, engine, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    engine.call("build", "--tag", "bentoline:any", str(tmp_path), what="building")
    other = Release(problem="tiny", version="v1", commit=revision(checkout), bundle="another")
    repository = ecr.Repository(aws.environment["BENTOLINE_ECR_HOST"], "third", aws.token)
    digest = ecr.push(engine, "bentoline:any", repository, other)
    engine.tries("rmi", "bentoline:any")
    said = refused(BENTOLINE_ECR_REPOSITORY="third")
    assert f"third:{other.tag} is taken already, by {digest}" in said
    assert "of another bundle" in said
    assert "promote another version, or commit what you changed" in said


def test_code_that_is_not_committed(refused, checkout):
    file = checkout / "service" / "routes.py"
    text = file.read_text()
    file.write_text(text + "\n")
    try:
        assert "commit what you changed, or use --target local" in refused()
    finally:
        file.write_text(text)


def test_a_folder_that_is_no_checkout(tmp_path):
    with pytest.raises(ConfigError, match="is no git checkout"):
        revision(tmp_path)


def test_a_port_that_somebody_else_has(refused, home, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        facts = {"problem": "tiny", "serving": {"port": port}}
        registry = open_registry(str(home / "registry"))
        version = registry.publish("tiny", write_tiny(tmp_path / "b", facts=facts).path)
        registry.set_alias("tiny", "production", version, actor="test", why="test")
        assert f"port {port} of this machine is taken" in refused("local")
