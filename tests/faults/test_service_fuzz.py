"""100,000 mutated bodies through one running worker: no crash, known statuses, flat memory."""

import json
import random
import socket

import pytest

from tabular.serving import Serving
from tests.integration.serving import serving
from tests.unit.tiny import RECORDS, write_tiny

N_BODIES = 100_000
N_WARM = 20_000
PIPELINED = 50
SEED = 20
TOKENS = [
    b"null", b"true", b"-0", b"1e999", b"1e-999", b"NaN", b"[]", b"{}", b'""', b"\\ud800", b"\xff",
    b"\x00", b",", b":", b'"', b"[" * 40, b'{"a":' * 40, b"9" * 30, b'"features"', b'"age"', b" ",
    b"\r\n\r\n", b"18446744073709551616", b"24:00", b"\xe2\x80\xae", b"--x--",
]  # fmt: skip
VALUES = [
    None, True, 0, -1, 30, 1e308, 10**30, 0.1, "", "x" * 500, "30", "nan", "Infinity", "24:00",
    "\u0000", "é", [], [1], {}, {"a": {"b": [None]}}, " Delhi ", "DELHI", "12:60",
]  # fmt: skip
TYPES = [b"application/json"] * 8 + [b"text/csv", b"multipart/form-data; boundary=x"]
CSV = b"age,fee,city,opened\n30,1.5,Delhi,09:30\n61,-2,Bombay,23:59\n"
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\n'
    b"Content-Type: text/csv\r\n\r\n" + CSV + b"\r\n--x--\r\n"
)
SEEDS = {
    TYPES[0]: [json.dumps(body).encode() for body in (RECORDS[0], RECORDS, {"features": [1] * 4})],
    TYPES[-2]: [CSV],
    TYPES[-1]: [FORM],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    facts = {"problem": "tiny", "serving": Serving(max_body_bytes=80_000).model_dump()}
    bundle = write_tiny(folder / "v1", facts=facts).path
    with serving(folder, BENTOLINE_BUNDLE=str(bundle)) as server:
        server.wait_for("a model", lambda: server.ask("/readyz")[0] == 200)
        yield server


def mutated(rng, body):
    """The body with one to four bytes, tokens or slices changed, dropped or doubled."""
    parts = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(parts) + 1)
        end = min(len(parts), at + rng.randint(0, 12))
        kind = rng.randrange(4)
        if kind == 0:
            parts[at:end] = rng.choice(TOKENS)
        elif kind == 1:
            parts[at:at] = parts[at:end] * rng.randint(1, 20)
        elif kind == 2:
            del parts[at:end]
        elif parts:
            parts[min(at, len(parts) - 1)] = rng.randrange(256)
    return bytes(parts)


def odd_record(rng):
    """JSON that parses, with values, columns and shapes that the contract does not know."""
    record = dict(rng.choice(RECORDS))
    for _ in range(rng.randint(0, 2)):
        record[rng.choice([*record, "Age", "features", "", "\u202e" * 99])] = rng.choice(VALUES)
    if rng.random() < 0.1:
        record.pop(rng.choice(list(record)))
    shapes = [record, [record, RECORDS[0]], [record] * rng.randint(0, 40), {"features": [record]}]
    return json.dumps(rng.choice(shapes)).encode()


def fuzz_request(rng):
    kind = rng.choice(TYPES)
    is_json, is_odd = kind == TYPES[0], rng.random() < 0.5
    body = odd_record(rng) if is_json and is_odd else mutated(rng, rng.choice(SEEDS[kind]))
    partial = b"?partial=true" if rng.random() < 0.3 else b""
    head = b"POST /predict%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (partial, kind, len(body)) + body


def answers(stream, n):
    """Status and body of n answers."""
    for _ in range(n):
        status, length = int(stream.readline().split()[1]), 0
        while (line := stream.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            if name == b"content-length":
                length = int(value)
        yield status, stream.read(length)


def test_a_hundred_thousand_mutated_bodies_crash_nothing_and_leave_no_memory(server):
    rng, seen, warm = random.Random(SEED), {}, 0  # noqa: S311  # repeatable, not secret
    (worker,) = server.workers()
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection,
        connection.makefile("rb") as stream,
    ):
        for sent in range(0, N_BODIES, PIPELINED):
            if sent == N_WARM:
                warm = worker.memory_info().rss
            connection.sendall(b"".join(fuzz_request(rng) for _ in range(PIPELINED)))
            for status, body in answers(stream, PIPELINED):
                seen[status] = seen.get(status, 0) + 1
                if body.startswith(b'{"error"'):
                    error = json.loads(body)["error"]
                    assert len(error["details"]) <= 20
                else:
                    json.loads(body, parse_constant=pytest.fail)
    assert sum(seen.values()) == N_BODIES
    assert {200, 400, 422} <= seen.keys() <= {200, 400, 413, 422}, seen
    assert server.workers() == [worker]
    assert worker.memory_info().rss <= 1.05 * warm
    assert "Traceback" not in server.log.read_text()
