"""The roll-out to EC2: two hosts under CodeDeploy's stand-in, asked by clients all the while.

The service is a small one, since it is the release that is under test; benchmarks/roll_out.py does
the same with the serving image, and test_deliver_to_ec2.py once.
"""

import json
import time
from dataclasses import dataclass, field

import pytest

from tabular.bundle import seal
from tabular.errors import RefusedError
from tests.e2e.hosts import Load, steady_load
from tests.e2e.releases import CHANGES, ENDING, RIGHT, SILENT, SLOW, WRONG, Kinds, releases
from tests.e2e.small_release import build_image
from tests.unit.tiny import RECORDS, write_tiny

# The first one may install an engine, make a base image and fetch packages.
pytestmark = pytest.mark.timeout(900)

HOOKS = ["BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"]
SEQUENCE = (RIGHT, WRONG, SILENT, RIGHT, ENDING, SLOW)
REASONS = {
    WRONG: "ApplicationStart: golden row 0 is answered",
    SILENT: "ApplicationStart: the container was not ready after 2 s",
    ENDING: "ApplicationStart: the container ended before it was ready",
    SLOW: "ApplicationStart: 3 of 3 single rows took longer than serving.max_latency_ms of 200",
}


@pytest.fixture(scope="module")
def site(engine, machine, aws, tmp_path_factory):
    """Two hosts that serve a first release."""
    folder = tmp_path_factory.mktemp("hosts")
    bundle = write_tiny(folder / "v1", task="regression")
    # Several tests share these processors, so what is right may take long.
    bundles = {
        RIGHT: seal(bundle, folder / "patient", {"serving": {"max_latency_ms": 10_000}}),
        SLOW: seal(bundle, folder / "hasty", {"serving": {"max_latency_ms": 200}}),
    }
    (answer,) = bundle.read_json("golden.json")[0]["answer"]
    changes = {
        RIGHT: f"ENV ANSWER={answer}",
        SLOW: f"ENV ANSWER={answer} DELAY_S=0.6",
        WRONG: f"ENV ANSWER={answer + 1}",
        SILENT: CHANGES[SILENT],
        ENDING: CHANGES[ENDING],
    }
    image = "bentoline:small-service"
    build_image(engine, machine.base, image, folder / "service")
    kinds = Kinds(image, bundles, changes)
    with releases(engine, kinds, aws.environment, folder) as made:
        for one in made.machines:
            one.set(ready_s=60)
        revision, _ = made.revision(1)
        made.roll_out(revision)
        yield made
    engine.tries("rmi", image)


@dataclass
class Seen:
    """What one release did."""

    kind: str
    image: str
    refusal: str
    before: list[dict[str, str]]
    after: list[dict[str, str]]
    seconds: float
    hooks: list[list[str]]


@dataclass
class History:
    """Releases in a row, good and bad ones, and what clients saw of them."""

    load: Load = field(default_factory=Load)
    seen: list[Seen] = field(default_factory=list)


@pytest.fixture(scope="module")
def history(site, tmp_path_factory):
    body = tmp_path_factory.mktemp("body") / "row.json"
    body.write_text(json.dumps(RECORDS[0]))
    history = History()
    with steady_load(site.machines, body) as history.load:
        for number, kind in enumerate(SEQUENCE, 2):
            revision, image = site.revision(number, kind)
            for one in site.machines:
                one.host.hooks_run.clear()
            before, refusal, begun = site.serving(), "", time.monotonic()
            site.machines[0].set(ready_s=2 if kind == SILENT else 60)
            try:
                site.roll_out(revision)
            except RefusedError as error:
                refusal = str(error)
            seconds = time.monotonic() - begun
            hooks = [list(one.host.hooks_run) for one in site.machines]
            history.seen.append(Seen(kind, image, refusal, before, site.serving(), seconds, hooks))
    return history


def test_no_client_saw_a_failure(history):
    assert history.load.requests > 100
    assert history.load.failed == 0


def test_a_right_release_serves_on_every_host(history):
    for seen in history.seen:
        if seen.kind == RIGHT:
            assert seen.refusal == ""
            assert [list(host.values()) for host in seen.after] == [[seen.image]] * 2
            assert seen.hooks == [["ApplicationStop", *HOOKS]] * 2


@pytest.mark.parametrize("kind", REASONS)
def test_a_bad_release_is_stopped_at_the_first_host_and_taken_back(history, site, kind):
    seen = next(one for one in history.seen if one.kind == kind)
    first = site.machines[0].host.name
    assert seen.refusal.startswith(f"host {first} refused it at {REASONS[kind]}")
    assert "What served before serves on every host again" in seen.refusal
    assert seen.after == seen.before  # containers and images
    # The rollback is a deployment of what serves: its hooks find that, and change nothing.
    again = ["ApplicationStop", *HOOKS]
    assert seen.hooks == [["ApplicationStop", *HOOKS[:3], *again], again]


def test_nothing_is_left_but_the_last_good_release_and_the_one_before(history, site):
    good = [seen.image for seen in history.seen if seen.kind == RIGHT]
    assert [list(host.values()) for host in site.serving()] == [good[-1:]] * 2
    assert site.images() == sorted(good[-2:])
    assert [one.files() for one in site.machines] == [{"images.json", "lock"}] * 2
    assert [len(list(one.host.folder.iterdir())) for one in site.machines] == [1, 1]
