"""The registry in S3 over HTTP: the folder's promises, and what a bucket adds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tabular.errors import BundleError, ConfigError, StoreError
from tabular.registry import ANY, Registry, open_registry
from tabular.stores.s3 import S3Store
from tabular.versions.documents import seal_document
from tests.s3 import BUCKET, client, credentials, moto
from tests.unit.tiny import write_tiny

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto() as address:
        client(address).create_bucket(Bucket=BUCKET)
        yield address


@pytest.fixture(autouse=True)
def environment(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in credentials(endpoint).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def location(request: pytest.FixtureRequest) -> str:
    """A prefix of the bucket for this test alone."""
    return f"s3://{BUCKET}/team/{abs(hash(request.node.nodeid))}"


@pytest.fixture(scope="module")
def s3(endpoint: str) -> Any:
    return client(endpoint)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "bundle").path


@pytest.fixture
def registry(location: str, tmp_path: Path) -> Registry:
    return open_registry(location, tmp_path / "cache")


def move(registry: Registry, version: str, name: str = "production", **more: Any) -> dict[str, Any]:
    return registry.set_alias("tiny", name, version, actor="ann", why="better", **more)


def key_of(location: str, key: str) -> str:
    return f"{location.removeprefix(f's3://{BUCKET}/')}/{key}"


def test_a_version_is_a_plain_bundle_folder_and_comes_back_byte_for_byte(
    registry: Registry, location: str, s3: Any, bundle: Path
) -> None:
    assert [registry.publish("tiny", bundle) for _ in range(11)][-1] == "v11"
    assert registry.versions("tiny") == [f"v{n}" for n in range(1, 12)]
    assert registry.problems() == ["tiny"]
    names = sorted(path.name for path in bundle.iterdir())
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=key_of(location, "tiny/versions/v10/"))
    assert sorted(entry["Key"].rpartition("/")[-1] for entry in listed["Contents"]) == names
    fetched = registry.fetch("tiny", "v10")
    assert all((fetched / name).read_bytes() == (bundle / name).read_bytes() for name in names)


def test_files_without_a_manifest_are_no_version(
    registry: Registry, location: str, s3: Any, bundle: Path
) -> None:
    registry.publish("tiny", bundle)
    s3.put_object(Bucket=BUCKET, Key=key_of(location, "tiny/versions/.v2.claim"), Body=b"dead")
    s3.put_object(Bucket=BUCKET, Key=key_of(location, "tiny/versions/v2/model.onnx"), Body=b"half")
    assert registry.versions("tiny") == ["v1"]
    assert registry.publish("tiny", bundle) == "v3"
    assert registry.versions("tiny") == ["v1", "v3"]


def test_moves_are_chained_and_attempts_written_down(registry: Registry, bundle: Path) -> None:
    for _ in range(3):
        move(registry, registry.publish("tiny", bundle))
    with pytest.raises(StoreError, match="production is v3, not v1 as expected"):
        move(registry, "v2", expected="v1")
    move(registry, "v2", override="v3 fails on Mondays")
    audit = registry.audit("tiny")
    assert [(r["from"], r["to"], bool(r["refused"])) for r in audit] == [
        (None, "v1", False), ("v1", "v2", False), ("v2", "v3", False), ("v3", "v2", True),
        ("v3", "v2", False),
    ]  # fmt: skip
    assert audit[-1]["override"] == "v3 fails on Mondays"
    assert registry.previous("tiny", "production") == "v1"
    assert registry.aliases("tiny") == {"production": "v2"}


def test_an_alias_costs_one_read_of_at_most_1_kb(
    registry: Registry, location: str, s3: Any, bundle: Path
) -> None:
    registry.publish("tiny", bundle)
    move(registry, "v1", override="o" * 5000)
    key = key_of(location, "tiny/aliases/production.json")
    assert s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] <= 1000


def test_several_aliases_move_after_one_reading_of_the_version(
    registry: Registry, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.publish("tiny", bundle)
    read: list[str] = []
    asked = S3Store.read
    monkeypatch.setattr(S3Store, "read", lambda self, key: read.append(key) or asked(self, key))
    wanted = {"candidate": ANY, "staging": ANY, "production": None}
    records = registry.set_aliases("tiny", wanted, "v1", actor="ann", why="better")
    assert [record["alias"] for record in records] == list(wanted)
    files = [key for key in read if key.startswith("tiny/versions/v1/")]
    assert len(files) == len(set(files)) >= len(list(bundle.iterdir()))
    assert registry.aliases("tiny") == dict.fromkeys(wanted, "v1")


def test_facts_are_added_and_the_newest_is_given(registry: Registry, bundle: Path) -> None:
    registry.publish("tiny", bundle)
    for digest in ("sha256:1", "sha256:2", "sha256:2"):
        registry.record_fact("tiny", "v1", "image_digest", digest)
    assert registry.facts("tiny", "v1") == {"image_digest": "sha256:2"}
    assert move(registry, "v1")["image_digest"] == "sha256:2"


def test_a_version_is_downloaded_once_and_a_damaged_download_replaced(
    registry: Registry, bundle: Path, tmp_path: Path
) -> None:
    registry.publish("tiny", bundle)
    fetched = registry.fetch("tiny", "v1")
    assert fetched.is_relative_to(tmp_path / "cache")
    made = (fetched / "model.onnx").stat().st_mtime_ns
    assert registry.fetch("tiny", "v1") == fetched
    assert (fetched / "model.onnx").stat().st_mtime_ns == made
    (fetched / "model.onnx").write_bytes(b"other")
    assert registry.fetch("tiny", "v1") == fetched
    assert (fetched / "model.onnx").read_bytes() == (bundle / "model.onnx").read_bytes()


def test_a_changed_object_is_named_before_an_alias_moves(
    registry: Registry, location: str, s3: Any, bundle: Path
) -> None:
    registry.publish("tiny", bundle)
    registry.fetch("tiny", "v1")  # a whole copy in the cache does not hide it
    key = key_of(location, "tiny/versions/v1/golden.json")
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"[]")
    with pytest.raises(BundleError, match=r"s3://.*/v1/golden\.json: the file was changed"):
        move(registry, "v1")
    s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(BundleError, match=r"s3://.*/v1/golden\.json: the file is missing"):
        move(registry, "v1")
    assert registry.aliases("tiny") == {}
    assert registry.audit("tiny") == []


def test_a_hand_edited_manifest_is_named(
    registry: Registry, location: str, s3: Any, bundle: Path
) -> None:
    registry.publish("tiny", bundle)
    key = key_of(location, "tiny/versions/v1/manifest.json")
    body = (bundle / "manifest.json").read_bytes().replace(b'"abc"', b'"abd"')
    s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    for call in (registry.fetch, registry.manifest):
        with pytest.raises(BundleError, match=r"s3://.*manifest\.json: the file was changed"):
            call("tiny", "v1")


def test_a_newer_format_is_refused(
    registry: Registry, location: str, s3: Any, bundle: Path
) -> None:
    newer = seal_document({}).replace(b'"format": 1', b'"format": 2')
    s3.put_object(Bucket=BUCKET, Key=key_of(location, "registry.json"), Body=newer)
    with pytest.raises(StoreError, match=r"of format 2, and this version .* reads format 1"):
        registry.publish("tiny", bundle)
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix=key_of(location, ""))["KeyCount"] == 1


def test_an_unknown_version_bucket_and_address_are_named(registry: Registry, bundle: Path) -> None:
    registry.publish("tiny", bundle)
    with pytest.raises(ConfigError, match=r"no version 'v2'; it has \['v1'\]"):
        move(registry, "v2")
    with pytest.raises(ConfigError, match="no production yet"):
        registry.resolve("tiny", "production")
    with pytest.raises(StoreError, match=r"s3://nobody/x/.*there is no such bucket; create it"):
        open_registry("s3://nobody/x").versions("tiny")
    for bucket in ("", "a b", "A"):
        with pytest.raises(ConfigError, match=f"'{bucket}' is no bucket's name"):
            open_registry(f"s3://{bucket}/x")


def test_a_wrong_endpoint_is_one_sentence(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost")
    with pytest.raises(ConfigError, match=r"Invalid endpoint: localhost\); check AWS_ENDPOINT_URL"):
        registry.versions("tiny")


def test_a_registry_may_lie_at_the_top_of_its_bucket(endpoint: str, bundle: Path) -> None:
    client(endpoint).create_bucket(Bucket="whole")
    registry = open_registry("s3://whole")
    assert registry.publish("tiny", bundle) == "v1"
    assert registry.problems() == ["tiny"]


def test_many_versions_are_listed_page_by_page(
    registry: Registry, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        registry.publish("tiny", bundle)
    monkeypatch.setattr("tabular.stores.s3.PAGE_KEYS", 4)
    assert registry.versions("tiny") == ["v1", "v2", "v3"]


def test_a_folder_registry_is_opened_without_boto3(tmp_path: Path, bundle: Path) -> None:
    code = (
        "import sys; from tabular.registry import open_registry; "
        f"open_registry({str(tmp_path / 'r')!r}).versions('tiny'); "
        "sys.exit('botocore' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
