"""A host whose disk is full, or whose engine ends: the version before answers all the while."""

import os
import subprocess

import pytest

from tests.e2e.own_engine import own_engine
from tests.e2e.small_release import SILENT

# The first one may install an engine, make a base image and fetch packages.
pytestmark = pytest.mark.timeout(900)

LARGE = 60_000_000
LEFT = 20_000_000


@pytest.fixture(scope="module")
def host(machine, tmp_path_factory):
    """A host that serves a first release."""
    folder = tmp_path_factory.mktemp("own")
    with own_engine(folder, machine.engine, machine.base) as made:
        done = made.release(made.image())
        assert done.returncode == 0, done.stderr
        yield made


def test_a_disk_that_is_full_during_the_pull(host):
    before, image = host.containers(), host.image(files={"large": os.urandom(LARGE)})
    host.docker("builder", "prune", "--all", "--force")
    free = os.statvfs(host.disk)
    filler = host.disk / "filler"
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - LEFT))
    try:
        done = host.release(image)
    finally:
        filler.unlink()
    assert done.returncode == 2
    assert "no space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
    assert host.status() == "200"
    assert host.containers() == before
    again = host.release(image)
    assert again.returncode == 0, again.stderr
    assert host.status() == "200"
    assert host.containers() == [image]


def test_an_engine_that_is_restarted_while_it_starts_a_container(host):
    """It keeps the port of a container that it had not started yet, until it is restarted again."""
    image, n_before = host.image(), len(host.forwarded())
    release = subprocess.Popen(
        host.command(image), env=host.environment, stderr=subprocess.PIPE, text=True
    )
    while len(host.forwarded()) == n_before:
        assert release.poll() is None
    host.stop()
    assert host.status() == "200"
    _, said = release.communicate(timeout=120)
    assert release.returncode == 2
    assert said.count("\n") == 1
    host.start()
    assert host.status() == "200"
    again = host.release(image)
    assert again.returncode == 0, again.stderr
    assert host.status() == "200"
    assert host.containers() == [image]


def test_an_engine_that_dies_in_a_release(host):
    before = host.containers()
    release = subprocess.Popen(
        host.command(host.image(entry=SILENT)),
        env=host.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while len(host.containers()) < 2:
        assert release.poll() is None
    host.stop(at_once=True)
    assert host.status() == "200"
    _, said = release.communicate(timeout=120)
    assert release.returncode != 0
    assert said.count("\n") == 1
    host.start()
    assert host.status() == "200"
    image = host.image()
    done = host.release(image)
    assert done.returncode == 0, done.stderr
    assert host.status() == "200"
    assert host.containers() == [image]
    assert image not in before
