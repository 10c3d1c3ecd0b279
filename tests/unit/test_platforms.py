"""render.yaml and fly.toml say of the image what the Dockerfile and the service say."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from deploy.container import PORT

ROOT = Path(__file__).parents[2]
BY_DIGEST = re.compile(r"^[\w./-]+@sha256:(DIGEST|[0-9a-f]{64})$")


@pytest.fixture(scope="module")
def render():
    (service,) = yaml.safe_load((ROOT / "render.yaml").read_text())["services"]
    return service


@pytest.fixture(scope="module")
def fly():
    return tomllib.loads((ROOT / "fly.toml").read_text())


def test_the_image_listens_where_the_code_says():
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^EXPOSE (\d+)$", dockerfile, re.MULTILINE) == [str(PORT)]
    assert f"BENTOML_PORT={PORT}" in dockerfile
    assert "/readyz" in dockerfile


def test_render_asks_the_image_where_it_listens(render):
    assert render["runtime"] == "image"
    assert BY_DIGEST.match(render["image"]["url"])
    assert render["healthCheckPath"] == "/readyz"
    variables = {one["key"]: one for one in render["envVars"]}
    assert variables["PORT"]["value"] == str(PORT)
    assert variables["BENTOLINE_TOKEN"] == {"key": "BENTOLINE_TOKEN", "sync": False}


def test_fly_asks_the_image_where_it_listens(fly):
    assert BY_DIGEST.match(fly["build"]["image"])
    assert fly["http_service"]["internal_port"] == PORT
    assert [check["path"] for check in fly["http_service"]["checks"]] == ["/readyz"]
    assert fly["http_service"]["min_machines_running"] >= 2
    assert "env" not in fly
