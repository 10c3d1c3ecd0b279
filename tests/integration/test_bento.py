"""`bentoml build`: a Bento with exactly the production bundle, served without a registry."""

import os
import re
import subprocess

import pytest

from tabular.registry import open_registry
from tests.integration.serving import BENTOML, ROOT, serving
from tests.unit.tiny import RECORDS, write_tiny

NOT_SERVED = ("scikit-learn", "pandas", "zenml", "pyarrow", "scipy", "lightgbm", "catboost")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bento")


def build(folder, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BENTOLINE_")}
    own = {"BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "true"}
    given = {**own, "BENTOLINE_HOME": str(folder / "home"), "BENTOLINE_PROBLEM": "tiny"}
    return subprocess.run(
        [BENTOML, "build", "--output", "tag"],
        cwd=ROOT,
        env={**kept, **given, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def bento(folder):
    registry = open_registry(str(folder / "home" / "registry"))
    for name in ("a", "b"):
        registry.publish("tiny", write_tiny(folder / name).path)
    registry.set_alias("tiny", "production", "v2", actor="test", why="test")
    built = build(folder)
    assert built.returncode == 0, built.stdout + built.stderr
    tag = re.search(r"__tag__:(\S+)", built.stdout)
    assert tag, built.stdout
    name, _, version = tag[1].partition(":")
    return folder / "bentoml" / "bentos" / name / version


def test_a_bento_holds_exactly_the_production_bundle(bento, folder):
    source = folder / "home" / "registry" / "tiny" / "versions" / "v2"
    found = {p.relative_to(bento / "src" / "bundle"): p for p in bento.glob("src/bundle/*/*/*")}
    assert {str(p.parent) for p in found} == {"tiny/v2"}
    assert {p.name: file.read_bytes() for p, file in found.items()} == {
        p.name: p.read_bytes() for p in source.iterdir()
    }


def test_a_bento_asks_for_what_serves_and_for_no_training_library(bento):
    lock = (bento / "env" / "python" / "requirements.txt").read_text()
    assert lock == (ROOT / "requirements-serve.lock").read_text()
    names = set(re.findall(r"^([a-z0-9-]+)==", lock, re.M))
    assert {"bentoml", "onnxruntime", "numpy", "uvloop", "httptools", "orjson"} <= names
    assert names.isdisjoint(NOT_SERVED)


def test_a_bento_is_served_for_ever_as_it_was_built(bento, folder):
    own = folder / "served"
    own.mkdir()
    command = (str(BENTOML), "serve", str(bento), "--host", "127.0.0.1")
    with serving(own, *command) as server:
        assert server.ask("/readyz") == (200, {"status": "ready", "model_version": "v2"})
        assert server.ask("/predict", RECORDS[0])[1]["model_version"] == "v2"


def test_a_build_without_a_production_version_says_so(folder):
    built = build(folder, BENTOLINE_HOME=str(folder / "nothing"))
    assert built.returncode != 0
    assert "tiny has no version yet; train it first" in built.stdout + built.stderr
