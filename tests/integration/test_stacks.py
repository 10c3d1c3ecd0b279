"""Stacks in a real ZenML store, and a run whose artifacts and versions go to S3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.stacks.definition import StackDefinition, load_stack
from tabular.errors import ConfigError
from tests.integration.conftest import Outcome
from tests.integration.zenml_server import zenml_server
from tests.s3 import client as s3_client
from tests.s3 import credentials, moto

SECRET = "s3cret-key-of-nobody"  # noqa: S105  # looked for where it must not be


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with moto() as address:
        s3_client(address).create_bucket(Bucket="shelf")
        yield address


@pytest.fixture
def environ(s3: str) -> dict[str, str]:
    places = {
        "BENTOLINE_ARTIFACTS": "s3://shelf/zenml",
        "BENTOLINE_REGISTRY": "s3://shelf/registry",
    }
    return {**credentials(s3), **places, "AWS_SECRET_ACCESS_KEY": SECRET}


@pytest.fixture
def zenml(home: Path) -> Any:
    from pipelines.store import open_client

    return open_client()


@pytest.fixture
def define(tmp_path: Path, environ: dict[str, str]) -> Callable[..., StackDefinition]:
    """A stack of a name of its own, with other components than the shipped one where given."""

    def defined(name: str, **components: Any) -> StackDefinition:
        raw = yaml.safe_load(Path("configs/stacks/aws.yaml").read_text())
        raw["components"].update(components)
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(raw))
        return load_stack(name, tmp_path, environ)

    return defined


def register(stack: StackDefinition, zenml: Any, environ: dict[str, str]) -> Any:
    from pipelines.stacks.registration import register_stack

    return zenml.get_stack(register_stack(stack, zenml, environ))


def settings_of(stack: Any, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        parts[0].configuration for type_, parts in stack.components.items() if type_ == kind
    )
    return found


def test_a_stack_is_registered_once_and_brought_up_to_date(
    define: Callable[..., StackDefinition], zenml: Any, environ: dict[str, str]
) -> None:
    first = register(define("once"), zenml, environ)
    moved = {"flavor": "s3", "settings": {"path": "s3://shelf/elsewhere"}}
    second = register(define("once", artifact_store=moved), zenml, environ)
    assert second.id == first.id
    assert settings_of(second, "artifact_store") == {"path": "s3://shelf/elsewhere"}
    assert len(zenml.list_stack_components(name="once-s3").items) == 1


def test_a_component_that_is_gone_comes_back(
    define: Callable[..., StackDefinition], zenml: Any, environ: dict[str, str]
) -> None:
    from zenml.enums import StackComponentType

    stack = register(define("half"), zenml, environ)
    zenml.update_stack(stack.id, component_updates={StackComponentType.MODEL_REGISTRY: []})
    zenml.delete_stack_component("half-bentoline", StackComponentType.MODEL_REGISTRY)
    again = register(define("half"), zenml, environ)
    assert settings_of(again, "model_registry") == {"location": "s3://shelf/registry"}


def test_nothing_of_a_refused_stack_stays(
    define: Callable[..., StackDefinition], zenml: Any, environ: dict[str, str]
) -> None:
    wrong = {"flavor": "s3", "settings": {"path": "gs://shelf"}}
    with pytest.raises(ConfigError, match=r"--stack refused: ZenML refuses it .*Nothing was"):
        register(define("refused", artifact_store=wrong), zenml, environ)
    assert not zenml.list_stacks(name="refused").items
    assert not zenml.list_stack_components(name="startswith:refused-").items


def test_a_cluster_s_stack_installs_the_lock_and_wants_its_client(
    zenml: Any, environ: dict[str, str], home: Path
) -> None:
    from pipelines.stacks.containers import container_settings

    cluster = {
        "BENTOLINE_KUBERNETES_CONTEXT": "mine",
        "BENTOLINE_CONTAINER_REGISTRY": "1.dkr.ecr.eu-west-1.amazonaws.com",
        "BENTOLINE_HOME": "/shared",
    }
    stack = load_stack("kubernetes", Path("configs/stacks"), {**environ, **cluster})
    root = Path.cwd()
    docker = container_settings(stack, environ, root=root, home=home)["docker"]
    assert docker.requirements == str(root / "requirements.lock")
    assert not docker.skip_build
    if find_spec("kubernetes") is None:
        with pytest.raises(ConfigError, match=r"kubernetes'.*Nothing was registered"):
            register(stack, zenml, environ)
        assert not zenml.list_stack_components(name="startswith:kubernetes-").items
    else:
        pods = settings_of(register(stack, zenml, environ), "orchestrator")["pod_settings"]
        assert pods["volume_mounts"] == [{"name": "home", "mountPath": "/shared"}]


def test_many_at_once_register_one_stack(
    define: Callable[..., StackDefinition], zenml: Any, environ: dict[str, str]
) -> None:
    stack = define("race")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: register(stack, zenml, environ).id, range(4)))
    assert len(set(found)) == 1
    assert len(zenml.list_stack_components(name="race-s3").items) == 1


def test_the_same_model_from_s3_and_its_secret_nowhere(
    train: Callable[..., Outcome],
    s3: str,
    environ: dict[str, str],
    zenml: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Artifacts, registry and versions are in S3; the graph is the local stack's, byte for byte."""
    local = train("iris")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    far = train("iris", "--stack", "aws")
    assert (local.code, far.code) == (0, 0)
    assert far.report["model_sha256"] == local.report["model_sha256"]
    keys = [one["Key"] for one in s3_client(s3).list_objects_v2(Bucket="shelf")["Contents"]]
    assert any(key.startswith("zenml/export_bundle/") for key in keys)
    assert "registry/iris/aliases/production.json" in keys
    store = zenml.zen_store.config.url.removeprefix("sqlite:///")
    assert SECRET.encode() not in Path(store).read_bytes()  # kept encoded at the least
    assert "ZENML_ACTIVE_STACK_ID" not in os.environ


def test_a_run_kept_by_a_server_with_artifacts_in_s3(
    train: Callable[..., Outcome], s3: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """ZenML's own server, a service account's key, S3 for the rest; no store on this machine."""
    near = train("iris")
    report = tmp_path / "far.json"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ZENML_", "BENTOLINE_"))}
    with zenml_server(tmp_path / "server") as server:
        done = subprocess.run(
            [sys.executable, "run.py", "--train", "--problem", "iris", "--stack", "aws",
             "--report", str(report)],
            env={**kept, **environ, "BENTOLINE_HOME": str(tmp_path / "far"),
                 "BENTOLINE_REGISTRY": "s3://shelf/by-server",
                 "ZENML_STORE_URL": server.url, "ZENML_STORE_API_KEY": server.api_key},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        far = json.loads(report.read_text())
        run = server.get(f"/api/v1/runs/{far['run']}")
        stored = server.database.read_bytes()
    assert run["body"]["status"] == "completed"
    assert far["model_sha256"] == near.report["model_sha256"]
    assert SECRET.encode() not in stored
    assert not list((tmp_path / "far").rglob("zenml.db"))
    assert server.api_key not in done.stdout + done.stderr
