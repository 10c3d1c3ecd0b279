"""`make up`, as far as it goes without an engine: the file, the ports, Compose, the first model."""

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from botocore.exceptions import ClientError

from deploy.engine import Engine
from deploy.system import make_bucket
from deploy.system.checks import check_ports, find_compose
from deploy.system.environment import read_environment, write_environment
from deploy.system.model import seed, until_answered, version_here
from tabular.errors import ConfigError, RefusedError, StoreError
from tabular.registry import open_registry
from tests.s3 import free_port
from tests.unit.tiny import write_tiny

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SECRETS = re.findall(r"^([A-Z_0-9]+)=$", EXAMPLE, flags=re.MULTILINE)


@pytest.fixture
def folder(tmp_path):
    shutil.copy(ROOT / ".env.example", tmp_path)
    return tmp_path


def stand_in(folder, name, program):
    """A program of this name that does what a line of sh says."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    return path


def engine(folder, program="exit 1"):
    return Engine(stand_in(folder, "docker", program))


def test_the_file_is_written_once_with_secrets_that_only_its_owner_reads(folder):
    assert write_environment(folder)
    values = read_environment(folder)
    drawn = [values[name] for name in SECRETS]
    assert len(SECRETS) >= 7
    assert all(re.fullmatch("[0-9a-f]{48}", secret) for secret in drawn)
    assert len(set(drawn)) == len(drawn)
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    before = (folder / ".env").read_bytes()
    assert not write_environment(folder)
    assert (folder / ".env").read_bytes() == before


def test_two_systems_have_no_secret_in_common(folder):
    write_environment(folder)
    first = read_environment(folder)
    (folder / ".env").unlink()
    write_environment(folder)
    assert all(read_environment(folder)[name] != first[name] for name in SECRETS)


def test_a_shell_reads_the_same_values_as_we_do(folder):
    write_environment(folder)
    done = subprocess.run(
        ["sh", "-c", "set -a; . ./.env; env -0"],
        cwd=folder, env={}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    shell = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    values = read_environment(folder)
    assert {name: shell[name] for name in values} == values
    assert values["MONGO_PASSWORD"] in values["MONGODB_URI"]


def test_a_name_that_an_older_file_lacks_is_said(folder):
    write_environment(folder)
    kept = (folder / ".env").read_text().replace("ZENML_PORT=8080\n", "")
    (folder / ".env").write_text(kept)
    with pytest.raises(ConfigError, match=r"ZENML_PORT must have a value; copy the line"):
        read_environment(folder)


def test_every_variable_of_compose_is_explained_in_the_example_and_used():
    text = (ROOT / "docker-compose.yml").read_text()
    used = set(re.findall(r"\$\{([A-Z_0-9]+)", text)) - {"SERVICE_IMAGE", "BENTOLINE_HOME"}
    own, _, _ = EXAMPLE.partition("# The same for run.py")
    assert used | {"COMPOSE_PROJECT_NAME"} == set(
        re.findall(r"^([A-Z_0-9]+)=", own, flags=re.MULTILINE)
    )


def test_no_secret_has_a_value_of_its_own_and_none_is_committed():
    text = (ROOT / "docker-compose.yml").read_text()
    for name in SECRETS:
        assert set(re.findall(rf"\$\{{{name}([^}}]*)\}}", text)) == {
            ":?run make up once, it writes .env"
        }
    ignored = subprocess.run(["git", "-C", str(ROOT), "check-ignore", "-q", ".env"], check=False)
    assert ignored.returncode in (0, 128)  # 128: no checkout


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_each_part_runs_without_capabilities_and_on_the_loopback_only(name):
    part = COMPOSE["services"][name]
    assert part["cap_drop"] == ["ALL"]
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert part["init"] is True
    assert all(port.startswith("127.0.0.1:${") for port in part.get("ports", []))
    assert "privileged" not in part


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_each_image_is_pinned(name):
    image = COMPOSE["services"][name]["image"]
    if image == "${SERVICE_IMAGE:-bentoline:system}":
        return
    if name == "zenml":  # no public source states its digest
        locked = re.search(
            r"^zenml(\[.*\])?==(\S+)", (ROOT / "requirements.lock").read_text(), re.M
        )
        assert image == f"zenmldocker/zenml-server:{locked[2]}"
    else:
        assert re.fullmatch(r"[a-z/]+:v?\d[\d.]*@sha256:[0-9a-f]{64}", image)


def test_the_service_runs_as_its_image_is_tested():
    service = COMPOSE["services"]["service"]
    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert "USER 10001:10001" in (ROOT / "Dockerfile").read_text()
    assert service["pids_limit"] == 256
    assert all({"noexec", "nosuid"} <= set(re.split("[:,]", mount)) for mount in service["tmpfs"])


@pytest.mark.skipif(
    shutil.which("docker-compose") is None,
    reason="docker-compose is not on PATH; Debian's package docker-compose brings it",
)
def test_compose_takes_the_file_and_asks_for_make_up_where_nothing_is_set(folder):
    def config():
        return subprocess.run(
            ["docker-compose", "--file", str(folder / "docker-compose.yml"), "config"],
            cwd=folder, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    shutil.copy(ROOT / "docker-compose.yml", folder)
    refused = config()
    assert refused.returncode != 0
    assert "run make up once" in refused.stderr
    write_environment(folder)
    done = config()
    assert done.returncode == 0, done.stderr
    values = read_environment(folder)
    filled = yaml.safe_load(done.stdout)["services"]
    assert filled["service"]["environment"]["BENTOLINE_REGISTRY"] == values["BENTOLINE_REGISTRY"]
    assert filled["mongodb"]["environment"]["MONGO_INITDB_ROOT_PASSWORD"] in values["MONGODB_URI"]
    for name in ("service", "bucket"):
        assert filled[name]["environment"]["AWS_SECRET_ACCESS_KEY"] == values["S3_SECRET_KEY"]


def ports_of(**changes):
    names = re.findall(r"^([A-Z]+_PORT)=", EXAMPLE, flags=re.MULTILINE)
    return {name: str(free_port()) for name in names} | {"COMPOSE_PROJECT_NAME": "x", **changes}


def test_a_taken_port_is_named_with_the_variable_that_changes_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        values = ports_of(GRAFANA_PORT=str(taken))
        with pytest.raises(ConfigError, match=rf"port {taken} \(GRAFANA_PORT\); end what listens"):
            check_ports(engine(tmp_path, "exit 0"), values)


def test_a_port_that_this_system_listens_on_already_is_fine(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as own:
        port = own.getsockname()[1]
        listed = f"echo '127.0.0.1:{port}->3000/tcp'"
        check_ports(engine(tmp_path, listed), ports_of(GRAFANA_PORT=str(port)))


@pytest.mark.parametrize("port", ["http", "0", "65536"])
def test_what_is_no_port_is_refused(tmp_path, port):
    with pytest.raises(ConfigError, match=f"S3_PORT must be a port from 1 to 65535, got '{port}'"):
        check_ports(engine(tmp_path), ports_of(S3_PORT=port))


def test_two_parts_cannot_have_one_port(tmp_path):
    values = ports_of(S3_PORT="8333", MONGO_PORT="8333")
    with pytest.raises(ConfigError, match=r"MONGO_PORT, S3_PORT must be different ports, got 8333"):
        check_ports(engine(tmp_path), values)


def test_the_engines_plugin_is_taken_before_the_program_of_version_1(tmp_path):
    found = engine(tmp_path, '[ "$1 $2" = "compose version" ]')
    assert find_compose(found) == [str(found.cli), "compose"]


def test_version_1_will_do_from_1_29_on(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    program = stand_in(tmp_path, "docker-compose", "echo 1.29.2")
    assert find_compose(engine(tmp_path)) == [str(program)]
    stand_in(tmp_path, "docker-compose", "echo 1.25.0")
    with pytest.raises(ConfigError, match=r"docker-compose is version 1.25, and 1.29 or newer"):
        find_compose(engine(tmp_path))


def test_without_compose_the_package_is_named(tmp_path, monkeypatch):
    found = engine(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"install Debian's package docker-compose"):
        find_compose(found)


@pytest.fixture
def registry(tmp_path):
    registry = open_registry(str(tmp_path / "here"))
    registry.publish("tiny", write_tiny(tmp_path / "a").path)
    registry.set_alias("tiny", "production", "v1", actor="test", why="test")
    return registry


def test_the_first_model_is_copied_with_its_origin_in_the_audit_and_never_again(registry, tmp_path):
    target = open_registry(str(tmp_path / "there"))
    assert seed(registry, target, "tiny") == "v1"
    found = registry.manifest("tiny", "v1")["sha256"]
    assert target.manifest("tiny", "v1")["sha256"] == found
    (record,) = target.audit("tiny")
    assert (record["actor"], record["why"]) == (
        "make up",
        f"v1 of {registry.location}, the first of this system",
    )
    registry.publish("tiny", write_tiny(tmp_path / "b", facts={"problem": "tiny"}).path)
    registry.set_alias("tiny", "production", "v2", actor="test", why="test")
    assert seed(registry, target, "tiny") == "v1"
    assert target.versions("tiny") == ["v1"]


def test_a_model_that_is_there_is_not_trained_again(registry, tmp_path):
    assert version_here(registry, "tiny", root=tmp_path, environment={}) == "v1"


def test_a_problem_that_cannot_be_trained_ends_with_the_command_to_mend(tmp_path):
    (tmp_path / "run.py").write_text("import sys; sys.exit(2)")
    registry = open_registry(str(tmp_path / "none"))
    with pytest.raises(RefusedError, match=r"no production version of other to serve; mend what"):
        version_here(registry, "other", root=tmp_path, environment={})


def test_a_store_that_starts_late_is_asked_again():
    answers = iter([StoreError("not yet"), StoreError("not yet"), "v3"])

    def ask():
        answer = next(answers)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    assert until_answered(ask, pause_s=0) == "v3"


def test_a_store_that_never_starts_ends_with_its_own_words():
    def ask():
        raise StoreError("nobody listens at :8333")

    with pytest.raises(StoreError, match=r"within 0 s: nobody listens at :8333"):
        until_answered(ask, within_s=0, pause_s=0)


class Store:
    """Answers each try to make a bucket by the next of these codes; "" for done."""

    def __init__(self, *codes):
        self.codes = list(codes)

    def create_bucket(self, Bucket):  # noqa: ARG002  # as boto3 names it
        if code := self.codes.pop(0):
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "CreateBucket")


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        (["", "never asked"], "made"),
        (["BucketAlreadyOwnedByYou"], "is there"),
        (["ServiceUnavailable", "SlowDown", ""], "made"),
        (["InvalidAccessKeyId", "never asked"], ""),
    ],
)
def test_the_bucket_is_made_once_the_store_answers(codes, outcome, monkeypatch):
    monkeypatch.setattr(make_bucket, "PAUSE_S", 0)
    assert make_bucket.make_bucket(Store(*codes), "bentoline") == outcome


def test_make_up_without_an_engine_says_what_to_do(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "deploy.system"],
        cwd=ROOT, env={"PATH": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/none"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert re.match(r"bentoline: .*(no engine answers|no docker on PATH).*make engine", done.stderr)
    assert len(done.stderr.splitlines()) == 1
