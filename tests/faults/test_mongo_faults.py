"""Servers that die, cursors that are killed, slow lines: every document once, in order, or none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import tabular.mongo.reading
from tabular.contract import Column
from tabular.errors import StoreError
from tabular.mongo.reading import Progress, read_batches
from tabular.settings import Source
from tabular.tables.snapshot import save_snapshot
from tests.integration.mongo_server import Server, has_answered

ROOT = Path(__file__).parents[2]
N_ROWS = 6_000
SOURCE = Source(kind="mongodb", database="shop", collection="orders")
COLUMNS = {"n": Column(type="number"), "word": Column(type="category")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with 6,000 orders on disk, their `_id` of two types."""
    server = Server(tmp_path_factory.mktemp("mongo") / "db", "--enable-test-commands").start()
    with server.client() as client:
        orders = client["shop"]["orders"]
        for start in range(0, N_ROWS, 3000):
            orders.insert_many([document(n) for n in range(start, start + 3000)])
    yield server
    server.stop(signal.SIGKILL)


def document(n: int) -> dict[str, Any]:
    """Order n: numbers sort before texts, so the order of `_id` is that of n."""
    return {"_id": n if n < 3500 else f"o{n:06}", "n": n, "word": f"w{n % 7}"}


@pytest.fixture(autouse=True)
def many_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve replies, so that there are places to break between."""
    monkeypatch.setattr(tabular.mongo.reading, "BATCH_ROWS", 500)


def read(uri: str, at: dict[int, Callable[[], None]], patience_s: float = 60) -> pa.Table:
    """Read all; what stands at a number of rows happens once that many have come."""

    def progress(how_far: Progress) -> None:
        for n_rows in [n for n in at if how_far.n_rows >= n]:
            at.pop(n_rows)()

    batches = read_batches(uri, SOURCE, COLUMNS, progress=progress, patience_s=patience_s)
    return pa.Table.from_batches(batches)


def assert_whole(table: pa.Table) -> None:
    """Every order exactly once, in the order of `_id`."""
    assert table.column("n").to_pylist() == list(range(N_ROWS))
    assert table.column("word").to_pylist() == [f"w{n % 7}" for n in range(N_ROWS)]


def test_server_killed_twice_while_it_is_read_gives_every_document_once(server: Server) -> None:
    """Kill -9 in each half, started again on the same storage while the reader waits."""
    threads: list[threading.Thread] = []

    def kill() -> None:
        server.stop(signal.SIGKILL)
        threads.append(threading.Thread(target=server.start))
        threads[-1].start()

    assert_whole(read(server.uri(), {1500: kill, 4500: kill}))
    for thread in threads:
        thread.join()
    assert len(threads) == 2


@pytest.mark.parametrize(
    "fault", [{"errorCode": 43}, {"errorCode": 237}, {"closeConnection": True}]
)
def test_cursors_killed_by_the_server_are_taken_up_again(
    server: Server, fault: dict[str, Any]
) -> None:
    """A getMore that fails is not repeated by the driver; the reading goes on after its last."""
    armed = 0

    def arm() -> None:
        nonlocal armed
        armed += 1
        data = {"failCommands": ["getMore"], **fault}
        with server.client() as client:
            client.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=data)

    assert_whole(read(server.uri(), dict.fromkeys((1000, 2500, 4000), arm)))
    assert armed == 3


def test_server_that_stays_away_ends_the_reading_without_a_row(server: Server) -> None:
    """Bounded in time, one sentence, and nothing was handed on."""
    started = time.monotonic()
    try:
        with pytest.raises(
            StoreError, match=r"lost after .* did not come back within 2 s.*Nothing"
        ):
            read(server.uri(), {2000: lambda: server.stop(signal.SIGKILL)}, patience_s=2)
        assert time.monotonic() - started < 40
    finally:
        server.start()


def test_snapshot_of_a_server_that_dies_is_not_written(server: Server, tmp_path: Path) -> None:
    """The snapshot's writer gets an error in place of a first row."""
    batches = read_batches(
        server.uri(),
        SOURCE,
        COLUMNS,
        progress=lambda how_far: server.stop(signal.SIGKILL) if how_far.n_rows > 2000 else None,
        patience_s=1,
    )
    try:
        with pytest.raises(StoreError, match="run the command again"):
            save_snapshot(batches, tmp_path / "snapshots", source="orders", synthetic=False)
        assert not list(tmp_path.rglob("*.parquet"))
    finally:
        server.start()


def test_slow_line_gives_every_document_once(server: Server) -> None:
    """Answers come in small, late pieces through a proxy."""
    with slow_line(server.port) as (port, n_pieces):
        assert_whole(read(f"mongodb://127.0.0.1:{port}/?directConnection=true", {}))
        assert n_pieces() > 10  # the line was in use


@contextmanager
def slow_line(to_port: int) -> Iterator[tuple[int, Callable[[], int]]]:
    """A TCP proxy that hands on at most 64 KB each 10 ms; gives its port, and pieces so far."""
    pieces = [0]
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket, pause_s: float) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                time.sleep(pause_s)  # this is the slowness itself
                pieces[0] += 1
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                behind = socket.create_connection(("127.0.0.1", to_port))
                for ends in ((client, behind, 0.0), (behind, client, 0.01)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], lambda: pieces[0]
    finally:
        listener.close()


def test_load_killed_half_way_is_finished_by_running_it_again(
    server: Server, tmp_path: Path
) -> None:
    """Kill -9 while rows are written: the second run writes the rest, a third changes nothing."""
    assert has_answered(server)
    table = tmp_path / "flowers.csv"
    names = "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm),target"
    lines = [f"{n / 1000:.3f},3.5,1.4,0.2,setosa" for n in range(3000)]
    table.write_text("\n".join([names, *lines]) + "\n")
    first = start_load(server, table, tmp_path)
    with server.client() as client:
        flowers = client["bentoline"]["iris"]
        deadline = time.monotonic() + 60
        while flowers.estimated_document_count() == 0 and time.monotonic() < deadline:
            assert first.poll() is None
            time.sleep(0.02)
        first.kill()
        first.communicate()
        assert 0 < flowers.estimated_document_count() < 3000
        for says in ("inserted", "0 inserted, 0 changed, 3,000 unchanged"):
            again = start_load(server, table, tmp_path)
            out, err = again.communicate(timeout=120)
            assert again.returncode == 0, err
            assert says in out
            assert flowers.count_documents({}) == 3000
        assert len(flowers.distinct("sepal length (cm)")) == 3000


def start_load(server: Server, table: Path, home: Path) -> subprocess.Popen[str]:
    """`run.py --load` in a process of its own."""
    environment = {**os.environ, "MONGODB_URI": server.uri(), "BENTOLINE_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "run.py", "--load", str(table), "--problem", "iris"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
