"""Connections: heads bounded in bytes and in time, junk answered in the envelope."""

import asyncio
import json

import pytest
import uvicorn

from service import connections
from service.connections import MAX_HEAD_BYTES, Connection


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def told(*parts, pause_s=0.0, app=app, http=Connection):
    """What a server answers to the parts, each sent alone, until it closes."""

    async def ask():
        config = uvicorn.Config(
            app, port=0, http=http, lifespan="off", log_config=None, timeout_keep_alive=1
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause_s)
        answer = b""
        try:
            while part := await reader.read(65_536):
                answer += part
        except ConnectionResetError:  # it did not read what was sent on
            pass
        writer.close()
        server.should_exit = True
        await serving
        return answer

    return asyncio.run(ask())


def test_an_endless_head_is_refused_and_the_connection_closed():
    start = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "
    answer = told(start, b"a" * MAX_HEAD_BYTES, b"a", pause_s=0.02)
    assert answer.startswith(b"HTTP/1.1 431 ")
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert (error["code"], "65,536 bytes" in error["message"]) == ("head_too_large", True)


def test_heads_are_counted_one_by_one():
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n"
    parts = [part for _ in range(3) for part in (head[:20_000], head[20_000:])]
    answer = told(*parts, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", pause_s=0.02)
    assert answer.count(b"HTTP/1.1 204 ") == 4


@pytest.mark.parametrize("parts", [(), (b"GET / HT",), (b"GET / HTTP/1.1\r\n", b"X: y\r\n")])
def test_a_head_that_stays_away_closes_the_connection(parts, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_S", 0.05)
    assert told(*parts) == b""


def test_a_quick_head_after_a_pause_is_answered(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_S", 0.05)
    answer = told(b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", pause_s=0.2)
    assert answer.count(b"HTTP/1.1 204 ") == 2


@pytest.mark.parametrize("junk", [b"\x00\x01junk\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_what_is_no_http_is_refused_in_the_envelope(junk):
    answer = told(junk)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "bad_http"


async def parted(scope, receive, send):
    """Answers in so many parts as the path says."""
    size = b"%d" % (n_parts := int(scope["path"][1:]))
    headers = [(b"content-length", size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for place in range(n_parts):
        more = place + 1 < n_parts
        await send({"type": "http.response.body", "body": b"%d" % place, "more_body": more})


class Recorded(Connection):
    """Keeps what it gives the socket, call by call."""

    def connection_made(self, transport):
        self.written = written = []

        class Recording:
            def __getattr__(self, name):
                return getattr(transport, name)

            def write(self, data):
                written.append(data)
                transport.write(data)

        Recorded.last = self
        super().connection_made(Recording())


@pytest.mark.parametrize(
    ("request_line", "bodies"),
    [
        (b"GET /1", [b"0"]),
        (b"GET /3", [b"0", b"1", b"2"]),
        (b"HEAD /1", [b""]),
    ],
)
def test_a_head_goes_out_with_the_first_of_its_body(request_line, bodies):
    answer = told(request_line + b" HTTP/1.1\r\n\r\n", app=parted, http=Recorded)
    written = Recorded.last.written
    assert b"".join(written) == answer
    assert [written[0].partition(b"\r\n\r\n")[2], *written[1:]] == bodies


def test_requests_sent_at_once_are_answered_in_order():
    asked = [b"GET /%d HTTP/1.1\r\n\r\n" % n_parts for n_parts in (2, 1, 3)]
    answer = told(b"".join(asked), app=parted, http=Recorded)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"01", b"0", b"012"]


def test_a_request_to_go_on_is_not_kept_back():
    async def reading(scope, receive, send):
        assert (await receive())["body"] == b"x"
        await app(scope, receive, send)

    head = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    answer = told(head, b"x", pause_s=0.05, app=reading)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 ")
