"""What the environment says: which model, whether it is followed, how many workers."""

import json
import os
from argparse import Namespace
from functools import partial
from pathlib import Path

import pytest

from pipelines.commands.serve import environment, production_serving, run
from pipelines.place import Place
from service.settings import Settings
from tabular.errors import ConfigError
from tabular.registry import open_registry
from tabular.serving import Serving
from tests.unit.tiny import write_tiny


def baked(root, **facts):
    return write_tiny(root / "bundle" / "tiny" / "v4", facts={"problem": "tiny", **facts}).path


def test_nothing_named_means_the_local_registry_and_the_first_problem(tmp_path):
    found = Settings.of({}, tmp_path)
    assert (found.problem, found.bundle, found.follows, found.workers) == (
        "vehicle_insurance",
        None,
        False,
        1,
    )
    assert found.registry == str(tmp_path / ".bentoline" / "registry")


def test_the_bundle_in_a_bento_is_served_for_ever_with_its_own_workers(tmp_path):
    bundle = baked(tmp_path, serving={"workers": 3})
    found = Settings.of({}, tmp_path)
    assert (found.bundle, found.registry, found.follows) == (bundle, "", False)
    assert (found.problem, found.workers) == ("tiny", 3)


def test_a_named_registry_comes_before_the_bundle_and_is_followed(tmp_path):
    baked(tmp_path)
    found = Settings.of({"BENTOLINE_REGISTRY": "s3://b/p", "BENTOLINE_PROBLEM": "x"}, tmp_path)
    assert (found.bundle, found.registry, found.follows, found.problem) == (
        None,
        "s3://b/p",
        True,
        "x",
    )


def test_a_damaged_manifest_is_left_to_the_loading(tmp_path):
    (baked(tmp_path) / "manifest.json").write_text("{")
    found = Settings.of({"BENTOLINE_PROBLEM": "tiny"}, tmp_path)
    assert (found.problem, found.workers) == ("tiny", 1)


@pytest.mark.parametrize("text", ["0", "many", "-1", "65"])
def test_a_number_of_workers_that_is_none_is_refused(tmp_path, text):
    with pytest.raises(ConfigError, match=f"from 1 to 64, got '{text}'"):
        Settings.of({"BENTOLINE_WORKERS": text}, tmp_path)


@pytest.fixture
def place(tmp_path):
    return Place.of(tmp_path, {"BENTOLINE_HOME": str(tmp_path / "home")})


def test_serve_takes_the_production_versions_own_port_and_workers(tmp_path, place):
    assert production_serving("tiny", place) == Serving()
    serving = Serving(port=8123, workers=2)
    facts = {"problem": "tiny", "serving": serving.model_dump()}
    registry = open_registry(place.registry)
    version = registry.publish("tiny", write_tiny(tmp_path / "b", facts=facts).path)
    registry.set_alias("tiny", "production", version, actor="test", why="test")
    assert production_serving("tiny", place) == serving
    given = environment("tiny", 8123, serving, place)
    assert (given["BENTOLINE_PROBLEM"], given["BENTOLINE_WORKERS"]) == ("tiny", "2")
    assert json.dumps(given)
    assert given["BENTOML_HOME"].endswith("tiny-8123")


@pytest.mark.parametrize("port", [0, 70_000])
def test_serve_refuses_a_port_that_is_none(place, port):
    with pytest.raises(ConfigError, match=f"--port must be from 1 to 65535, got {port}"):
        run(Namespace(problem="tiny", port=port), place)


@pytest.mark.parametrize(
    ("named", "has_checkout", "expected"),
    [
        ("", True, "{home}/predictions"),
        ("", False, ""),
        ("off", True, ""),
        ("/var/log/answers", False, "/var/log/answers"),
        ("s3://bucket/log", False, "s3://bucket/log"),
        ("mongodb://ann:s3cret@host/log?tls=true", False, "mongodb://host/log"),
    ],
)
def test_a_checkout_logs_into_its_home_and_an_image_where_it_is_told(
    tmp_path, named, has_checkout, expected
):
    if has_checkout:
        (tmp_path / "run.py").touch()
    environ = {"BENTOLINE_PREDICTION_LOG": named, "BENTOLINE_HOME": str(tmp_path / "home")}
    found = Settings.of(environ, tmp_path).prediction_log
    assert found == expected.format(home=tmp_path / "home")
    if named or has_checkout:  # the commands, which need a checkout, look where it writes
        assert Place.of(tmp_path, environ).prediction_log == found


def test_a_relative_log_is_one_folder_for_the_service_and_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environ = {"BENTOLINE_PREDICTION_LOG": "log"}
    assert Settings.of(environ).prediction_log == str(tmp_path / "log")
    assert Place.of(tmp_path, environ).prediction_log == str(tmp_path / "log")


@pytest.mark.parametrize("reader", [Settings.of, partial(Place.of, Path())])
def test_an_address_that_no_log_can_lie_at_is_refused_without_being_shown(reader):
    with pytest.raises(ConfigError, match=r"cannot lie at gs://; name a folder") as raised:
        reader({"BENTOLINE_PREDICTION_LOG": "gs://ann:s3cret@bucket/log"})
    assert "s3cret" not in str(raised.value)


def test_the_server_is_given_the_logs_login(tmp_path, monkeypatch):
    uri = "mongodb://ann:s3cret@host/log"
    monkeypatch.setenv("BENTOLINE_PREDICTION_LOG", uri)
    given = environment("tiny", 8000, Serving(), Place.of(tmp_path, os.environ))
    assert given["BENTOLINE_PREDICTION_LOG"] == uri
