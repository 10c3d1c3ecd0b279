"""The keys of a problem's YAML, from the pydantic models and the sentence beside each field."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
import types
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from docs.generator.tables import code, table
from tabular.card import METRIC_WORDS
from tabular.estimators import ESTIMATORS
from tabular.features import DERIVATIONS
from tabular.problem import Problem
from tabular.settings import GATE_FACTS, METRICS

Model = type[BaseModel]

NOT_IN_YAML = {(Problem, "name")}  # the file's own name
WORDS = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Any: "value"}
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "at least"}
INTRODUCTION = """# Problem YAML

One file under `configs/problems/` holds all that a user edits. A key that is not listed here is
refused, with the nearest one that is. A key without a default is needed."""


def config_page() -> str:
    """Every key with its type, limits, default and meaning, part by part."""
    return "\n\n".join(
        [INTRODUCTION, *map(_section, parts().items()), _functions(), _estimators(), _metrics()]
    )


@cache
def parts() -> dict[Model, str]:
    """The models of a YAML, each with the key under which it is met first; the whole is ""."""
    found: dict[Model, str] = {}

    def walk(model: Model, place: str) -> None:
        if model not in found:
            found[model] = place
            for key, field in keys(model):
                for inner, is_named in _models(field.annotation):
                    walk(inner, ".".join(filter(None, [place, key, "NAME" * is_named])))

    walk(Problem, "")
    return found


def keys(model: Model) -> Iterator[tuple[str, FieldInfo]]:
    """The keys that a user may write."""
    return (one for one in model.model_fields.items() if (model, one[0]) not in NOT_IN_YAML)


@cache
def sentences(model: Model) -> dict[str, str]:
    """The sentence below each field, in the model and those that it stands on."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if issubclass(one, BaseModel) and one is not BaseModel:
            tree = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
            body = tree.body if isinstance(tree, ast.ClassDef) else []
            for field, below in pairwise(body):
                if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                    found[field.target.id] = ast.literal_eval(below.value)  # type: ignore[union-attr]
    return found


def _section(part: tuple[Model, str]) -> str:
    model, place = part
    heading = f"## {code(place)}" if place else "## The whole"
    rows = [
        (code(key), _type(field.annotation) + _limits(field), _default(field), _said(model, key))
        for key, field in keys(model)
    ]
    summary = inspect.cleandoc(model.__doc__ or "").replace("\n", " ").partition(". ")[0]
    return f"{heading}\n\n{summary.rstrip('.')}.\n\n" + table(
        ("key", "takes", "default", "meaning"), rows
    )


def _said(model: Model, key: str) -> str:
    return sentences(model).get(key, "").replace("\n", " ")


def _models(annotation: Any) -> Iterator[tuple[Model, bool]]:
    """Models inside a type, and whether each stands under a name that the user chooses."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, False
    is_named = get_origin(annotation) is dict
    for argument in get_args(annotation):
        for model, is_named_deeper in _models(argument):
            yield model, is_named or is_named_deeper


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return ", ".join(code(json.dumps(one).strip('"') or '""') for one in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(one) for one in inner)
    if origin is dict:
        return f"{_type(inner[1])} by name"
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if annotation is type(None):
        return "`null`"
    if annotation in parts():
        place = parts()[annotation]
        return f"[{place}](#{place.replace('.', '').lower()})"
    return WORDS[annotation]


def _limits(field: FieldInfo) -> str:
    limits = [
        f"{sign} {getattr(one, name):,}"
        for one in (*field.metadata, *_annotated(field.annotation))
        for name, sign in SIGNS.items()
        if getattr(one, name, None) is not None
    ]
    return f", {' and '.join(limits)}" if limits else ""


def _annotated(annotation: Any) -> Iterator[Any]:
    """What stands beside a type inside another, such as the limits of a share that may be null."""
    for inner in get_args(annotation):
        if get_origin(inner) is Annotated:
            yield from (
                part for one in inner.__metadata__ for part in getattr(one, "metadata", [one])
            )


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "**needed**"
    if isinstance(default, BaseModel):
        return "its defaults"
    return code(json.dumps(default, ensure_ascii=False)) if default not in ("", (), {}) else ""


def _functions() -> str:
    rows = [
        (code(name), ", ".join(one.reads), ", ".join(one.params), _first_line(one.call))
        for name, one in DERIVATIONS.items()
    ]
    return "## Derived columns\n\nFor `derive.NAME.function`.\n\n" + table(
        ("function", "inputs", "params", "gives"), rows
    )


def _first_line(function: Any) -> str:
    return inspect.cleandoc(function.__doc__ or "").partition("\n")[0]


def _estimators() -> str:
    rows = [
        (
            code(name),
            code(one.classifier),
            code(one.regressor),
            ", ".join(f"`{k}={v}`" for k, v in one.params),
            f"{one.impute}, {one.scale}, {one.encode}",
        )
        for name, one in ESTIMATORS.items()
    ]
    heading = ("name", "for classes", "for regression", "set by us", "impute, scale, encode")
    return "## Estimators\n\nFor `candidates.NAME.estimator`.\n\n" + table(heading, rows)


def _metrics() -> str:
    names = [*dict.fromkeys(name for task in METRICS.values() for name in task)]
    rows = [
        (code(name), *METRIC_WORDS[name], ", ".join(t for t, own in METRICS.items() if name in own))
        for name in names
    ] + [(code(name), *METRIC_WORDS[name], "every task") for name in GATE_FACTS]
    return "## Metrics\n\nFor `gates.metric`.\n\n" + table(
        ("name", "on the card", "what it says", "task"), rows
    )
