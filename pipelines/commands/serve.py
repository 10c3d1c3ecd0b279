"""`run.py --serve`: `bentoml serve` with the bundle's own port and workers."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from pipelines.console import show_note
from pipelines.place import Place
from tabular.errors import ConfigError
from tabular.prediction_log.location import OFF
from tabular.prediction_log.mongo_location import uri_of
from tabular.serving import Serving

ALIAS = "production"


def run(options: argparse.Namespace, place: Place) -> int:
    """Become `bentoml serve`; nothing is returned unless it cannot start.

    Raises:
        ConfigError: The port is none, or BentoML is not installed beside this Python.
    """
    problem: str = Path(options.problem).stem
    serving = production_serving(problem, place)
    port = options.port if options.port is not None else serving.port
    if not 1 <= port <= 65_535:
        raise ConfigError(f"--port must be from 1 to 65535, got {port}.")
    bentoml = Path(sys.executable).parent / "bentoml"
    if not bentoml.is_file():
        raise ConfigError(f"{bentoml}: BentoML is not installed; run `make train` once.")
    show_note(f"{problem} at http://localhost:{port}, {serving.workers} worker(s); Ctrl-C ends it.")
    command = [str(bentoml), "serve", str(place.root), "--port", str(port)]
    os.execve(command[0], command, environment(problem, port, serving, place))  # noqa: S606


def production_serving(problem: str, place: Place) -> Serving:
    """The serving part of the production bundle; the defaults where there is none yet."""
    registry = place.open_registry()
    version = registry.alias(problem, ALIAS)
    if version is None:
        show_note(f"{problem} has no {ALIAS} version yet: answers start when there is one.")
        return Serving()
    manifest: dict[str, Any] = registry.manifest(problem, version)
    return Serving.model_validate(manifest.get("serving") or {})


def environment(problem: str, port: int, serving: Serving, place: Place) -> dict[str, str]:
    """The server's environment.

    BENTOML_HOME is the server's own: two servers in one would mix their metrics.
    """
    own = {
        "BENTOLINE_PROBLEM": problem,
        "BENTOLINE_HOME": str(place.home),
        "BENTOLINE_WORKERS": str(serving.workers),
        "BENTOLINE_PREDICTION_LOG": uri_of(place.prediction_log) or OFF,
    }
    defaults = {
        "BENTOML_HOME": str(place.home / "bentoml" / f"{problem}-{port}"),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    return {**defaults, **os.environ, **own}
