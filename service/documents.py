"""What the service says of itself: health, contract, model card, documentation."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson

from service.errors import RETRY_AFTER
from service.http import HTML, JSON, Answer, Handler, Request, Route, json_answer
from service.live import Live, Model
from service.openapi import example_record, openapi
from service.prediction_log import PredictionLog

DOCS = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>API</title>
<link rel="stylesheet" href="/static_content/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/static_content/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
DOCS_START = b'SwaggerUIBundle({url: "/openapi.json", dom_id: "#docs", deepLinking: true});\n'

RequireModel = Callable[[], Model]


class Documents:
    """Answers about the model of one worker; each is rendered once a version."""

    def __init__(self, live: Live, require_model: RequireModel, log: PredictionLog) -> None:
        self._live = live
        self._require_model = require_model
        self._log = log
        self._started = time.time()
        self._rendered: dict[str, tuple[Model, bytes]] = {}

    def routes(self) -> dict[str, Route]:
        """The routes by path."""
        handlers: dict[str, tuple[str, Handler]] = {
            "/health": ("health", self.health),
            "/livez": ("livez", self.livez),
            "/healthz": ("livez", self.livez),
            "/readyz": ("readyz", self.readyz),
            "/contract": ("contract", self.contract),
            "/model": ("model", self.model_card),
            "/openapi.json": ("openapi", self.openapi),
            "/docs.json": ("openapi", self.openapi),
            "/docs": ("docs", _fixed(DOCS, HTML)),
            "/docs/start.js": ("docs", _fixed(DOCS_START, b"text/javascript")),
        }
        return {path: Route(name, {"GET": handler}) for path, (name, handler) in handlers.items()}

    async def health(self, request: Request) -> Answer:
        """503 while no model serves, with the reason."""
        model = self._live.model
        content = {
            "status": "available" if model else "unavailable",
            "model_loaded": model is not None,
            "problem": self._live.settings.problem,
            "model_version": model.version if model else None,
            "uptime_s": round(time.time() - self._started, 1),
            "prediction_log": self._log_state(),
        }
        if reason := self._live.reason or self._live.reload_error:
            content["reason"] = reason
        return json_answer(content, 200 if model else 503, () if model else (RETRY_AFTER,))

    def _log_state(self) -> dict[str, object]:
        if not self._log.is_on:
            return {"state": "off"}
        return {
            "state": "failing" if self._log.trouble else "on",
            "waiting_rows": self._log.n_waiting,
            "dropped_rows": self._log.n_dropped,
            **({"reason": self._log.trouble} if self._log.trouble else {}),
        }

    async def livez(self, request: Request) -> Answer:
        """200 while the event loop turns."""
        return json_answer({"status": "alive"})

    async def readyz(self, request: Request) -> Answer:
        """200 once hashes and golden rows are right."""
        model = self._live.model
        if model is None:
            return json_answer({"status": "unavailable", "reason": self._live.reason}, 503)
        return json_answer({"status": "ready", "model_version": model.version})

    async def contract(self, request: Request) -> Answer:
        """The columns in the order of `features`, and an example."""
        return Answer(200, self._render("contract", _contract), JSON)

    async def openapi(self, request: Request) -> Answer:
        """The OpenAPI document of the version that serves."""
        return Answer(200, self._render("openapi", self._openapi))

    async def model_card(self, request: Request) -> Answer:
        """The model card, as training wrote it."""
        return Answer(200, self._render("card", _card), HTML)

    def _openapi(self, model: Model) -> bytes:
        takes_labels = bool(self._live.settings.token) and self._log.is_on
        return orjson.dumps(openapi(model, takes_labels=takes_labels))

    def _render(self, name: str, render: Callable[[Model], bytes]) -> bytes:
        model = self._require_model()
        known, body = self._rendered.get(name, (None, b""))
        if known is not model:
            body = render(model)
            self._rendered[name] = (model, body)
        return body


def _fixed(body: bytes, media_type: bytes) -> Handler:
    async def handler(request: Request) -> Answer:
        return Answer(200, body, media_type)

    return handler


def _contract(model: Model) -> bytes:
    served = model.predictor.bundle.contract
    known = {feature.name: feature.categories for feature in served.features}
    columns = {
        name: {
            **column.model_dump(mode="json", exclude_defaults=True),
            "known_categories": known.get(name, ()) if column.type == "category" else None,
        }
        for name, column in served.contract.inputs().items()
    }
    manifest, decision = model.predictor.bundle.manifest, model.predictor.decision
    content = {
        "problem": model.problem,
        "title": manifest.get("title") or model.problem,
        "target": manifest.get("target") or {},
        "model_version": model.version,
        "task": decision.task,
        "classes": decision.classes,
        "positive": None if decision.positive is None else decision.classes[decision.positive],
        "threshold": decision.threshold,
        "columns": columns,
        "example": example_record(model),
        "max_rows": model.serving.max_rows,
        "max_body_bytes": model.serving.max_body_bytes,
    }
    return orjson.dumps(content)


def _card(model: Model) -> bytes:
    from tabular.card import render_card  # a template engine that only this page needs

    return render_card(model.predictor.bundle.manifest.get("report") or {}).encode()
