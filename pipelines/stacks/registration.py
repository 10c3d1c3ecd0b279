"""A stack in ZenML's store as its definition says: made once, brought up to date ever after."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import IntegrityError
from zenml.constants import ENV_ZENML_ACTIVE_STACK_ID
from zenml.enums import StackComponentType
from zenml.exceptions import EntityExistsError

from pipelines.model_registry_flavor import NAME as OUR_FLAVOR
from pipelines.stacks.definition import Component, StackDefinition, secret_values
from tabular.errors import ConfigError

OUR_FLAVOR_SOURCE = "pipelines.model_registry_flavor.RegistryFlavor"
# ZenML makes these itself, and lets nobody change them.
DEFAULT = "default"


@contextmanager
def running_on(stack: StackDefinition, client: Any, environ: Mapping[str, str]) -> Iterator[None]:
    """Let this process run on the stack; the next command without `--stack` is local again."""
    before = os.environ.get(ENV_ZENML_ACTIVE_STACK_ID)
    os.environ[ENV_ZENML_ACTIVE_STACK_ID] = register_stack(stack, client, environ)
    try:
        yield
    finally:
        del os.environ[ENV_ZENML_ACTIVE_STACK_ID]
        if before is not None:
            os.environ[ENV_ZENML_ACTIVE_STACK_ID] = before


def register_stack(stack: StackDefinition, client: Any, environ: Mapping[str, str]) -> str:
    """Make the stack, or bring it up to date; its id in ZenML's store.

    Raises:
        ConfigError: ZenML refuses a component. What this call had made is taken back.
    """
    made: list[Callable[[], object]] = []
    while True:
        try:
            return str(_register(stack, client, environ, made).id)
        except (EntityExistsError, IntegrityError):
            continue  # another process was quicker by one part, which is found now
        except Exception as error:  # each of ZenML's stores and flavors raises its own
            for undo in reversed(made):
                undo()
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ConfigError(
                f"--stack {stack.name}: ZenML refuses it ({reason}); mend "
                f"configs/stacks/{stack.name}.yaml or what it names. Nothing was registered."
            ) from error


def _register(
    stack: StackDefinition,
    client: Any,
    environ: Mapping[str, str],
    made: list[Callable[[], object]],
) -> Any:
    secrets = {name: values for name, values in secret_values(stack, environ).items() if values}
    kept = [_keep_secret(client, name, values, made) for name, values in secrets.items()]
    components = {}
    for kind, part in stack.components.items():
        if part.flavor == OUR_FLAVOR:
            _know_our_flavor(client)
        components[StackComponentType(kind)] = _component(client, stack.name, kind, part, made)
    found = client.list_stacks(name=stack.name).items
    if not found:
        found = [client.create_stack(stack.name, components)]
        made.append(lambda: client.delete_stack(found[0].id))
    # In a call of its own: ZenML rolls all of an update back where a secret was linked before.
    client.update_stack(found[0].id, add_secrets=kept)
    return client.update_stack(
        found[0].id,
        component_updates={kind: [id_] for kind, id_ in components.items()},
        environment=stack.environment,
    )


def _component(
    client: Any, stack: str, kind: str, part: Component, made: list[Callable[[], object]]
) -> Any:
    """The id of the component, as the definition says it."""
    type_ = StackComponentType(kind)
    if part.flavor == "local" and not part.settings and kind in ("orchestrator", "artifact_store"):
        return client.get_stack_component(type_, DEFAULT, allow_name_prefix_match=False).id
    name = f"{stack}-{part.flavor}"
    found = client.list_stack_components(type=kind, name=name).items
    if not found:
        new = client.create_stack_component(name, part.flavor, type_, part.settings)
        made.append(lambda: client.delete_stack_component(new.id, type_))
        return new.id
    present = found[0].configuration
    if present != part.settings:
        gone = dict.fromkeys(present.keys() - part.settings.keys())
        client.update_stack_component(found[0].id, type_, configuration={**part.settings, **gone})
    return found[0].id


def _keep_secret(
    client: Any, name: str, values: dict[str, str], made: list[Callable[[], object]]
) -> Any:
    """The id of the secret, with these values."""
    if found := client.list_secrets(name=name).items:
        return client.update_secret(found[0].id, add_or_update_values=values).id
    new = client.create_secret(name, values)
    made.append(lambda: client.delete_secret(str(new.id)))
    return new.id


def _know_our_flavor(client: Any) -> None:
    kind = StackComponentType.MODEL_REGISTRY
    if not client.list_flavors(name=OUR_FLAVOR, type=kind).items:
        client.create_flavor(OUR_FLAVOR_SOURCE, kind)
