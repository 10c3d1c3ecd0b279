"""BentoML's own stack behind ours: built beside the first requests, asked for its own routes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

from starlette.applications import Starlette
from starlette.types import Message

from service.errors import overloaded
from service.http import Answer, Request, Route, Scope

# Its metrics, its schema, and the files of its interactive documentation.
PATHS = (
    "/metrics",
    "/schema.json",
    "/static_content/swagger-ui.css",
    "/static_content/swagger-ui-bundle.js",
)
INNER = "bentoml"  # the name under which its routes are counted
# Set by us for every answer.
OWN_HEADERS = (b"content-length", b"content-type")

log = logging.getLogger("bentoline.service")


class Inner:
    """BentoML's ASGI application. Predictions do not need it, so they do not wait for it."""

    def __init__(self, build: Callable[[], Starlette]) -> None:
        self._build = build
        self._app: Starlette | None = None
        self.built = asyncio.Event()

    def routes(self) -> dict[str, Route]:
        """The routes by path."""
        return dict.fromkeys(PATHS, Route(INNER, {"GET": self.get}))

    async def run(self, stopping: asyncio.Event) -> None:
        """Build and start it in a thread, then keep it until the worker stops."""
        async with AsyncExitStack() as stack:
            try:
                app = await asyncio.to_thread(self._build)
                await stack.enter_async_context(app.router.lifespan_context(app))
                self._app = app
            except Exception:  # the worker goes on without these routes
                log.exception("BentoML's own routes did not start")
            self.built.set()
            await stopping.wait()

    async def get(self, request: Request) -> Answer:
        """BentoML's answer.

        Raises:
            RequestError: Its stack did not start.
        """
        await self.built.wait()
        if self._app is None:
            raise overloaded("this part of the service did not start")
        start: Scope = {}
        parts: list[bytes] = []

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self._app(request.scope, request.receive, send)
        headers = dict(start["headers"])
        return Answer(
            start["status"],
            b"".join(parts),
            headers.get(b"content-type", b"text/plain"),
            [header for header in start["headers"] if header[0] not in OWN_HEADERS],
        )
