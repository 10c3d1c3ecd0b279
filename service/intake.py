"""Bodies as bytes: read within the problem's limits, before anything is parsed."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from service.errors import CLOSE, RequestError, overloaded
from service.http import Receive, Request
from tabular.serving import Serving

# Bodies larger than one read of the socket wait in memory: all of them together take at most so
# many times the limit of one.
BUFFERED_BODIES = 8

# What is too large is read on so far, and thrown away: a client that is still sending sees a
# connection reset, not the answer. Who asks first (Expect: 100-continue) sends nothing.
DISCARDED_BYTES = 64_000_000

Message = dict[str, Any]


class DisconnectedError(Exception):
    """The client has gone; there is nobody to answer."""


class Intake:
    """Reads the bodies of one worker; counts those under way, so that memory is bounded."""

    def __init__(self) -> None:
        self._n_bytes = 0
        self.n_waiting = 0

    async def read(self, request: Request, serving: Serving) -> bytes:
        """Read a body.

        Raises:
            RequestError: It is larger than the problem's limit, comes too slowly, or the worker
                holds too many bodies already.
            DisconnectedError: The client left.
        """
        limit = serving.max_body_bytes
        length = request.headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > limit:
            if int(length) <= DISCARDED_BYTES and b"expect" not in request.headers:
                await self._discard(request, serving)
            raise _too_large(limit)
        message, rest = at_once(request.receive())
        if message is not None and not message.get("more_body", False):
            return _part(message, limit)
        try:
            async with asyncio.timeout(serving.timeout_s):
                first = await rest if message is None else message
                if not first.get("more_body", False):
                    return _part(first, limit)
                with self.slot(serving):
                    body = await self._read_on(_part(first, limit), request.receive, limit)
        except TimeoutError as error:
            raise RequestError(
                400,
                "slow_body",
                f"the body was not whole after {serving.timeout_s:g} s; send it faster, or less "
                "of it.",
                headers=(CLOSE,),
            ) from error
        if body is None:
            await self._discard(request, serving)
            raise _too_large(limit)
        return body

    async def _discard(self, request: Request, serving: Serving) -> None:
        n_bytes, more = 0, True
        with suppress(TimeoutError), self.slot(serving):
            async with asyncio.timeout(serving.timeout_s):
                while more and n_bytes < DISCARDED_BYTES:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise DisconnectedError
                    more = message.get("more_body", False)
                    n_bytes += len(message.get("body", b""))

    @contextmanager
    def slot(self, serving: Serving) -> Iterator[None]:
        """A place among the requests that wait: for their body, or for a thread.

        Raises:
            RequestError: All places are taken.
        """
        if self.n_waiting >= serving.max_waiting:
            raise overloaded(f"{self.n_waiting} requests are waiting here already")
        self.n_waiting += 1
        try:
            yield
        finally:
            self.n_waiting -= 1

    async def _read_on(self, first: bytes, receive: Receive, limit: int) -> bytes | None:
        """The whole body; None where it is larger than the limit and more of it is to come."""
        parts, n_bytes, more = [first], len(first), True
        self._n_bytes += n_bytes
        try:
            while more:
                message = await receive()
                more = message.get("more_body", False)
                part = _part(message, limit)
                parts.append(part)
                n_bytes += len(part)
                self._n_bytes += len(part)
                if n_bytes > limit and more:
                    return None
                if n_bytes > limit:
                    raise _too_large(limit)
                if self._n_bytes > BUFFERED_BODIES * limit:
                    raise overloaded("too many large bodies are being read")
            return b"".join(parts)
        finally:
            self._n_bytes -= n_bytes


def at_once(work: Awaitable[Message]) -> tuple[Message | None, Awaitable[Message]]:
    """What a coroutine gives without waiting, or None and the coroutine to be awaited.

    Nearly every body is there when its request is: those need no time-out, whose timer costs more
    than reading the body.
    """
    coroutine = cast("Coroutine[Any, None, Message]", work)
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        return done.value, work
    return None, _go_on(coroutine, waits_for)


@types.coroutine
def _go_on(
    coroutine: Coroutine[Any, None, Message], waits_for: Any
) -> Generator[Any, None, Message]:
    try:
        while True:
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  # a cancellation is handed on
                waits_for = coroutine.throw(error)
            else:
                waits_for = coroutine.send(None)
    except StopIteration as done:
        return cast("Message", done.value)


def _part(message: Message, limit: int) -> bytes:
    if message["type"] == "http.disconnect":
        raise DisconnectedError
    body: bytes = message.get("body", b"")
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> RequestError:
    return RequestError(
        413,
        "body_too_large",
        f"the body is larger than {limit:,} bytes; send fewer rows at a time.",
        headers=(CLOSE,),
    )
