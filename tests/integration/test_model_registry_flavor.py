"""The registry as a component of a ZenML stack, through ZenML's own commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tabular.errors import ConfigError
from tabular.registry import open_registry
from tests.unit.published import BAD, GOOD
from tests.unit.test_signatures import make_keys

Invoke = Callable[..., Any]


@pytest.fixture
def location(tmp_path: Path) -> Path:
    """A registry with three versions: good, bad, good."""
    from tests.unit.published import Published

    published = Published(tmp_path, None)  # type: ignore[arg-type]
    for gates in (GOOD, BAD, GOOD):
        published.add(gates)
    published.registry.set_alias("tiny", "production", "v1", actor="test", why="first")
    return tmp_path / "registry"


@pytest.fixture
def zenml(home: Path, location: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """ZenML's command line on a stack that names the registry as its component."""
    from click.testing import CliRunner
    from zenml.cli.cli import cli
    from zenml.client import Client
    from zenml.enums import StackComponentType

    client = Client()
    try:
        client.get_flavor_by_name_and_type("bentoline", StackComponentType.MODEL_REGISTRY)
    except KeyError:
        client.create_flavor(
            "pipelines.model_registry_flavor.RegistryFlavor", StackComponentType.MODEL_REGISTRY
        )
    name = location.parent.name
    client.create_stack_component(
        name, "bentoline", StackComponentType.MODEL_REGISTRY, {"location": str(location)}
    )
    stack = client.create_stack(
        name,
        {
            StackComponentType.ORCHESTRATOR: "default",
            StackComponentType.ARTIFACT_STORE: "default",
            StackComponentType.MODEL_REGISTRY: name,
        },
    )
    monkeypatch.setenv("ZENML_ACTIVE_STACK_ID", str(stack.id))
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: str) -> Any:
        return CliRunner().invoke(cli, ["model-registry", "models", *arguments])

    return invoke


def test_zenml_lists_our_models_and_versions(zenml: Invoke) -> None:
    listed = zenml("list")
    assert listed.exit_code == 0, listed.output
    assert "tiny" in listed.output
    versions = zenml("list-versions", "tiny").output
    assert versions.index("v3") < versions.index("v2") < versions.index("v1")
    one = zenml("get-version", "tiny", "-v", "v1").output
    assert "Production" in one
    assert "tiny/versions/v1" in one
    assert "v4 does not exist" in zenml("get-version", "tiny", "-v", "v4").output


def test_versions_are_filtered_by_stage_date_and_count(zenml: Invoke, location: Path) -> None:
    from datetime import datetime

    from zenml.client import Client
    from zenml.model_registries.base_model_registry import ModelVersionStage

    component = Client().active_stack.model_registry
    assert component is not None

    def named(**asked: Any) -> list[str]:
        return [found.version for found in component.list_model_versions("tiny", **asked)]

    assert named(stage=ModelVersionStage.PRODUCTION) == ["v1"]
    assert named(count=2) == ["v3", "v2"]
    assert named(order_by_date="asc") == ["v1", "v2", "v3"]
    assert named(created_after=datetime(2027, 1, 1)) == []
    assert named(model_source_uri=f"{location}/tiny/versions/v2") == ["v2"]
    assert [model.name for model in component.list_models(metadata={"production": "v2"})] == []
    record = {"age": 30, "fee": 1.5, "city": "Delhi", "opened": "09:30"}
    assert component.load_model_version("tiny", "v1").predict_records([record]).labels is not None
    with pytest.raises(ConfigError, match=r"run\.py --train"):  # ZenML's command for it is broken
        component.register_model_version("tiny", "v9", model_source_uri="x")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("delete", "tiny", "-y"), "never deleted"),
        (("delete-version", "tiny", "-v", "v1", "-y"), "never deleted"),
        (("register", "new"), "run.py --train"),
        (("update", "tiny", "-d", "x"), "problem's YAML"),
        (("update-version", "tiny", "-v", "v1", "-m", "a", "b"), "never changed"),
        (("update-version", "tiny", "-v", "v1", "-s", "Archived"), "run.py --rollback"),
        (("update-version", "tiny", "-v", "v2", "-s", "Production"), "f1 of staging is 0.7"),
    ],
)
def test_what_would_break_the_registrys_promises_is_refused(
    zenml: Invoke, location: Path, arguments: tuple[str, ...], said: str
) -> None:
    before = open_registry(str(location)).audit("tiny")
    done = zenml(*arguments)
    assert done.exit_code == 1
    assert said in str(done.exception)
    assert "Nothing was changed" in str(done.exception)
    assert open_registry(str(location)).versions("tiny") == ["v1", "v2", "v3"]
    assert open_registry(str(location)).audit("tiny") == before


def test_unsigned_version_is_not_promoted_through_zenml_where_a_public_key_asks(
    zenml: Invoke, location: Path
) -> None:
    from zenml.client import Client
    from zenml.enums import StackComponentType

    _, public = make_keys(location.parent / "keys")
    Client().update_stack_component(
        location.parent.name,
        StackComponentType.MODEL_REGISTRY,
        configuration={"public_key": str(public)},
    )
    done = zenml("update-version", "tiny", "-v", "v3", "-s", "Production")
    assert "signature is missing" in str(done.exception)
    assert open_registry(str(location)).alias("tiny", "production") == "v1"


def test_stage_set_through_zenml_is_a_promotion_with_an_audit(
    zenml: Invoke, location: Path
) -> None:
    done = zenml("update-version", "tiny", "-v", "v3", "-s", "Production", "-d", "it is better")
    assert done.exit_code == 0, done.output
    registry = open_registry(str(location))
    assert registry.alias("tiny", "production") == "v3"
    assert registry.audit("tiny")[-1]["why"] == "it is better"
