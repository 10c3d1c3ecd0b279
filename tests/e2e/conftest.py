"""A real engine, and one image of the tiny problem that the tests share."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from deploy.engine import Engine, find_engine
from deploy.image import Release, build_bento, build_image
from deploy.settings import Settings
from tabular.bundle import Bundle
from tests.base_image import base_image
from tests.e2e.checkout import make_checkout
from tests.e2e.image_registry import image_registry, password_of
from tests.s3 import credentials, moto
from tests.unit.tiny import write_tiny

COMMIT = "0123456789ab"


@dataclass(frozen=True)
class Machine:
    """An engine that answers, and the base image that it has."""

    engine: Engine
    base: str


@pytest.fixture(scope="session")
def machine() -> Machine:
    """Start the engine where none answers; skip where this machine cannot run one."""
    try:
        base = base_image()
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["deploy/engine.sh failed"])[-1]
        pytest.skip(f"no container engine: {said}")
    return Machine(find_engine(os.environ), base)


@pytest.fixture(scope="session")
def engine(machine: Machine) -> Engine:
    return machine.engine


@pytest.fixture(scope="session")
def settings(machine: Machine) -> Settings:
    """As the environment says, on the base image that is there."""
    return Settings.of({**os.environ, "BENTOLINE_BASE_IMAGE": machine.base})


@pytest.fixture(scope="session")
def checkout(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code as it stands, committed."""
    return make_checkout(tmp_path_factory.mktemp("checkout"))


@dataclass(frozen=True)
class Built:
    """An image and the bundle that is in it."""

    id: str
    bundle: Bundle


class Builder:
    """Builds an image of a bundle, once for each name."""

    def __init__(self, machine: Machine, settings: Settings, checkout: Path, folder: Path) -> None:
        self._machine, self._settings = machine, settings
        self._checkout, self._folder = checkout, folder
        self.made: list[str] = []

    def build(self, name: str, bundle: Bundle) -> Built:
        """A Bento of the bundle, and the image around it."""
        home = self._folder / f"{len(self.made)}-{name}"
        bento = build_bento(bundle.path, home, root=self._checkout, public_key=None)
        release = Release(problem=f"test-{name}", version="v1", commit=COMMIT, bundle="ab")
        image_id = build_image(
            self._machine.engine,
            bento,
            release,
            dockerfile=self._checkout / "Dockerfile",
            settings=self._settings,
        )
        self.made.append(release.image)
        return Built(image_id, bundle)


@pytest.fixture(scope="session")
def builder(machine, settings, checkout, tmp_path_factory):
    made = Builder(machine, settings, checkout, tmp_path_factory.mktemp("images"))
    yield made
    for image in made.made:
        machine.engine.tries("rmi", "--force", image)


@pytest.fixture(scope="session")
def built(builder, tmp_path_factory):
    """An image of a bundle that is right."""
    return builder.build("right", write_tiny(tmp_path_factory.mktemp("tiny") / "v1"))


@dataclass(frozen=True)
class Aws:
    """ECR's API by moto, its bytes by a real registry, and what the environment says of both."""

    environment: dict[str, str]
    token: str


@pytest.fixture(scope="session")
def aws(machine, tmp_path_factory):
    with moto() as endpoint:
        client = boto3.Session("a", "b", region_name="us-east-1").client(
            "ecr", endpoint_url=endpoint
        )
        for name in ("bentoline", "second", "third", "hosts", "loose", "refusing"):
            mutability = "MUTABLE" if name == "loose" else "IMMUTABLE"
            client.create_repository(repositoryName=name, imageTagMutability=mutability)
        token = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        folder = tmp_path_factory.mktemp("registry")
        with image_registry(folder, password_of(token)) as address:
            environment = {
                **credentials(endpoint),
                "BENTOLINE_ECR_HOST": address,
                "BENTOLINE_BASE_IMAGE": machine.base,
            }
            yield Aws(environment, token)
