"""The floor: bare uvicorn, orjson and onnxruntime; no check, no id, no count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from benchmarks.peers.graph import answer
from benchmarks.peers.rows import decide

Message = dict[str, Any]


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer every request as a prediction."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    rows = orjson.loads(body)
    is_one = isinstance(rows, dict)
    decided = decide(answer([rows] if is_one else rows))
    answers = [{"prediction": label, "probability": share} for label, share in decided]
    body = orjson.dumps(answers[0] if is_one else answers)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
