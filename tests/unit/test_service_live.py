"""The model that serves: verified before it answers, followed, and never lost to a bad version."""

import asyncio
import gc
import weakref

import pytest

from service import live as live_module
from service.live import Live, load_model, public_reason
from tabular.errors import BundleError, StoreError
from tabular.registry import open_registry
from tabular.serving import Serving
from tests.unit.asgi import Worker, settings
from tests.unit.tiny import RECORDS, write_tiny


@pytest.fixture
def registry(tmp_path):
    return open_registry(str(tmp_path / "registry"))


@pytest.fixture
def followed(tmp_path, registry):
    return settings(registry=registry.location, follows=True, home=tmp_path)


def published(tmp_path, registry, name, **changes):
    version = registry.publish("tiny", write_tiny(tmp_path / name, **changes).path)
    registry.set_alias("tiny", "production", version, actor="test", why="test")
    return version


def poll(live):
    """One look at the alias."""

    async def look():
        following = asyncio.create_task(live.follow())
        await asyncio.sleep(0.1)
        following.cancel()

    asyncio.run(look())


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch):
    monkeypatch.setattr(live_module, "POLL_S", 0.01)


def test_the_manifests_serving_part_is_kept(tmp_path):
    facts = {"problem": "tiny", "serving": {"max_rows": 7}}
    model = load_model(write_tiny(tmp_path / "b", facts=facts).path, "tiny", "v1")
    assert model.serving == Serving(max_rows=7)


def test_a_serving_part_of_another_form_is_refused(tmp_path):
    facts = {"problem": "tiny", "serving": {"speed": "high"}}
    with pytest.raises(BundleError, match="serving part does not fit"):
        load_model(write_tiny(tmp_path / "b", facts=facts).path, "tiny", "v1")


def test_a_bundle_of_another_problem_is_refused(tmp_path):
    with pytest.raises(BundleError, match="'tiny', but 'iris' is served; set BENTOLINE_PROBLEM"):
        load_model(write_tiny(tmp_path / "b").path, "iris", "v1")


@pytest.mark.parametrize("name", ["model.onnx", "contract.json", "golden.json", "manifest.json"])
def test_a_tampered_bundle_is_refused_with_the_files_name_and_no_folder(tmp_path, name):
    path = write_tiny(tmp_path / "v1").path
    with (path / name).open("ab") as file:
        file.write(b" ")
    worker = Worker(settings(path))
    health = worker.ask("GET", "/health")
    assert (health.status, health.json["status"]) == (503, "unavailable")
    assert name in health.json["reason"]
    assert str(tmp_path) not in health.body.decode()
    reply = worker.ask("POST", "/predict", RECORDS[0])
    assert (reply.status, reply.code) == (503, "no_model")
    assert worker.ask("GET", "/readyz").status == 503
    assert worker.value("bentoline_reloads_total", outcome="failed") == 1


def test_wrong_golden_answers_are_refused(tmp_path):
    golden = [{"record": RECORDS[0], "answer": [0.5, 0.5]}]
    worker = Worker(settings(write_tiny(tmp_path / "v1", golden=golden).path))
    assert "golden row 0" in worker.ask("GET", "/readyz").json["reason"]


def test_a_first_version_is_served_once_it_is_there(tmp_path, registry, followed):
    worker = Worker(followed)
    assert "no production version of tiny yet" in worker.ask("GET", "/health").json["reason"]
    published(tmp_path, registry, "a")
    poll(worker.app.live)
    assert worker.ask("GET", "/readyz").json == {"status": "ready", "model_version": "v1"}
    assert worker.ask("POST", "/predict", RECORDS[0]).json["model_version"] == "v1"


def test_a_moved_alias_is_followed_there_and_back_and_old_models_are_freed(
    tmp_path, registry, followed
):
    published(tmp_path, registry, "a")
    worker = Worker(followed)
    worker.ask("GET", "/model")
    old = weakref.ref(worker.app.live.model.predictor)
    published(tmp_path, registry, "b")
    gc.disable()
    poll(worker.app.live)
    worker.ask("GET", "/model")
    gc.enable()
    assert worker.app.live.model.version == "v2"
    assert old() is None
    registry.set_alias("tiny", "production", "v1", actor="test", why="back")
    poll(worker.app.live)
    assert worker.app.live.model.version == "v1"
    assert worker.value("bentoline_model_info", problem="tiny", version="v1") == 1
    assert worker.value("bentoline_model_info", problem="tiny", version="v2") == 0
    assert worker.value("bentoline_reloads_total", outcome="done") == 3


def test_a_version_that_fails_leaves_the_old_one_and_says_why(tmp_path, registry, followed):
    published(tmp_path, registry, "a")
    worker = Worker(followed)
    golden = [{"record": RECORDS[0], "answer": [0.5, 0.5]}]
    published(tmp_path, registry, "b", golden=golden)
    poll(worker.app.live)
    health = worker.ask("GET", "/health")
    assert (health.status, health.json["model_version"]) == (200, "v1")
    assert "golden row 0" in health.json["reason"]
    assert worker.value("bentoline_reloads_total", outcome="failed") == 1  # not at every look
    registry.set_alias("tiny", "production", "v1", actor="test", why="back")
    poll(worker.app.live)
    assert "reason" not in worker.ask("GET", "/health").json


def test_without_a_named_registry_the_first_model_stays(tmp_path, registry):
    published(tmp_path, registry, "a")
    live = Live(settings(registry=registry.location, home=tmp_path))
    live.start()
    published(tmp_path, registry, "b")
    poll(live)
    assert live.model.version == "v1"


def test_an_unexpected_error_neither_kills_the_worker_nor_tells_its_words(tmp_path):
    live = Live(settings(tmp_path / "no\0path"))
    live.start()
    assert live.reason == "unexpected ValueError"


def test_a_reason_keeps_the_files_name_and_no_folder():
    error = StoreError("/srv/a/x-1/model.onnx: changed; s3://bucket/pre/v1/manifest.json: gone.")
    assert public_reason(error) == "model.onnx: changed; manifest.json: gone."
