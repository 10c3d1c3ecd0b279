"""The outermost layer of a worker: routes, limits, counting; BentoML's own stack lies inside.

`POST /predict` and the documents are answered here. BentoML's routes are handed to its stack, which
is built after the worker is ready: docs/adr/0015 says why and what that costs.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from collections.abc import Mapping

from service.errors import RequestError
from service.http import Answer, Handler, Receive, Request, Route, Scope, Send, send_answer
from service.inner import INNER, Inner
from service.intake import DisconnectedError
from service.live import Live
from service.metrics import Metrics
from service.prediction_log import PredictionLog

# A batch in a thread gives way to single rows after a millisecond, not after five.
SWITCH_S = 0.001
GC_THRESHOLD = (100_000, 50, 100)

log = logging.getLogger("bentoline.service")


class App:
    """One worker's ASGI application."""

    def __init__(
        self,
        live: Live,
        metrics: Metrics,
        prediction_log: PredictionLog,
        *,
        routes: Mapping[str, Route],
        inner: Inner,
    ) -> None:
        self.live = live
        self.metrics = metrics
        self.log = prediction_log
        self._routes = routes
        self._inner = inner
        live.changed = self._count_load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; an error of ours is logged with its request id and told as 500."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._lifespan(receive, send)
            else:
                await send({"type": "websocket.close", "code": 1000})
            return
        started = time.perf_counter()
        request = Request.of(scope, receive)
        route = self._route(request.path)
        name = route.name if route else "unknown"
        if name == INNER:
            self.metrics.flush()
        try:
            answer = await self._answer(route, request)
        except DisconnectedError:
            return
        await send_answer(send, answer, request.id, has_body=request.method != "HEAD")
        self.metrics.request(name, answer.status, time.perf_counter() - started)

    async def _answer(self, route: Route | None, request: Request) -> Answer:
        try:
            return await _handler(route, request)(request)
        except RequestError as error:
            if error.status == 500:
                log.error("request %s: %s", request.id, error)  # noqa: TRY400  # the sentence is all
            body = error.envelope(request.id)
            return Answer(error.status, body, headers=error.headers)
        except DisconnectedError:
            raise
        except Exception:  # the edge: whatever it is, the client reads an envelope
            log.exception("request %s failed", request.id)
            defect = RequestError(500, "defect", "an error of the service; it was logged.")
            return Answer(500, defect.envelope(request.id))

    def _route(self, path: str) -> Route | None:
        route = self._routes.get(path)
        if route is None:
            route = self._routes.get(path.rpartition("/")[0] + "/*")
        return route

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        sys.setswitchinterval(SWITCH_S)
        logging.getLogger("uvicorn.access").propagate = False  # else it is asked at each request
        self.live.start()
        stopping = asyncio.Event()
        tasks = [
            asyncio.create_task(self._inner.run(stopping)),
            asyncio.create_task(self._settle()),
            asyncio.create_task(self.live.follow()),
            asyncio.create_task(self.log.drain()),
            asyncio.create_task(self.log.shadow.follow()),
            asyncio.create_task(self.metrics.keep_flushing()),
        ]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        stopping.set()
        await tasks[0]
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _settle(self) -> None:
        """Once all is built: what is there now stays, so the collector need not look through it."""
        await self._inner.built.wait()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)

    def _count_load(self, outcome: str) -> None:
        self.metrics.reloads.labels(outcome).inc()
        self.metrics.model(self.live.model)


def _handler(route: Route | None, request: Request) -> Handler:
    if route is None:
        raise RequestError(
            404,
            "not_found",
            "there is nothing at this path; GET /docs lists what there is.",
        )
    handler = route.handlers.get(request.method)
    if handler is None and request.method == "HEAD":
        handler = route.handlers.get("GET")
    if handler is None:
        allowed = ", ".join(route.handlers)
        raise RequestError(
            405,
            "method_not_allowed",
            f"{request.method[:20]} is not answered here; use {allowed}.",
            headers=((b"allow", allowed.encode("ascii")),),
        )
    return handler
