"""What bad clients get: the right status in one envelope, and nobody else's time."""

import gzip
import json
import re
import selectors
import socket
import time
from contextlib import suppress

import pytest

from tabular.serving import Serving
from tests.integration.serving import serving
from tests.unit.tiny import RECORDS, write_tiny

GOOD = RECORDS[0]
BODY = json.dumps(GOOD).encode()
LIMITS = Serving(timeout_s=2.0)
SECRETS = re.compile(rb"Traceback|File \"|site-packages|\.py[\":]|/home/|/tmp/|/usr/")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("abuse")
    facts = {"problem": "tiny", "serving": LIMITS.model_dump()}
    bundle = write_tiny(folder / "v1", facts=facts).path
    with serving(folder, BENTOLINE_BUNDLE=str(bundle)) as server:
        server.wait_for("a model", lambda: server.ask("/readyz")[0] == 200)
        yield server


class Reply:
    """One answer off the wire; of an error the envelope is checked."""

    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        assert not SECRETS.search(raw), raw[:2000]
        assert "access-control-allow-origin" not in self.headers
        if self.status >= 400 and self.body:
            self.error = self.json()["error"]
            assert self.error.keys() == {"code", "message", "details", "n_more"}
            assert len(self.error["details"]) <= 20

    def json(self):
        return json.loads(self.body, parse_constant=pytest.fail)


def exchange(server, data, timeout_s=30.0):
    """Send bytes on a connection of their own; all that comes back until it is closed."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s) as connection:
        answer = b""
        try:
            connection.sendall(data)
            while part := connection.recv(65_536):
                answer += part
        except ConnectionError:  # it was not read to its end: the answer came before
            pass
    return answer


def request(method="POST", target="/predict", body=b"", **headers):
    given = {"Host": "x", "Connection": "close", "Content-Type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    if body and "Transfer-Encoding" not in given:
        given.setdefault("Content-Length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def asked(server, *args, **kwargs):
    return Reply(exchange(server, request(*args, **kwargs)))


def record(**changes):
    return json.dumps({**GOOD, **changes}).encode()


@pytest.mark.parametrize(
    ("body", "column", "value", "allowed"),
    [
        (record(age="old"), "age", "old", "type number"),
        (record(age=[30]), "age", "[30]", "number"),
        (record(age={"a": {"b": []}}), "age", "{'a': {'b': []}}", "number"),
        (record(age=30.5), "age", "30.5", "whole number"),
        (record(age=17), "age", "17", "in [18, 90]"),
        (record(age=None), "age", "None", "required"),
        (record(fee="Infinity"), "fee", "Infinity", "finite number"),
        (record(fee=1e308), "fee", "1e+308", "finite number"),
        (record(city=["x"]), "city", "['x']", "category"),
        (record(opened="25:99"), "opened", "25:99", "time"),
        (record(Opened="09:30"), "Opened", "09:30", "no column"),
        (b'{"age": 30, "fee": 1, "city": "x"}', "opened", "", "must be given"),
        (record(age="x" * 1_000_000), "age", "x" * 60 + "...", "type number"),
    ],
)
def test_a_bad_value_is_refused_by_row_column_value_and_rule(server, body, column, value, allowed):
    reply = asked(server, body=body)
    assert (reply.status, reply.error["code"]) == (422, "contract")
    named = next(detail for detail in reply.error["details"] if detail["column"] == column)
    assert (named["row"], named["value"]) == (0, value)
    assert allowed in named["allowed"]
    assert len(reply.body) < 1_000


@pytest.mark.parametrize(
    "body",
    [
        b'{"age": NaN}',
        b'{"age": -Infinity}',
        b'{"age": 1e400}',
        b'{"age": ' + b"9" * 400 + b"}",
        b'{"age": 30, "city": "\xff\xfe"}',
        b'{"city": "\\ud800"}',
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" * 1_000_000,
        b"{'age': 30}",
        b'{"age": 30}{"age": 30}',
        BODY.decode().encode("utf-16"),
        b"\x00" * 1_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_json_is_400(server, body):
    reply = asked(server, body=body)
    assert (reply.status, reply.error["code"]) == (400, "bad_json")


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"[]", "empty"), (b"7", "no_record"), (b"[[[[[]]]]]", "contract"), (b"{}", "contract")],
)
def test_what_is_no_record_is_422(server, body, code):
    reply = asked(server, body=body)
    assert (reply.status, reply.error["code"]) == (422, code)


def test_of_a_column_named_twice_the_last_value_counts(server):
    assert asked(server, body=b'{"age": 1, ' + BODY[1:]).status == 200


def test_of_many_bad_rows_twenty_are_named_and_the_rest_counted(server):
    reply = asked(server, body=json.dumps([{**GOOD, "age": 17}] * 10_000).encode())
    assert (reply.status, len(reply.error["details"])) == (422, 20)
    assert (reply.error["details"][19]["row"], reply.error["n_more"]) == (19, 9_980)


def test_partial_answers_the_good_rows(server):
    body = json.dumps([GOOD, {**GOOD, "age": 17}, GOOD]).encode()
    rows = asked(server, target="/predict?partial=true", body=body).json()
    assert ["error" in row for row in rows] == [False, True, False]
    assert rows[1]["error"]["details"][0]["column"] == "age"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/xml"},
        {"Content_Type": "application/json; charset=utf-16"},
        {"Content_Type": "\xff\xfe" * 500},
        {"Content_Encoding": "gzip"},
    ],
)
def test_another_content_type_is_415(server, headers):
    reply = asked(server, body=gzip.compress(BODY), **headers)
    assert (reply.status, reply.error["code"]) == (415, "unsupported_media_type")


def test_ten_megabytes_are_refused_however_they_are_sent(server):
    ten = b"[" + b" " * 10_000_000 + b"]"
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(part), part)
        for part in (ten[at : at + 100_000] for at in range(0, len(ten), 100_000))
    )
    for sent in (
        request(body=ten),
        request(Content_Length="10000002"),
        request(Transfer_Encoding="chunked", Content_Length="") + chunks + b"0\r\n\r\n",
    ):
        reply = Reply(exchange(server, sent))
        assert (reply.status, reply.error["code"]) == (413, "body_too_large")


def test_who_asks_before_sending_too_much_is_told_at_once(server):
    raw = exchange(server, request(Content_Length="10000002", Expect="100-continue"))
    assert Reply(raw).status == 413


@pytest.mark.parametrize(
    ("row", "code"), [(b"{}", "too_many_rows"), (BODY, "body_too_large")], ids=("empty", "whole")
)
def test_a_million_rows_are_refused(server, row, code):
    reply = asked(server, body=b"[" + b",".join([row] * 1_000_000) + b"]")
    assert (reply.status, reply.error["code"]) == (413, code)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD"])
def test_another_method_is_405_and_says_which_is_not(server, method):
    reply = asked(server, method, body=b"", Origin="http://elsewhere.example")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert bool(reply.body) == (method != "HEAD")


@pytest.mark.parametrize(
    "target", ["/x", "/predict/", "/predict%00", "/../etc/passwd", "/page/..%2fapp.py", "*", "//"]
)
def test_another_path_is_404(server, target):
    reply = asked(server, "GET", target)
    assert (reply.status, reply.error["code"]) == (404, "not_found")


def test_head_is_get_without_the_body(server):
    replies = {
        method: asked(server, method, "/health", Content_Type="") for method in ("GET", "HEAD")
    }
    assert replies["HEAD"].status == 200
    assert replies["HEAD"].body == b""
    assert replies["HEAD"].headers["content-length"] == str(len(replies["GET"].body))


@pytest.mark.parametrize("given", ['"><script>', "x" * 65, "\xff\xfe", "a b", "a,b"])
def test_a_request_id_that_is_not_sane_is_replaced(server, given):
    reply = asked(server, body=BODY, X_Request_ID=given)
    assert reply.json()["request_id"] == reply.headers["x-request-id"] != given
    assert re.fullmatch(r"[0-9a-f]+-[0-9a-f]+", reply.headers["x-request-id"])
    assert asked(server, body=BODY, X_Request_ID="a.b:c_1-D").headers["x-request-id"] == "a.b:c_1-D"


def test_every_answer_has_the_security_headers(server):
    for target in ("/", "/health", "/docs", "/metrics", "/x", "/model", "/openapi.json"):
        headers = asked(server, "GET", target).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert not {"server", "x-powered-by"} & headers.keys()
        if "text/html" in headers["content-type"]:
            assert "default-src 'self'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    "headers",
    [{"X-A": "a" * 300_000}, {f"X-{n}": "a" for n in range(30_000)}],
    ids=("long", "many"),
)
def test_a_bomb_of_headers_is_refused(server, headers):
    reply = asked(server, body=BODY, **headers)
    assert (reply.status, reply.error["code"]) == (431, "head_too_large")


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        request(Content_Length="-4"),
        request(Content_Length="4", Transfer_Encoding="chunked") + b"0\r\n\r\n",
        request("GET", "/livez", Connection="keep-alive") * 3 + b"\x00\x01\x02 junk\r\n\r\n",
    ],
    ids=("tls", "http2", "version", "length", "smuggled", "pipelined"),
)
def test_what_is_no_http_is_400_and_closed(server, junk):
    last = exchange(server, junk).rpartition(b"HTTP/1.1 ")
    reply = Reply(b"".join(last[1:]))
    assert (reply.status, reply.headers["connection"]) == (400, "close")


def test_pipelined_requests_are_answered_in_their_order(server):
    requests = [
        request(body=BODY, Connection="keep-alive", X_Request_ID=f"n{n}") for n in range(50)
    ]
    answers = exchange(server, b"".join(requests) + request("GET", "/livez", Content_Type=""))
    assert re.findall(rb"x-request-id: (n\d+)", answers) == [b"n%d" % n for n in range(50)]
    assert answers.count(b"HTTP/1.1 200 OK") == 51


def test_a_websocket_is_turned_away(server):
    raw = request(
        "GET",
        Connection="Upgrade",
        Upgrade="websocket",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
        Sec_WebSocket_Version="13",
    )
    assert Reply(exchange(server, raw)).status in (403, 405)


def test_two_hundred_slow_clients_keep_nobody_waiting_and_are_sent_away(server):
    """Half send a head, half a body, a byte at a time."""
    head = request(Content_Length="1000", Connection="keep-alive")
    opened = selectors.DefaultSelector()
    for n in range(200):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(head if n % 2 else head[:-2] + b"X-Slow: ")
        opened.register(connection, selectors.EVENT_READ, n)
    answers, replies = set(), []
    longest, end = 0.0, time.monotonic() + 6 * LIMITS.timeout_s
    while len(answers) < 100 and time.monotonic() < end:
        begun = time.monotonic()
        assert server.ask("/predict", GOOD)[0] == 200
        longest = max(longest, time.monotonic() - begun)
        for key, _ in opened.select(0.2):
            with suppress(ConnectionError):  # a byte that crossed the answer takes it away
                replies.append(Reply(key.fileobj.recv(65_536)))
            answers.add(key.data)
            opened.unregister(key.fileobj)
            key.fileobj.close()
        for key in list(opened.get_map().values()):
            with suppress(ConnectionError):
                key.fileobj.send(b"a")
    assert answers == set(range(1, 200, 2))
    assert {(reply.status, reply.error["code"]) for reply in replies} == {(400, "slow_body")}
    assert len(replies) >= 90
    assert longest < LIMITS.timeout_s
    for key in list(opened.get_map().values()):
        key.fileobj.close()


def test_after_all_that_the_worker_is_the_same_and_small(server):
    (worker,) = server.workers()
    assert worker.memory_info().rss < 300e6  # a million parsed rows leave their mark once
    log = server.log.read_text()
    assert "Traceback" not in log
    assert server.ask("/predict", GOOD)[0] == 200
