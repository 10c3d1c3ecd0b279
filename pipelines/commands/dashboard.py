"""`run.py --dashboard`: ZenML's dashboard on this project's runs, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import webbrowser
from pathlib import Path

from pipelines.console import console, show_note
from pipelines.dashboard import HOST, RUNS, dashboard_server
from pipelines.place import Place
from pipelines.store import store_folder
from pipelines.store_view import store_url
from tabular.errors import ConfigError, StoreError

DONE = 0
PORT = 8237  # ZenML's own


def run(options: argparse.Namespace, place: Place) -> int:
    """Serve the dashboard; the address is printed, and opened where a desktop is.

    Raises:
        ConfigError: There is no store yet, or the port is none or taken.
        StoreError: The server does not start, or ended.
    """
    port = PORT if options.port is None else options.port
    if not 1 <= port <= 65_535:
        raise ConfigError(f"--port must be from 1 to 65535, got {port}.")
    url = _store(place.home)
    if url.startswith(("http://", "https://")):
        show_note(f"ZenML's store is a server; its dashboard is at {url}.")
        return DONE
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with dashboard_server(place.home, url, port) as server:
            address = f"http://{HOST}:{port}{RUNS}"
            console.print(f"runs at {address}; Ctrl-C ends it.")
            _open(address)
            code = server.wait()
    except KeyboardInterrupt:
        return DONE
    raise StoreError(f"ZenML's server ended by itself, exit code {code}; start it again.")


def _store(home: Path) -> str:
    """Where ZenML keeps its runs.

    Raises:
        ConfigError: Nothing ran yet.
    """
    if url := store_url(store_folder(home)):
        return url
    raise ConfigError(
        f"--dashboard: {home} has no runs yet; --train makes one, or set BENTOLINE_HOME to the "
        "folder of those that you look for."
    )


def _open(address: str) -> None:
    """Open a browser window; a text browser would take over the terminal."""
    has_desktop = sys.platform == "darwin" or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))
    )
    if has_desktop and sys.stdout.isatty():
        webbrowser.open(address)
