"""A stack's file: variables filled in, what is unset left out, what is wrong said."""

from pathlib import Path

import pytest

from pipelines.stacks.definition import load_stack, secret_values
from tabular.errors import ConfigError

ROOT = Path(__file__).parents[2]
STACKS = ROOT / "configs" / "stacks"
PLACES = {"BENTOLINE_ARTIFACTS": "s3://a/zenml", "BENTOLINE_REGISTRY": "s3://a/registry"}


CLUSTER = {
    **PLACES,
    "BENTOLINE_KUBERNETES_CONTEXT": "mine",
    "BENTOLINE_CONTAINER_REGISTRY": "1.dkr.ecr.eu-west-1.amazonaws.com",
    "BENTOLINE_HOME": "/shared",
}


def test_every_shipped_stack_can_be_read():
    environ = {**CLUSTER, "MLFLOW_TRACKING_URI": "http://localhost:5000"}
    names = [path.stem for path in STACKS.glob("*.yaml")]
    stacks = [load_stack(name, STACKS, environ) for name in names]
    assert {"local", "aws", "mlflow", "docker", "kubernetes"} <= {stack.name for stack in stacks}
    assert all({"orchestrator", "artifact_store"} <= stack.components.keys() for stack in stacks)


def test_unset_variables_and_secrets_are_left_out():
    settings = load_stack("aws", STACKS, PLACES).components["artifact_store"].settings
    assert settings == {"path": "s3://a/zenml"}


def test_variables_are_filled_in_lists_too():
    stack = load_stack("kubernetes", STACKS, CLUSTER)
    pods = stack.components["orchestrator"].settings["pod_settings"]
    assert pods["volume_mounts"] == [{"name": "home", "mountPath": "/shared"}]
    assert pods["volumes"] == [
        {"name": "home", "persistentVolumeClaim": {"claimName": "bentoline-home"}}
    ]


def test_secrets_stay_references():
    environ = {**PLACES, "AWS_ACCESS_KEY_ID": "AKIA", "AWS_ENDPOINT_URL": "http://localhost:9"}
    stack = load_stack("aws", STACKS, environ)
    settings = stack.components["artifact_store"].settings
    assert settings["key"] == "{{bentoline-aws.AWS_ACCESS_KEY_ID}}"
    assert settings["client_kwargs"] == {"endpoint_url": "http://localhost:9"}
    assert "AKIA" not in stack.model_dump_json()
    assert secret_values(stack, environ) == {"bentoline-aws": {"AWS_ACCESS_KEY_ID": "AKIA"}}


def test_the_nearest_name_of_an_unknown_stack():
    with pytest.raises(ConfigError, match=r"no stack 'awss' \(did you mean 'aws'\?\).*local"):
        load_stack("awss", STACKS, {})


def test_all_that_the_environment_lacks():
    with pytest.raises(ConfigError, match=r"BENTOLINE_ARTIFACTS \(where.*; BENTOLINE_REGISTRY"):
        load_stack("aws", STACKS, {})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("description: x\ncomponents: {orchestra: {flavor: local}}", "components.orchestra"),
        ("description: x\ncomponents: {}\nparameters: {}", "parameters"),
        ("description: [", "not YAML"),
        ("just words", "not YAML"),
    ],
)
def test_what_is_wrong_in_a_file(tmp_path, text, place):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=place):
        load_stack("mine", tmp_path, {})
