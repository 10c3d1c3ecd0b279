"""Requests and answers as the service passes them on, without a framework's cost."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson

Header = tuple[bytes, bytes]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

JSON = b"application/json"
HTML = b"text/html; charset=utf-8"

_POLICY = (
    b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    b"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# What every answer carries: each costs a microsecond, so JSON has only what is for JSON.
SECURITY: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)
# Pages bring all they need with them, and nobody frames them.
PAGE_SECURITY: tuple[Header, ...] = (
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"no-referrer"),
)

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_PREFIX = secrets.token_hex(6)
_NUMBERS = count(1)


@dataclass
class Request:
    """One request; `headers` by lower-case name, the last one of a name counts."""

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    receive: Receive
    scope: Scope
    id: str

    @classmethod
    def of(cls, scope: Scope, receive: Receive) -> Request:
        """Read the scope; the client's X-Request-ID is kept where it is sane."""
        headers = dict(scope["headers"])
        return cls(
            scope["method"],
            scope["path"],
            scope["query_string"],
            headers,
            receive,
            scope,
            request_id(headers.get(b"x-request-id")),
        )

    def flag(self, name: str) -> str:
        """The last value of a query parameter, "" where it is not given."""
        if not self.query:
            return ""
        found = parse_qs(self.query.decode("latin-1"), keep_blank_values=True).get(name)
        return found[-1] if found else ""


class Answer(NamedTuple):
    """One answer, whole."""

    status: int
    body: bytes
    media_type: bytes = JSON
    headers: Sequence[Header] = ()


Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """Handlers by method, and the name under which the route is counted."""

    name: str
    handlers: dict[str, Handler]


def json_answer(content: object, status: int = 200, headers: Sequence[Header] = ()) -> Answer:
    """An answer of JSON."""
    return Answer(status, orjson.dumps(content), JSON, headers)


def request_id(given: bytes | None) -> str:
    """The client's id where it is sane, else one of our own; unlike any other process's."""
    if given is not None and _SANE_ID.fullmatch(given):
        return given.decode("ascii")
    return f"{_PREFIX}-{next(_NUMBERS):x}"


async def send_answer(send: Send, answer: Answer, id_: str, *, has_body: bool = True) -> None:
    """Send an answer whole, with the headers that every answer carries."""
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [
                (b"content-type", answer.media_type),
                (b"content-length", b"%d" % len(answer.body)),
                (b"x-request-id", id_.encode("ascii")),
                *SECURITY,
                *(() if answer.media_type is JSON else PAGE_SECURITY),
                *answer.headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": answer.body if has_body else b""})
