"""A proxy between boto3 and an S3 server that does what networks and stores do on a bad day."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_NOT_FORWARDED = {"transfer-encoding", "connection", "server", "date", "content-length"}


@dataclass
class Fault:
    """What befalls the next `times` requests of a method whose path contains a text.

    kind: busy (503, not done), reset (done, then the connection breaks), truncate, corrupt (one
    byte of the answer), silence (no answer, not done), naive (done, whatever the condition).
    """

    kind: str
    method: str = "GET"
    path: str = ""
    times: int = 1

    def hits(self, method: str, path: str) -> bool:
        return self.times > 0 and method == self.method and self.path in path


@dataclass
class Proxy:
    """Add to `faults` what shall go wrong; `requests` is what came, `struck` what went wrong.

    With a `share`, so many of the other requests are struck too, each by a fault drawn for it.
    """

    address: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    struck: list[str] = field(default_factory=list)
    share: float = 0.0
    draws: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, method: str, path: str) -> str:
        with self.lock:
            self.requests.append((method, path))
            for fault in self.faults:
                if fault.hits(method, path):
                    fault.times -= 1
                    self.struck.append(fault.kind)
                    return fault.kind
            if self.draws.random() >= self.share:
                return ""
            kinds = ["busy", "reset"] if method == "PUT" else ["busy", "reset", "truncate"]
            # A listing has no checksum; a changed one is for TLS to find.
            kinds += ["corrupt"] if method == "GET" and "list-type" not in path else []
            self.struck.append(self.draws.choice(kinds))
            return self.struck[-1]


@contextmanager
def faulty(endpoint: str) -> Iterator[Proxy]:
    """Give a proxy before a server; it ends with the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.proxy = Proxy(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
        server.upstream = urlsplit(endpoint).netloc  # type: ignore[attr-defined]
        server.is_over = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.proxy  # type: ignore[attr-defined]
        finally:
            server.is_over.set()  # type: ignore[attr-defined]
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.proxy.next_fault(self.command, self.path)  # type: ignore[attr-defined]
        if fault == "silence":
            self.server.is_over.wait(60)  # type: ignore[attr-defined]
            self.close_connection = True
        elif fault == "busy":
            self._answer(503, {}, b"<Error><Code>SlowDown</Code></Error>")
        else:
            self._pass_on(body, fault)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _handle  # noqa: N815

    def _pass_on(self, body: bytes, fault: str) -> None:
        upstream = HTTPConnection(self.server.upstream, timeout=30)  # type: ignore[attr-defined]
        asked = {
            name: value
            for name, value in self.headers.items()
            if fault != "naive" or not name.lower().startswith("if-")
        }
        upstream.request(self.command, self.path, body, asked)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if fault == "reset":
            self._reset()
            return
        # Without the store's checksums, so that it is ours that has to find a changed byte.
        headers = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in _NOT_FORWARDED and "checksum" not in name.lower()
        }
        if fault == "corrupt":
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        self._answer(answer.status, headers, content, is_cut=fault == "truncate")

    def _answer(
        self, code: int, headers: dict[str, str], content: bytes, *, is_cut: bool = False
    ) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if is_cut else content)
        self.close_connection = is_cut

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)  # closing then sends RST
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
