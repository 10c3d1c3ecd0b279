"""The OpenAPI 3.1 document: the problem's own columns, and an example that is answered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from service.live import Model
from service.text_forms import text_form
from tabular.bundle import ServedContract
from tabular.contract import Column
from tabular.decision import Decision
from tabular.prediction_log.outcomes import REQUEST_ID
from tabular.records import raw_value

MAX_LISTED = 200

Schema = dict[str, Any]

ERROR: Schema = {
    "type": "object",
    "required": ["error", "request_id"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "details", "n_more"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "details": {
                    "type": "array",
                    "maxItems": 20,
                    "items": {
                        "type": "object",
                        "required": ["row", "column", "value", "allowed"],
                        "properties": {
                            "row": {"type": "integer", "minimum": 0},
                            "column": {"type": "string"},
                            "value": {"type": "string"},
                            "allowed": {"type": "string"},
                        },
                    },
                },
                "n_more": {"type": "integer", "minimum": 0},
            },
        },
        "request_id": {"type": "string"},
    },
}
REFUSALS = {
    "400": "the body is not JSON, CSV or a form, or came too slowly",
    "413": "the body or the list is too long",
    "415": "the content type is not read here",
    "422": "a value breaks the contract; row, column and what is allowed are named",
    "503": "no model, too much is waiting, or no answer in time",
}


def openapi(model: Model, *, takes_labels: bool = False) -> Schema:
    """The document for the version that serves."""
    served = model.predictor.bundle.contract
    manifest, example = model.predictor.bundle.manifest, example_record(model)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": manifest.get("title") or model.problem,
            "version": model.version,
            "description": "Every answer carries X-Request-ID; send your own to keep it.",
        },
        "paths": {
            **predict_path(served.contract.inputs(), example),
            **(labels_path(model) if takes_labels else {}),
            **other_paths(),
        },
        "components": {
            "schemas": {
                "Record": {**record_schema(served), "example": example},
                "Answer": answer_schema(model.predictor.decision),
                "Error": ERROR,
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def record_schema(served: ServedContract) -> Schema:
    """One record: each input column with its type, range, unit and categories."""
    known = {feature.name: feature.categories for feature in served.features}
    inputs = served.contract.inputs()
    return {
        "type": "object",
        "required": list(inputs),
        "additionalProperties": False,
        "properties": {
            name: column_schema(column, known.get(name, ())) for name, column in inputs.items()
        },
    }


def column_schema(column: Column, known: tuple[str, ...]) -> Schema:
    """One column: null where it may be missing; other categories than the known ones are answered.

    Args:
        column: The contract's column.
        known: Categories that the model knows.
    """
    schema: Schema = {"description": _words(column, known)}
    if column.type == "number":
        kind = "integer" if column.integer else "number"
        if column.min is not None and column.out_of_range == "refuse":
            schema["minimum"] = column.min
        if column.max is not None and column.out_of_range == "refuse":
            schema["maximum"] = column.max
    else:
        kind = "string"
    schema["type"] = kind if column.required else [kind, "null"]
    schema |= text_form(column)
    if column.type == "category" and column.unseen == "refuse" and column.categories:
        schema["enum"] = [*column.categories, *([] if column.required else [None])]
    elif known:
        schema["examples"] = list(known[:MAX_LISTED])
    if column.unit:
        schema["x-unit"] = column.unit
    return schema


def _words(column: Column, known: tuple[str, ...]) -> str:
    parts = [column.description, f"in {column.unit}" if column.unit else ""]
    if column.type == "category" and known:
        more = f" and {len(known) - 12} more" if len(known) > 12 else ""
        others = "" if column.unseen == "refuse" else "; others are answered with a warning"
        parts.append(f"one of {', '.join(known[:12])}{more}{others}")
    if column.type == "time":
        parts.append("a time of day, such as 21:55")
    if column.type == "date":
        forms = " or ".join((column.format, *column.other_formats))
        parts.append(f"a date, written {forms}")
    return "; ".join(part for part in parts if part)


def example_record(model: Model) -> dict[str, Any]:
    """A record that holds the contract: the columns' own examples, else the training rows' usual
    values, which are nobody's.
    """
    inputs = model.predictor.contract.inputs()
    return {name: _example(column, model.reference[name]) for name, column in inputs.items()}


def _example(column: Column, usual: str | float) -> str | float | None:
    if column.example is not None:
        value: str | float | None = column.example
    elif column.type == "number" and math.isnan(float(usual)):
        value = None if not column.required else column.min or 0.0
    else:
        value = raw_value(column, usual)
    return int(value) if column.integer and isinstance(value, float) else value


def answer_schema(decision: Decision) -> Schema:
    """One answer."""
    shared: Schema = {
        "model_version": {"type": "string"},
        "request_id": {"type": "string"},
        "warnings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["column", "message"],
                "properties": {"column": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    }
    share = {"type": "number", "minimum": 0, "maximum": 1}
    if decision.task == "regression":
        own: Schema = {
            "prediction": {"type": "number", "description": f"in {decision.unit}"},
            "unit": {"type": "string"},
            "interval": {
                "type": ["array", "null"],
                "items": {"type": "number"},
                "minItems": 2,
                "maxItems": 2,
            },
            "interval_level": {"type": ["number", "null"]},
        }
    else:
        classes = list(decision.classes)
        own = {
            "prediction": {"type": "string", "enum": classes},
            "confidence": share,
            "probabilities": {
                "type": "object",
                "required": classes,
                "properties": dict.fromkeys(classes, share),
            },
            "threshold": {"type": ["number", "null"]},
        }
    properties = {**own, **shared}
    return {"type": "object", "required": list(properties), "properties": properties}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def predict_path(inputs: Mapping[str, Column], example: dict[str, Any]) -> Schema:
    """POST /predict, for these columns."""
    features = {
        "type": "object",
        "required": ["features"],
        "additionalProperties": False,
        "properties": {
            "features": {
                "type": "array",
                "minItems": len(inputs),
                "maxItems": len(inputs),
                "description": f"in this order: {', '.join(inputs)}",
                "items": {"type": ["number", "string", "null"]},
            }
        },
    }
    records = {"type": "array", "minItems": 1, "items": _reference("Record")}
    answer, error = _reference("Answer"), {"application/json": {"schema": _reference("Error")}}
    row = {"anyOf": [answer, _reference("Error")], "description": "Error only with partial=true"}
    form = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
    return {
        "/predict": {
            "post": {
                "summary": "Answer a record, a list of records, or a CSV",
                "operationId": "predict",
                "parameters": [
                    {
                        "name": "partial",
                        "in": "query",
                        "description": "Answer the good rows of a list; bad ones carry their error",
                        "schema": {"type": "boolean", "default": False},
                    }
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {"anyOf": [_reference("Record"), records, features]},
                            "example": example,
                        },
                        "text/csv": {"schema": {"type": "string"}},
                        "multipart/form-data": {"schema": form},
                    },
                },
                "responses": {
                    "200": {
                        "description": "An answer for a record, a list of answers for a list",
                        "content": {
                            "application/json": {
                                "schema": {"anyOf": [answer, {"type": "array", "items": row}]}
                            }
                        },
                    },
                    **{
                        status: {"description": words, "content": error}
                        for status, words in REFUSALS.items()
                    },
                },
            }
        }
    }


def labels_path(model: Model) -> Schema:
    """POST /labels, for this target."""
    decision = model.predictor.decision
    outcome = {"type": ["number", "string"], "description": "the raw value, or the class's name"}
    label = {
        "type": "object",
        "required": ["request_id", "outcome"],
        "properties": {
            "request_id": {"type": "string", "pattern": REQUEST_ID.pattern, "maxLength": 64},
            "row": {"type": "integer", "minimum": 0, "default": 0},
            "outcome": outcome if decision.classes else {"type": "number"},
            "at": {"type": "string", "format": "date-time"},
        },
    }
    counts = {"type": "integer", "minimum": 0}
    answer = {
        "type": "object",
        "required": ["taken", "refused", "details", "request_id"],
        "properties": {
            "taken": counts,
            "refused": counts,
            "details": {"type": "array", "items": {"type": "string"}},
            "request_id": {"type": "string"},
        },
    }
    error = {"application/json": {"schema": _reference("Error")}}
    refusals = {"401": "no token, or another", **REFUSALS}
    return {
        "/labels": {
            "post": {
                "summary": "Say what turned out to be true of answered rows",
                "operationId": "labels",
                "security": [{"token": []}],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {"anyOf": [label, {"type": "array", "items": label}]}
                        }
                    },
                },
                "responses": {
                    "200": {
                        "description": "The good ones are kept",
                        "content": {"application/json": {"schema": answer}},
                    },
                    **{
                        status: {"description": words, "content": error}
                        for status, words in refusals.items()
                    },
                },
            }
        }
    }


def other_paths() -> Schema:
    """What is answered of the service itself."""
    words = {
        "/health": ("Whether a model serves, which, and since when", "application/json"),
        "/livez": ("Whether the process lives", "application/json"),
        "/readyz": ("Whether a verified model serves", "application/json"),
        "/contract": ("The columns, their order, and what each may hold", "application/json"),
        "/model": ("The model card", "text/html"),
        "/metrics": ("Metrics for Prometheus", "text/plain"),
    }
    may_be_absent = {"/health", "/readyz", "/contract", "/model"}
    return {
        path: {
            "get": {
                "summary": summary,
                "operationId": path.strip("/"),
                "responses": {
                    "200": {"description": "It does", "content": {kind: {}}},
                    **(
                        {"503": {"description": "No model serves", "content": {}}}
                        if path in may_be_absent
                        else {}
                    ),
                },
            }
        }
        for path, (summary, kind) in words.items()
    }
