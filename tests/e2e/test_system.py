"""`make up`: the parts of docker-compose.yml whose images can be had anywhere, as one system.

The store is moto and Prometheus is Debian's, each in the base image; the others are not started.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from deploy.engine import Engine
from deploy.host.checks import Connection
from deploy.system.checks import find_compose
from deploy.system.environment import read_environment, write_environment
from tabular.errors import ConfigError
from tabular.registry import open_registry
from tests.prometheus_server import Prometheus
from tests.s3 import free_port
from tests.unit.tiny import RECORDS, write_tiny

# The first one may install an engine, make a base image and fetch packages.
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="prometheus is not on PATH; Debian's package prometheus brings it",
    ),
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="moto runs in the base image, on its Python 3.11"
    ),
]

DRIFT = '# TYPE bentoline_drift_alarm gauge\nbentoline_drift_alarm{problem="tiny"} 1\n'
NOT_STARTED = ("mongodb", "grafana", "zenml")


@dataclass(frozen=True)
class System:
    """What `make up` started; `again` calls it once more."""

    engine: Engine
    values: dict[str, str]
    folder: Path
    environment: dict[str, str]
    said: str

    def port(self, name: str) -> int:
        return int(self.values[name])

    def again(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "deploy.system"],
            cwd=self.folder, env={**self.environment, **environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def container(self, part: str) -> dict:
        project = self.values["COMPOSE_PROJECT_NAME"]
        found = [self.engine.inspect("container", f"{project}{dash}{part}{dash}1") for dash in "-_"]
        return next(one for one in found if one)


@pytest.fixture(scope="module")
def compose(engine):
    try:
        return find_compose(engine)
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def system(machine, engine, compose, checkout, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    registry = open_registry(str(home / "registry"))
    registry.publish("tiny", write_tiny(home / "a").path)
    registry.set_alias("tiny", "production", "v1", actor="test", why="test")
    (home / "monitor").mkdir()
    (home / "monitor" / "tiny.prom").write_text(DRIFT)
    override = home / "override.yml"
    override.write_text(yaml.safe_dump(stand_ins(machine.base)))
    write_environment(checkout)
    path = checkout / ".env"
    text = re.sub(r"(?m)^(\w+_PORT)=.*$", lambda line: f"{line[1]}={free_port()}", path.read_text())
    text = text.replace("PROJECT_NAME=bentoline", f"PROJECT_NAME=bentoline-test-{os.getpid()}")
    path.write_text(text.replace("PROBLEM=vehicle_insurance", "PROBLEM=tiny"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENTOLINE_", "AWS_"))}
    environment = {
        **kept,
        "BENTOLINE_HOME": str(home),
        "BENTOLINE_BASE_IMAGE": machine.base,
        "COMPOSE_FILE": f"docker-compose.yml{os.pathsep}{override}",
    }
    system = System(engine, read_environment(checkout), checkout, environment, "")
    try:
        done = system.again()
        assert done.returncode == 0, done.stdout + done.stderr
        yield System(engine, system.values, checkout, environment, done.stdout)
    finally:
        subprocess.run(
            [*compose, "down", "--volumes", "--remove-orphans"],
            cwd=checkout, env=environment, capture_output=True, check=False,
        )  # fmt: skip
        path.unlink()
        engine.tries("rmi", "--force", "bentoline:system")


def stand_ins(base):
    """The same parts on images that are here."""
    packages = sysconfig.get_path("purelib")
    return {
        "services": {
            "s3": {
                "image": base,
                "entrypoint": ["python3", "-m", "moto.server", "-H", "0.0.0.0", "-p", "8333"],  # noqa: S104
                "command": [],
                "environment": {"PYTHONPATH": "/packages"},
                "volumes": [f"{packages}:/packages:ro"],
            },
            "prometheus": {
                "image": base,
                "entrypoint": ["/usr/local/bin/prometheus"],
                "user": "0:0",
                "volumes": [f"{shutil.which('prometheus')}:/usr/local/bin/prometheus:ro"],
            },
            **{name: {"profiles": ["elsewhere"]} for name in NOT_STARTED},
        }
    }


def ask(system, path, body=None):
    connection = Connection(system.port("SERVICE_PORT"))
    try:
        return connection.ask(path, body)
    finally:
        connection.close()


def test_the_service_answers_from_the_registry_in_the_store(system):
    status, answer = ask(system, "/predict", RECORDS[0])
    assert (status, answer["model_version"]) == (200, "v1")


def test_every_address_is_told_and_no_secret_is(system):
    for name, value in system.values.items():
        if name.endswith("_PORT"):
            assert f"localhost:{value}" in system.said
        if name.endswith(("PASSWORD", "SECRET", "KEY", "TOKEN")):
            assert value not in system.said


def test_the_service_runs_hardened(system):
    limits = system.container("service")["HostConfig"]
    assert limits["ReadonlyRootfs"]
    assert limits["CapDrop"] == ["ALL"]
    assert limits["SecurityOpt"] == ["no-new-privileges:true"]
    assert (limits["Init"], limits["PidsLimit"]) == (True, 256)
    ports = limits["PortBindings"].values()
    assert {binding["HostIp"] for bindings in ports for binding in bindings} == {"127.0.0.1"}


def test_prometheus_reads_what_was_asked(system):
    scraping = Prometheus(system.port("PROMETHEUS_PORT"))
    before = ask(system, "/predict", RECORDS)
    assert before[0] == 200
    scraping.wait_until('count(bentoline_requests_total{route="predict", status="200"} > 1)', 1, 60)
    assert scraping.value('up{job="bentoline"}') == 1
    assert scraping.value("bentoline_drift_alarm") == 1  # of the monitor on this machine
    assert len(scraping.ask("rules")["groups"]) > 2


def test_again_it_changes_nothing(system):
    started = system.container("service")["State"]["StartedAt"]
    done = system.again()
    assert done.returncode == 0, done.stdout + done.stderr
    assert ".env: kept." in done.stdout
    assert "the image of tiny v1: kept." in done.stdout
    assert system.container("service")["State"]["StartedAt"] == started
    assert ask(system, "/readyz")[1]["model_version"] == "v1"
