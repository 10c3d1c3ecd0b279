"""A worker's application in this process, asked as a server would ask it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry

from service.settings import Settings
from service.worker import build_app

GONE, NEVER = b"gone", b"never"


class Reply(NamedTuple):
    """What came back; status 0 where nothing did."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed by a strict reader."""
        return json.loads(self.body, parse_constant=refuse)

    @property
    def code(self) -> str:
        """The error's code, of an envelope that is whole."""
        envelope = self.json
        assert envelope.keys() == {"error", "request_id"}
        assert envelope["error"].keys() == {"code", "message", "details", "n_more"}
        assert envelope["request_id"] == self.headers["x-request-id"]
        return str(envelope["error"]["code"])


def refuse(name: str) -> None:
    """Json reads NaN and Infinity unless told."""
    raise AssertionError(f"{name} is not JSON")


def settings(bundle: Path | None = None, **changes: Any) -> Settings:
    """Settings that serve one bundle of the tiny problem, or changed."""
    given: dict[str, Any] = {
        "problem": "tiny",
        "bundle": bundle,
        "registry": "",
        "follows": False,
        "public_key": None,
        "home": bundle.parent if bundle else Path("/nowhere"),
        "token": "",
        "trainer": "",
        "workers": 1,
    }
    return Settings(**{**given, **changes})


class Worker:
    """The application, started; BentoML's own part answers nothing here."""

    def __init__(self, given: Settings) -> None:
        self.registry = CollectorRegistry()
        self.app = build_app(given, lambda: None, self.registry)  # type: ignore[arg-type,return-value]
        self.app.live.start()

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | object = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request; a body of parts comes in as many messages, any other object as JSON."""
        if not isinstance(body, bytes | list | tuple) or (
            isinstance(body, list) and not all(isinstance(part, bytes) for part in body)
        ):
            body = json.dumps(body).encode()
        parts = [body] if isinstance(body, bytes) else list(body)
        return asyncio.run(self.send(method, target, parts, headers or {}))

    async def send(
        self, method: str, target: str, parts: list[bytes], headers: Mapping[str, str]
    ) -> Reply:
        """Send one request on the running loop.

        A part `GONE` is a client that leaves, `NEVER` one that sends no more.
        """
        path, _, query = target.partition("?")
        given = {"content-type": "application/json", **headers}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in given.items() if v],
        }
        left, sent = list(parts), []

        async def receive() -> dict[str, Any]:
            part = left.pop(0)
            if part is NEVER:
                await asyncio.Event().wait()
            if part is GONE:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": part, "more_body": bool(left)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        if not sent:
            return Reply(0, {}, b"")
        found = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
        return Reply(sent[0]["status"], found, sent[1]["body"])

    def value(self, name: str, **labels: str) -> float | None:
        """What Prometheus would read."""
        self.app.metrics.flush()
        return self.registry.get_sample_value(name, labels)
