"""The registry through an S3 that is busy, breaks off, truncates, corrupts, refuses or is away."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tabular.errors import StoreError
from tabular.registry import Registry, open_registry
from tabular.stores.s3 import ATTEMPTS_FOR_S, READ_TIMEOUT_S
from tests.faults.s3_proxy import Fault, Proxy, faulty
from tests.s3 import BUCKET, client, credentials, free_port, moto
from tests.unit.tiny import write_tiny


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto() as address:
        client(address).create_bucket(Bucket=BUCKET)
        yield address


@pytest.fixture
def proxy(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with faulty(endpoint) as between:
        for name, value in credentials(between.address).items():
            monkeypatch.setenv(name, value)
        yield between


@pytest.fixture
def location(request: pytest.FixtureRequest) -> str:
    return f"s3://{BUCKET}/{abs(hash(request.node.nodeid))}"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "bundle").path


@pytest.fixture
def registry(proxy: Proxy, location: str, bundle: Path, tmp_path: Path) -> Registry:
    """A registry with v1 in production."""
    registry = open_registry(location, tmp_path / "cache")
    move(registry, registry.publish("tiny", bundle))
    return registry


def move(registry: Registry, version: str, **more: Any) -> dict[str, Any]:
    return registry.set_alias("tiny", "production", version, actor="ann", why="", **more)


def state(registry: Registry) -> tuple[list[str], str | None, list[tuple[str, str]]]:
    """Versions, production, and the audit."""
    audit = [(record["to"], record["refused"]) for record in registry.audit("tiny")]
    return registry.versions("tiny"), registry.alias("tiny", "production"), audit


FAULTS = [
    *[("busy", "PUT", path) for path in ("claim", "model.onnx", "manifest", "audit", "aliases")],
    *[("busy", "GET", path) for path in ("list-type", "manifest", "model.onnx", "aliases")],
    *[("reset", "PUT", path) for path in ("claim", "model.onnx", "manifest", "audit", "aliases")],
    *[("reset", "GET", path) for path in ("list-type", "model.onnx", "aliases")],
    *[("truncate", "GET", path) for path in ("list-type", "manifest", "model.onnx", "aliases")],
    *[("corrupt", "GET", path) for path in ("manifest", "model.onnx", "aliases", "audit")],
]


@pytest.mark.parametrize(("kind", "method", "path"), FAULTS)
def test_a_fault_that_comes_twice_changes_nothing_of_the_outcome(
    registry: Registry, proxy: Proxy, bundle: Path, kind: str, method: str, path: str
) -> None:
    proxy.faults.append(Fault(kind, method, path, times=2))
    assert registry.publish("tiny", bundle) == "v2"
    move(registry, "v2", expected="v1")
    fetched = registry.fetch("tiny", registry.resolve("tiny", "production"))
    assert (fetched / "model.onnx").read_bytes() == (bundle / "model.onnx").read_bytes()
    assert state(registry) == (["v1", "v2"], "v2", [("v1", ""), ("v2", "")])
    assert proxy.struck == [kind, kind]


def test_a_move_whose_answer_never_came_says_so_and_shows_in_the_audit(
    registry: Registry, proxy: Proxy, bundle: Path
) -> None:
    registry.publish("tiny", bundle)
    fault = Fault("reset", "PUT", "aliases", times=99)
    proxy.faults.append(fault)
    with pytest.raises(StoreError, match="Whether the last write arrived is not known"):
        move(registry, "v2")
    fault.times = 0
    assert state(registry) == (["v1", "v2"], "v2", [("v1", ""), ("v2", "")])


def test_a_busy_store_is_one_sentence_and_nothing_has_changed(
    registry: Registry, proxy: Proxy
) -> None:
    proxy.faults.append(Fault("busy", "GET", times=99))
    with pytest.raises(StoreError, match=r"out of order \(503 SlowDown\).*Nothing was"):
        registry.alias("tiny", "production")


def test_an_object_that_is_corrupt_each_time_is_named(registry: Registry, proxy: Proxy) -> None:
    proxy.faults.append(Fault("corrupt", "GET", "aliases", times=99))
    with pytest.raises(StoreError, match=r"production\.json: .*damaged or was changed by hand"):
        registry.alias("tiny", "production")


def test_a_store_that_knows_no_conditions_is_refused_each_time(
    proxy: Proxy, location: str, bundle: Path
) -> None:
    proxy.faults.append(Fault("naive", "PUT", times=99))
    registry = open_registry(location)
    for call in (registry.check_publishable, lambda name: registry.publish(name, bundle)) * 2:
        with pytest.raises(StoreError, match=r"does not know If-None-Match.*No version was"):
            call("tiny")
    assert registry.versions("tiny") == []


def test_an_alias_is_one_get_of_at_most_1_kb(registry: Registry, proxy: Proxy) -> None:
    proxy.requests.clear()
    assert registry.alias("tiny", "production") == "v1"
    ((method, path),) = proxy.requests
    assert (method, path.rpartition("/")[-1]) == ("GET", "production.json")


@pytest.mark.parametrize("call", ["alias", "versions", "promote", "publish"])
def test_a_store_that_is_away_is_one_sentence(
    location: str, bundle: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    for name, value in credentials(f"http://127.0.0.1:{free_port()}").items():
        monkeypatch.setenv(name, value)
    registry = open_registry(location)
    calls = {
        "alias": lambda: registry.alias("tiny", "production"),
        "versions": lambda: registry.versions("tiny"),
        "promote": lambda: move(registry, "v1"),
        "publish": lambda: registry.publish("tiny", bundle),
    }
    with pytest.raises(StoreError, match=r"cannot be reached .*AWS_ENDPOINT_URL.*Nothing was"):
        calls[call]()


def test_a_silent_store_is_one_sentence_within_10_seconds(registry: Registry, proxy: Proxy) -> None:
    silence = Fault("silence", "GET", times=99)
    proxy.faults.append(silence)
    with pytest.raises(StoreError, match="the store gives no answer"):
        registry.alias("tiny", "production")
    # By its own limits, not by this machine's clock, which a neighbour can stop.
    assert ATTEMPTS_FOR_S + READ_TIMEOUT_S < 10
    assert 1 <= 99 - silence.times <= 1 + ATTEMPTS_FOR_S // READ_TIMEOUT_S


@pytest.fixture
def reader(
    location: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Registry]:
    """A registry with v1, opened by a user whom IAM lets read only."""
    with moto() as address:
        for name, value in credentials(address).items():
            monkeypatch.setenv(name, value)
        client(address).create_bucket(Bucket=BUCKET)
        open_registry(location).publish("tiny", bundle)
        key = make_reader(address)
        enforce_iam(address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        yield open_registry(location, tmp_path / "cache")


def make_reader(address: str) -> dict[str, str]:
    iam = boto3.client("iam", endpoint_url=address, region_name="us-east-1")
    iam.create_user(UserName="reader")
    allowed = [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}]
    document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=document)
    return dict(iam.create_access_key(UserName="reader")["AccessKey"])


def enforce_iam(address: str) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    plain = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{address}/moto-api/reset-auth", b"0", plain)
    direct.open(request).close()


def test_a_read_only_bucket_is_one_sentence_and_can_be_read(reader: Registry, bundle: Path) -> None:
    needs = r"no right to this \(AccessDenied\); .* s3:PutObject .* Nothing was changed"
    for call in (
        lambda: reader.check_publishable("tiny"),
        lambda: reader.publish("tiny", bundle),
        lambda: move(reader, "v1"),
    ):
        with pytest.raises(StoreError, match=needs):
            call()
    assert state(reader) == (["v1"], None, [])
    assert reader.fetch("tiny", "v1").name == "v1"


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_one_sentence_without_them(
    reader: Registry, location: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "WRONG")
    with pytest.raises(StoreError, match="does not accept the credentials") as refused:
        open_registry(location).versions("tiny")
    assert "WRONG" not in str(refused.value)


def test_no_credentials_are_one_sentence(
    location: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in credentials(endpoint).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="there are no AWS credentials; set AWS_ACCESS_KEY_ID"):
        open_registry(location).versions("tiny")
