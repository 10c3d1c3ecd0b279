"""`run.py --deploy --target local`: one container serves, and a bad one never takes its place."""

import pytest

from deploy import local
from deploy.host.checks import Connection
from tabular.errors import RefusedError
from tests.s3 import free_port
from tests.unit.tiny import RECORDS, write_tiny

# The first one may install an engine, make a base image and fetch packages.
pytestmark = pytest.mark.timeout(900)

PROBLEM = "test-local"


@pytest.fixture
def serving(engine, built):
    """A container that serves the problem, and its port."""
    port = free_port()
    name = local.replace(engine, built.id, built.bundle, problem=PROBLEM, port=port)
    yield port
    for left in (name, f"{name}-before"):
        engine.tries("rm", "--force", "--volumes", left)


def test_the_container_answers_on_the_port_of_the_problem(engine, built, serving):
    status, answer = Connection(serving).ask("/predict", RECORDS[0])
    assert (status, answer["model_version"]) == (200, "v1")
    local.check_port(engine, PROBLEM, serving)  # its own container may have it
    limits = engine.inspect("container", local.container_of(PROBLEM))["HostConfig"]
    assert limits["ReadonlyRootfs"]
    assert limits["CapDrop"] == ["ALL"]
    assert limits["RestartPolicy"]["Name"] == "unless-stopped"


def test_the_next_image_takes_its_place(engine, built, serving):
    name = local.container_of(PROBLEM)
    first = engine.inspect("container", name)["Id"]
    local.replace(engine, built.id, built.bundle, problem=PROBLEM, port=serving)
    assert engine.inspect("container", name)["Id"] != first
    assert engine.inspect("container", f"{name}-before") is None
    assert Connection(serving).ask("/readyz")[0] == 200


def test_the_one_before_serves_again_after_a_bad_one(engine, built, serving, tmp_path):
    other = write_tiny(tmp_path / "v1", task="regression")
    name = local.container_of(PROBLEM)
    first = engine.inspect("container", name)["Id"]
    with pytest.raises(RefusedError, match="golden row 0 is answered"):
        local.replace(engine, built.id, other, problem=PROBLEM, port=serving)
    assert engine.inspect("container", name)["Id"] == first
    assert engine.inspect("container", name)["State"]["Running"]
    assert engine.inspect("container", f"{name}-before") is None


def test_what_a_killed_replacement_left_is_put_back_first(engine, built, serving):
    name = local.container_of(PROBLEM)
    engine.call("rename", name, f"{name}-before", what="killed here")
    local.replace(engine, built.id, built.bundle, problem=PROBLEM, port=serving)
    assert engine.inspect("container", f"{name}-before") is None
    assert Connection(serving).ask("/readyz")[0] == 200
