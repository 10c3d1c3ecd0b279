"""`release.sh` on one host, where something goes wrong: the version before answers on."""

import json
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from deploy.host.ecr import authorization
from deploy.host.proxy import SLOTS
from tests.disks import disk
from tests.e2e.hosts import free_ports, machine, steady_load
from tests.e2e.small_release import SILENT, command, finished, push_image
from tests.s3 import free_port

__all__ = ["disk"]  # a fixture

# The first one may install an engine, make a base image and fetch packages.
pytestmark = pytest.mark.timeout(900)

N_KILLS = 3
STATE_FILES = {"images.json", "lock"}


class Site:
    """One host, and a registry that wants ECR's token."""

    def __init__(self, engine, base, aws, host, folder):
        self.engine, self.base, self.host, self.folder = engine, base, host, folder
        address = aws.environment["BENTOLINE_ECR_HOST"].removeprefix("http://")
        self.repository = f"{address}/small"
        config = folder / "docker"
        config.mkdir()
        (config / "config.json").write_text(json.dumps({"auths": {address: {"auth": aws.token}}}))
        self.pusher = engine.with_config(config)
        self.n_images = 0

    def image(self, base="", **parts):
        """A new image in the registry."""
        self.n_images += 1
        folder = self.folder / f"image{self.n_images}"
        return push_image(self.pusher, base or self.base, self.repository, folder, **parts)

    def command(self, image):
        return command(image, self.folder, region="us-east-1")

    def release(self, image):
        return finished(self.command(image), self.host.host.environment)

    def slots(self):
        """Those that have a container."""
        return [name.rpartition("-")[2] for name in self.host.containers(self.engine)]

    def port_of(self, slot):
        return self.host.port + 1 + SLOTS.index(slot)

    def images(self):
        """Of the containers of this host."""
        return list(self.host.containers(self.engine).values())


@pytest.fixture(scope="module")
def site(engine, machine_base, aws, tmp_path_factory):
    """A host that serves a first release."""
    folder = tmp_path_factory.mktemp("host")
    with machine(f"small-{os.getpid()}", folder / "host", engine, aws.environment) as host:
        made = Site(engine, machine_base, aws, host, folder)
        done = made.release(made.image())
        assert done.returncode == 0, done.stderr
        yield made
    for listed in engine.call(
        "image", "ls", "--digests", "--format={{.Repository}}@{{.Digest}}", made.repository,
        what="listing",
    ).split():  # fmt: skip
        engine.tries("rmi", "--force", listed)


@pytest.fixture(scope="module")
def machine_base(request):
    return request.getfixturevalue("machine").base


@pytest.fixture
def refused(site):
    """Release an image, and return the one sentence that it ends with; nothing has changed then."""

    def call(image, code=2):
        before = site.images()
        done = site.release(image)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        assert site.images() == before
        assert site.host.files() == STATE_FILES
        assert site.host.ask()[0] == 200
        return done.stderr

    return call


def test_the_token_of_ecr_is_that_of_the_sdk(aws):
    assert authorization("us-east-1", aws.environment) == aws.token


def test_a_registry_that_is_away(refused):
    said = refused(f"127.0.0.1:{free_port()}/small@sha256:{'0' * 64}")
    assert "docker: pulling 127.0.0.1:" in said
    assert "connection refused" in said


def test_an_image_that_is_not_there(refused, site):
    assert "docker: pulling" in refused(f"{site.repository}@sha256:{'0' * 64}")


def test_an_image_of_another_architecture(refused, site):
    image = site.image(base="scratch", options=("--platform=linux/arm64",))
    assert "is made for arm64 and this host is" in refused(image)


def test_a_port_that_somebody_else_has(refused, site):
    image, (active,) = site.image(), site.slots()
    first, second = (site.port_of(slot) for slot in SLOTS if slot != active)
    with socket.create_server(("127.0.0.1", first)), socket.create_server(("127.0.0.1", second)):
        assert f"ports {first} and {second} of this host are taken" in refused(image)


def test_one_idle_port_that_somebody_else_has(site, tmp_path):
    """Round all three slots: the other idle one is taken, and no request is lost."""
    body = tmp_path / "row.json"
    body.write_text("{}")
    with steady_load([site.host], body) as load:
        for _ in range(len(SLOTS)):
            image, (active,) = site.image(), site.slots()
            first, second = (slot for slot in SLOTS if slot != active)
            with socket.create_server(("127.0.0.1", site.port_of(first))):
                done = site.release(image)
            assert done.returncode == 0, done.stderr
            assert site.images() == [image]
            assert site.slots() == [second]
            assert site.host.ask()[0] == 200
            assert site.host.files() == STATE_FILES
    assert load.requests > 0
    assert load.failed == 0


def test_a_container_that_never_is_ready(refused, site):
    site.host.set(ready_s=1)
    said = refused(site.image(entry=SILENT), code=1)
    site.host.set(ready_s=60)
    assert "the container was not ready after 1 s" in said


def test_a_release_that_is_killed_at_any_moment(site, tmp_path):
    """SIGKILL, three times; what was half done is finished or undone by the next release."""
    body = tmp_path / "row.json"
    body.write_text("{}")
    begun = time.monotonic()
    assert site.release(site.image()).returncode == 0
    whole_s = time.monotonic() - begun
    moments = random.Random(7)  # noqa: S311  # moments, not secrets
    with steady_load([site.host], body) as load:
        for _ in range(N_KILLS):
            image = site.image()
            release = subprocess.Popen(
                site.command(image), env=site.host.host.environment, stderr=subprocess.DEVNULL
            )
            try:
                release.wait(timeout=moments.uniform(0, whole_s))
            except subprocess.TimeoutExpired:
                release.send_signal(signal.SIGKILL)
                release.wait()
            assert site.host.ask()[0] == 200
            again = site.release(image)
            assert again.returncode == 0, again.stderr
            assert site.images() == [image]
            assert site.host.files() == STATE_FILES
    assert load.requests > 0
    assert load.failed == 0


def test_a_state_folder_without_room(site, disk, tmp_path):
    folder = disk("64k")
    before, image = site.images(), site.image()
    with pytest.raises(OSError, match="No space left"):
        (folder / "filler").write_bytes(bytes(1 << 20))
    given = site.command(image)
    host_file = tmp_path / "host.json"
    settings = json.loads(Path(site.host.host.environment["BENTOLINE_HOST_FILE"]).read_text())
    host_file.write_text(
        json.dumps({**settings, "state": str(folder), "name": "full", "port": free_ports()})
    )
    own = {**site.host.host.environment, "BENTOLINE_HOST_FILE": str(host_file)}
    done = finished(given, own)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "the version before serves on" in done.stderr
    assert site.images() == before
    assert site.host.ask()[0] == 200
