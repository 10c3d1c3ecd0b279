"""A stack as `configs/stacks/NAME.yaml` names it: infrastructure only, no parameter, no secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from tabular.contract import Frozen
from tabular.errors import ConfigError, did_you_mean

ComponentType = Literal[
    "orchestrator",
    "artifact_store",
    "container_registry",
    "image_builder",
    "experiment_tracker",
    "model_registry",
    "step_operator",
]
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)(?::-([^}]*))?\}")
_SECRET = re.compile(r"\{\{\s*([\w-]+)\.([\w-]+)\s*\}\}")


class Component(Frozen):
    """One part of a stack, in the words of its ZenML flavor."""

    flavor: str
    settings: dict[str, Any] = Field(default_factory=dict)


class StackDefinition(Frozen):
    """`needs` are the variables that must be set, and what for; `secrets` those that may be.

    A step that runs elsewhere has the secrets' variables and those of `environment`. What is
    nothing but an unset variable or secret is left out, so that the flavor's own default holds.
    """

    name: str
    description: str
    needs: dict[str, str] = Field(default_factory=dict)
    secrets: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    components: dict[ComponentType, Component]


def stack_names(folder: Path) -> list[str]:
    """The stacks that a folder defines."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_stack(name: str, folder: Path, environ: Mapping[str, str]) -> StackDefinition:
    """Read `folder/NAME.yaml`, its variables filled in.

    Raises:
        ConfigError: There is no such stack, the file is wrong, or a variable that it needs is
            not set.
    """
    names = stack_names(folder)
    if name not in names:
        raise ConfigError(
            f"--stack: there is no stack '{name}'{did_you_mean(name, names)}; "
            f"{folder} has {', '.join(names) or 'none'}."
        )
    path = folder / f"{name}.yaml"
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        stack = StackDefinition.model_validate({"name": name, **raw})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {place}: {first['msg']}; mend that key.") from error
    except (yaml.YAMLError, TypeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: this is not YAML with keys and values; mend it.") from error
    if missing := [name for name in stack.needs if not environ.get(name)]:
        what = "; ".join(f"{name} ({stack.needs[name]})" for name in missing)
        raise ConfigError(f"--stack {name}: the environment lacks {what}. Set it, and run again.")
    return _filled(stack, environ)


def secret_values(stack: StackDefinition, environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """By ZenML secret: the values that the environment holds."""
    return {
        secret: {name: environ[name] for name in names if environ.get(name)}
        for secret, names in stack.secrets.items()
    }


def _filled(stack: StackDefinition, environ: Mapping[str, str]) -> StackDefinition:
    known = {(s, key) for s, values in secret_values(stack, environ).items() for key in values}

    def fill(value: Any) -> Any:
        """The value with its variables; None where nothing is left of it."""
        if isinstance(value, dict):
            parts = {key: fill(part) for key, part in value.items()}
            return {key: part for key, part in parts.items() if part is not None} or None
        if isinstance(value, list):
            return [part for part in map(fill, value) if part is not None] or None
        if not isinstance(value, str):
            return value
        if any(reference not in known for reference in _SECRET.findall(value)):
            return None
        text = _VARIABLE.sub(lambda found: environ.get(found[1]) or found[2] or "", value)
        return text or None

    components = {
        kind: Component(flavor=part.flavor, settings=fill(part.settings) or {})
        for kind, part in stack.components.items()
    }
    environment = fill(stack.environment) or {}
    return stack.model_copy(update={"components": components, "environment": environment})
