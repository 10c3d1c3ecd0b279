"""Where independent work runs: threads of this process, or a Dask cluster.

Both take any number of items and hold only a few at a time; docs/adr/0014 says why Dask, and
docs/scale.md from which size on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol, TypeVar

from tabular.errors import ConfigError, StoreError

Item = TypeVar("Item")
Result = TypeVar("Result")

CONNECT_TIMEOUT_S = 5
HELD_PER_WORKER = 2  # one item in work, one that is on its way


class Engine(Protocol):
    """Calls a function on items side by side."""

    name: str
    n_workers: int

    def run(self, call: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield results as they are there, in any order; an error of a call is raised here."""


class Threads:
    """Threads of this process: numpy, Arrow and onnxruntime leave the interpreter to others."""

    name = "local"

    def __init__(self, n_workers: int = 0) -> None:
        self.n_workers = n_workers or n_cores()

    def run(self, call: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield results as they are there; an error waits for the calls in work."""
        rest = iter(items)
        with ThreadPoolExecutor(self.n_workers) as pool:
            running = {pool.submit(call, item) for item in islice(rest, self.n_workers)}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from _results(done)
                running |= {pool.submit(call, item) for item in islice(rest, len(done))}


class Cluster:
    """A Dask cluster, by its connected client."""

    name = "dask"

    def __init__(self, client: Any) -> None:
        self.client = client
        self.n_workers = sum(client.nthreads().values())

    def run(self, call: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield results as they are there; at most two items for each worker are on the way."""
        from distributed import as_completed

        def submit(item: Item) -> Any:
            return self.client.submit(call, item, pure=False)

        rest = iter(items)
        first = [submit(item) for item in islice(rest, HELD_PER_WORKER * self.n_workers)]
        running = as_completed(first)
        for future in running:
            yield _result(future)
            future.release()
            running.update([submit(item) for item in islice(rest, 1)])

    def results(self, futures: Iterable[Any]) -> list[Any]:
        """What submitted calls gave, in their order; an error of a call is raised here."""
        return [_result(future) for future in futures]


def _result(future: Any) -> Any:
    with lost_work():
        return future.result()


@contextmanager
def lost_work(*others: type[Exception]) -> Iterator[None]:
    """Say in a sentence that a worker is gone, by Dask's errors and by some others.

    Raises:
        StoreError: One of them came up.
    """
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from distributed.comm.core import CommClosedError

    signs: tuple[type[Exception], ...]
    signs = (CommClosedError, FutureCancelledError, KilledWorker, *others)
    try:
        yield
    except signs as error:
        raise StoreError(
            f"the Dask cluster lost its work ({type(error).__name__}); look at its logs (memory?) "
            "and run the same command again: what is finished is kept."
        ) from error


def _results(done: set[Future[Result]]) -> Iterator[Result]:
    for future in done:
        yield future.result()


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def open_engine(name: str, scheduler: str) -> Iterator[Engine]:
    """The engine of `--engine` and `--scheduler`; both may be empty.

    Raises:
        ConfigError: A scheduler is named for the local engine.
        StoreError: The scheduler does not answer, or has no worker.
    """
    if name == "dask":
        with open_cluster(scheduler) as cluster:
            yield cluster
        return
    if scheduler:
        raise ConfigError(f"--scheduler {scheduler} goes with --engine dask; add it.")
    yield Threads()


@contextmanager
def joblib_on(name: str, scheduler: str) -> Iterator[None]:
    """Let joblib, and so the candidates' search, run on the engine of `--engine`."""
    with open_engine(name, scheduler) as engine:
        if isinstance(engine, Cluster):
            from joblib import parallel_config

            with parallel_config(backend="dask", client=engine.client, n_jobs=-1):
                yield
        else:
            yield


def running_cluster(asker: str) -> Cluster:
    """The cluster that `open_engine` holds open now.

    Raises:
        ConfigError: There is none; the sentence says what `asker` needs.
    """
    from distributed import get_client

    try:
        return Cluster(get_client())
    except ValueError as error:
        raise ConfigError(f"{asker} is done on Dask; add --engine dask.") from error


@contextmanager
def open_cluster(scheduler: str = "", n_workers: int = 0) -> Iterator[Cluster]:
    """Connect to a Dask cluster, or start one of processes on this machine for the while.

    Args:
        scheduler: Such as tcp://host:8786; empty for a cluster of our own.
        n_workers: Of a cluster of our own; one for each core if 0.

    Raises:
        StoreError: The scheduler does not answer within 5 seconds, or has no worker.
    """
    from distributed import Client, LocalCluster

    # Where ZenML has set up logging first, each worker that comes and goes would be told.
    logging.getLogger("distributed").setLevel(logging.ERROR)
    if not scheduler:
        with (
            LocalCluster(
                n_workers=n_workers or n_cores(),
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs="ERROR",
            ) as cluster,
            Client(cluster) as client,
        ):
            yield Cluster(client)
        return
    try:
        client = Client(scheduler, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise StoreError(
            f"--scheduler {scheduler}: no Dask scheduler answers there within {CONNECT_TIMEOUT_S} "
            "s; check the address (tcp://host:8786), or leave it out for a cluster on this machine."
        ) from error
    with client:
        if not client.nthreads():
            raise StoreError(
                f"--scheduler {scheduler}: the scheduler has no worker; start one with "
                f"`dask worker {scheduler}`."
            )
        yield Cluster(client)
