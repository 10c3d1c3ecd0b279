"""ZenML's store: held alone, opened quickly, cleared of runs that died. docs/adr/0005 says why."""

from __future__ import annotations

import fcntl
import functools
import importlib.metadata
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from pipelines.console import show_note
from tabular.errors import StoreError
from tabular.files import disk_error

# ZenML fills a new store with the flavors of all its integrations, and imports each installed one
# at every start: 3 s of CPU for parts that no stack of ours names.
INTEGRATIONS = ("aws", "kubernetes", "mlflow", "s3")
POLL_S = 0.05
CONNECT_S = 5.0
DEFAULT_PORTS = {"http": 80, "https": 443}


@contextmanager
def zenml_store(home: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Point ZenML at the store under `home`, and hold it alone: two processes would corrupt it.

    Raises:
        StoreError: Another process holds the store for longer, or the folder cannot be written.
    """
    folder = store_folder(home)
    for key, value in {
        "ZENML_CONFIG_PATH": str(folder),
        "ZENML_ANALYTICS_OPT_IN": "false",
        "ZENML_LOGGING_VERBOSITY": "CRITICAL",  # errors reach the user as our one sentence
        "ZENML_ENABLE_RICH_TRACEBACK": "false",
        "AUTO_OPEN_DASHBOARD": "false",
    }.items():
        os.environ.setdefault(key, value)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "bentoline.lock").open("a+")
    except OSError as error:
        raise disk_error(folder / "bentoline.lock", error) from error
    with lock:  # closing the file frees the lock, as the end of the process does
        _hold(lock, folder, wait_s)
        yield


def _hold(lock: IO[str], folder: Path, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"{folder}: another run or promotion is using this ZenML store; wait for it, "
                    "or set BENTOLINE_HOME to another folder."
                ) from error
            time.sleep(POLL_S)
        else:
            return


def store_folder(home: Path) -> Path:
    """Where ZenML keeps its configuration, and its store unless that names another."""
    return Path(os.environ.get("ZENML_CONFIG_PATH") or home / "zenml")


def has_store(home: Path) -> bool:
    """Whether ZenML was ever used from here."""
    return "ZENML_STORE_URL" in os.environ or (store_folder(home) / "config.yaml").exists()


def open_client() -> Any:
    """A ZenML client on the store that `zenml_store` points at.

    Raises:
        StoreError: ZENML_STORE_URL names a server where nobody listens.
    """
    _check_server(os.environ.get("ZENML_STORE_URL", ""))
    from zenml.client import Client
    from zenml.integrations.registry import integration_registry

    importlib.metadata.packages_distributions = lambda: DISTRIBUTIONS
    for name in set(integration_registry.integrations).difference(INTEGRATIONS):
        del integration_registry.integrations[name]
    return Client()


class Distributions(Mapping[str, list[str]]):
    """The distributions that each module comes from, as `packages_distributions` gives them.

    ZenML asks for one module at each kind of artifact, and Python's own function reads the lists of
    files of all that is installed for it, 0.5 s of CPU. One that bears the module's name is found
    at once; everything else is asked of Python's.
    """

    def __init__(self, scan: Callable[[], Mapping[str, list[str]]]) -> None:
        self._scan = functools.cache(scan)

    def __getitem__(self, module: str) -> list[str]:
        try:
            return [importlib.metadata.distribution(module).name]
        except importlib.metadata.PackageNotFoundError:
            return self._scan()[module]

    def __iter__(self) -> Iterator[str]:
        return iter(self._scan())

    def __len__(self) -> int:
        return len(self._scan())


DISTRIBUTIONS = Distributions(importlib.metadata.packages_distributions)


def _check_server(url: str) -> None:
    """ZenML itself asks ten times, prints each, and ends with an error of its own."""
    address = urlsplit(url)
    if address.scheme not in DEFAULT_PORTS:
        return
    place = (address.hostname or "", address.port or DEFAULT_PORTS[address.scheme])
    try:
        socket.create_connection(place, timeout=CONNECT_S).close()
    except OSError as error:
        raise StoreError(
            f"ZENML_STORE_URL: ZenML's server at {place[0]}:{place[1]} does not answer "
            f"({error.strerror or error}); start it, or unset the variable to use this machine's "
            "own store."
        ) from error


def reap_dead_runs(client: Any) -> None:
    """Mark as failed what a killed process left `running`: the lock says that nobody runs now."""
    from zenml.enums import ExecutionStatus
    from zenml.models import PipelineRunUpdate

    for status in (ExecutionStatus.RUNNING, ExecutionStatus.INITIALIZING):
        for run in client.list_pipeline_runs(status=status.value, size=1000).items:
            client.zen_store.update_run(run.id, PipelineRunUpdate(status=ExecutionStatus.FAILED))
            show_note(f"run {run.name} had died; it is marked as failed.")
