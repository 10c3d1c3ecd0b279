"""The service's routes, from the OpenAPI parts and the route table that it answers by."""

from __future__ import annotations

from typing import Any

from docs.generator.tables import code, json_block, table
from service import openapi
from service.settings import DEFAULT_PROBLEM, ROOT
from tabular.bundle import ServedContract
from tabular.decision import Decision
from tabular.problem import Problem, load_problem

INTRODUCTION = """A running service describes itself with the columns of its own problem:
`GET /docs` for people, `GET /openapi.json` for programs."""
DECISIONS = {
    "binary": Decision(task="binary", classes=("no", "yes"), positive=1, threshold=0.5),
    "multiclass": Decision(task="multiclass", classes=("a", "b", "c")),
    "regression": Decision(task="regression", unit="minutes", interval_level=0.9),
}


def api_page() -> str:
    """Routes, what a record holds, and what an answer holds."""
    problem = load_problem(DEFAULT_PROBLEM, ROOT / "configs" / "problems")
    return "\n\n".join(
        [
            "# HTTP API",
            INTRODUCTION,
            table(("route", "what it answers", "statuses"), _routes()),
            "## A record",
            f"As in the problem `{problem.name}`: the columns, in contract order.",
            table(("column", "type", "meaning", "allowed"), _record(problem)),
            *(part for task in DECISIONS for part in _answer(task)),
            "## A refusal",
            json_block(_example(openapi.ERROR)),
            table(("status", "meaning"), openapi.REFUSALS.items()),
        ]
    )


# Routes that the document leaves out, because pages and operators use them.
OTHERS = {
    "GET /": ("The page: a form, the answer, and what moved it", "200"),
    "GET /docs": ("The interactive documentation", "200, 503"),
    "GET /openapi.json": ("The OpenAPI 3.1 document of the version that serves", "200, 503"),
    "GET /versions": ("Versions, their metrics and verdicts", "200"),
    "POST /explain": ("What moved the answer to one record", "200, 400, 413, 415, 422, 503"),
    "POST /labels": (
        "Take what turned out to be true; needs `BENTOLINE_TOKEN`",
        "200, 401, 415, 422, 503",
    ),
    "POST /train": ("Start a training run; needs `BENTOLINE_TOKEN`", "202, 401, 409"),
    "GET /train/ID": ("The state of that run, and the end of what it printed", "200, 401, 404"),
}


def _routes() -> list[tuple[str, str, str]]:
    paths: dict[str, Any] = {**openapi.predict_path({}, {}), **openapi.other_paths()}
    described = [
        (code(f"{method.upper()} {path}"), one["summary"], ", ".join(one["responses"]))
        for path, methods in paths.items()
        for method, one in methods.items()
    ]
    return described + [(code(route), *words) for route, words in OTHERS.items()]


def _record(problem: Problem) -> list[tuple[str, str, str, str]]:
    schema = openapi.record_schema(ServedContract(contract=problem.contract, features=()))
    return [
        (code(name), _kind(one), one["description"], _allowed(one))
        for name, one in schema["properties"].items()
    ]


def _answer(task: str) -> tuple[str, str]:
    schema = openapi.answer_schema(DECISIONS[task])
    rows = [
        (code(name), _kind(one), one.get("description"))
        for name, one in schema["properties"].items()
    ]
    return f"## An answer, task {task}", table(("key", "type", "meaning"), rows)


def _kind(schema: dict[str, Any]) -> str:
    kind = schema["type"]
    return kind if isinstance(kind, str) else " or ".join(kind)


def _allowed(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(code(one) for one in schema["enum"] if one is not None)
    low, high = schema.get("minimum"), schema.get("maximum")
    ends = [f"≥ {low:g}" if low is not None else "", f"≤ {high:g}" if high is not None else ""]
    return ", ".join(filter(None, ends))


def _example(schema: dict[str, Any]) -> Any:
    """A value that the schema describes, with its keys and no more."""
    if schema["type"] == "object":
        return {key: _example(one) for key, one in schema["properties"].items()}
    if schema["type"] == "array":
        return [_example(schema["items"])]
    return {"string": "…", "integer": 0}[schema["type"]]
