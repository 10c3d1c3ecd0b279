"""Connections as uvicorn has them, but bounded in their heads, and let go without losing a request.

Without the bounds one client's endless header fills the worker's memory, and one that never ends
its head keeps its connection for ever. Bodies have the problem's own limits: `service.intake`.
At its end uvicorn closes a kept connection at once: a request that is on its way then is lost.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import HTTP_PROTOCOLS
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import CLOSE, RequestError
from service.http import JSON, SECURITY, request_id

MAX_HEAD_BYTES = 65_536
# A head has between once and twice this long; a connection without any is closed after it.
HEAD_S = 10.0
# A worker that stops still answers what comes so soon on a connection, and says that it closes it.
LAST_S = 0.5
REASONS = {400: b"Bad Request", 431: b"Request Header Fields Too Large"}


class Together:
    """A transport that sends an answer's head with the first of its body, as ASGI leaves free.

    uvicorn writes them one by one: a call of the kernel and a wake of the client more.
    """

    def __init__(self, connection: Connection, transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport
        self._write = transport.write
        self._head = b""
        self._begun: Any = None  # the cycle whose head came last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keep a head until what follows it."""
        cycle: Any = self._connection.cycle
        if self._head:
            data, self._head = self._head + data, b""
        elif cycle is not self._begun and cycle.response_started:
            self._begun, self._head = cycle, data
            return
        self._write(data)

    def flush(self) -> None:
        """Send a head that nothing follows."""
        if self._head:
            data, self._head = self._head, b""
            self._write(data)

    def close(self) -> None:
        """Close, with nothing left behind."""
        self.flush()
        self._transport.close()


class Connection(HttpToolsProtocol):
    """uvicorn's connection; the bounds cost a request two comparisons."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Watch the new connection."""
        super().connection_made(transport)
        self.transport = self._together = Together(self, transport)  # type: ignore[assignment]
        self._head_bytes = 0
        self._is_last = False
        self._seen: Any = None
        self._watch = self.loop.call_later(HEAD_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch it no more."""
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; a head that goes on and on ends the connection."""
        super().data_received(data)
        if self._is_last:
            self._answer_and_close()
        scope: Any = self.scope  # None before the first request; its method is set by a whole head
        if scope is None or "method" in scope:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            words = f"the headers are larger than {MAX_HEAD_BYTES:,} bytes; send fewer."
            self._refuse(RequestError(431, "head_too_large", words))

    def on_response_complete(self) -> None:
        """An answer to HEAD has no body."""
        self._together.flush()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered in the envelope too."""
        self._refuse(RequestError(400, "bad_http", f"{msg.rstrip('.').lower()}."))

    def shutdown(self) -> None:
        """The worker stops."""
        self._is_last = True
        self._answer_and_close()
        self._watch.cancel()
        self._watch = self.loop.call_later(LAST_S, super().shutdown)

    def _answer_and_close(self) -> None:
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False

    def _look(self) -> None:
        scope: Any = self.scope
        if scope is self._seen and (scope is None or "method" not in scope):
            self.transport.close()
            return
        self._seen = scope
        self._watch = self.loop.call_later(HEAD_S, self._look)

    def _refuse(self, error: RequestError) -> None:
        id_ = request_id(None)
        body = error.envelope(id_)
        headers = (
            (b"content-type", JSON),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", id_.encode("ascii")),
            *SECURITY,
            CLOSE,
        )
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        first = b"HTTP/1.1 %d %s\r\n" % (error.status, REASONS[error.status])
        self.transport.write(first + lines + b"\r\n" + body)
        self.transport.close()


def take_connections() -> None:
    """Let uvicorn take these where it chooses by itself, as BentoML has it do."""
    HTTP_PROTOCOLS["auto"] = f"{Connection.__module__}:{Connection.__name__}"
