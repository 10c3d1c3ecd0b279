"""A version gets the names that its verdict carries, and production only from its champion."""

import pytest

from tabular.challenge import Comparison
from tabular.errors import BundleError, StoreError
from tabular.gates import decide
from tabular.prediction_log.settings import LogConfig
from tabular.publishing import publish
from tabular.registry import open_registry
from tabular.serving import Serving
from tabular.settings import Gate, Promotion
from tests.unit.test_signatures import make_keys
from tests.unit.tiny import write_tiny

EVALUATION_SET = {"sha256": "ab" * 32, "n_rows": 9, "snapshot": "cd" * 32}


@pytest.fixture
def registry(tmp_path):
    return open_registry(str(tmp_path / "registry"))


def published(tmp_path, registry, name, *, limit=1.0, champion="", **keys):
    gates = [Gate(metric="latency_ms", max=limit, alias="production")]
    comparison = Comparison(metric="f1")
    verdict = decide(gates, {}, {"latency_ms": 0.5}, Promotion(), comparison)
    compared = verdict.comparison.model_copy(update={"champion": champion})
    verdict = verdict.model_copy(update={"comparison": compared})
    report = {"problem": "tiny", "evaluation_set": EVALUATION_SET, "verdict": verdict.model_dump()}
    bundle = write_tiny(tmp_path / name)
    parts = {"serving": Serving(port=8123), "log": LogConfig(sensitive="omit")}
    return publish(bundle, report, verdict, parts, registry.location, **keys)["version"]


def test_accepted_version_gets_every_name(tmp_path, registry):
    version = published(tmp_path, registry, "a")
    assert registry.aliases("tiny") == dict.fromkeys(
        ("candidate", "staging", "production"), version
    )
    manifest = registry.manifest("tiny", version)
    assert manifest["evaluation_set"] == EVALUATION_SET
    assert (manifest["serving"]["port"], manifest["log"]["sensitive"]) == (8123, "omit")


def test_refused_version_goes_as_far_as_its_gates_hold(tmp_path, registry):
    first = published(tmp_path, registry, "a")
    second = published(tmp_path, registry, "b", limit=0.1, champion=first)
    assert registry.aliases("tiny") == {
        "candidate": second,
        "staging": second,
        "production": first,
    }


def test_production_that_moved_since_the_comparison_stays(tmp_path, registry):
    """The verdict was against v1; meanwhile v2 took its place, and was never compared."""
    published(tmp_path, registry, "a")
    published(tmp_path, registry, "b", champion="v1")
    with pytest.raises(StoreError, match="v2"):
        published(tmp_path, registry, "c", champion="v1")
    assert registry.alias("tiny", "production") == "v2"
    assert registry.alias("tiny", "candidate") == "v3"


def test_unsigned_version_is_not_published_where_a_public_key_asks(tmp_path, registry):
    private, public = make_keys(tmp_path / "keys")
    with pytest.raises(BundleError, match="signature is missing"):
        published(tmp_path, registry, "a", public_key=public)
    assert (registry.versions("tiny"), registry.aliases("tiny")) == ([], {})
    assert published(tmp_path, registry, "b", public_key=public, signing_key=private) == "v1"
    assert registry.alias("tiny", "production") == "v1"


def test_a_version_brings_how_it_is_served(tmp_path, registry):
    version = published(tmp_path, registry, "a")
    assert registry.manifest("tiny", version)["serving"] == Serving(port=8123).model_dump()
