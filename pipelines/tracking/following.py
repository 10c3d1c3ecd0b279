"""MLflow follows the registry where it is named; the registry stands where it cannot."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipelines.console import show_note
from pipelines.place import Place
from tabular.errors import ConfigError, StoreError
from tabular.registry import Registry

if TYPE_CHECKING:
    from pipelines.tracking.mlflow_registry import MlflowRegistry

# MLflow alone would ask a server that is away for several minutes.
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@contextmanager
def open_mlflow(uri: str) -> Iterator[MlflowRegistry]:
    """MLflow's side of the mirror, quiet and bounded in time.

    Raises:
        StoreError: MLflow cannot be reached, or refuses.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.exceptions import MlflowException

        from pipelines.tracking.mlflow_registry import MlflowRegistry

        try:
            yield MlflowRegistry(uri)
        except (MlflowException, OSError) as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise StoreError(
                f"MLFLOW_TRACKING_URI: MLflow does not answer as it should ({reason}); check that "
                "the server runs and that MLFLOW_TRACKING_USERNAME, _PASSWORD or _TOKEN are right."
            ) from error


def follow_in_mlflow(place: Place, registry: Registry, problem: str) -> bool | None:
    """Let MLflow show a problem as the registry has it, and say so.

    Returns:
        Whether it does; None where the environment names no MLflow.
    """
    if not place.mlflow:
        return None
    try:
        with open_mlflow(place.mlflow) as mlflow:
            mlflow.follow(registry, problem)
    except StoreError as error:
        show_note(f"MLflow does not show it yet: {error} The next command brings it up to date.")
        return False
    show_note("MLflow shows it too.")
    return True


def version_in_mlflow(place: Place, registry: Registry, problem: str, alias: str) -> str:
    """The version that an alias names in MLflow, where somebody may have moved it.

    Raises:
        ConfigError: The environment names no MLflow, or the alias no version of ours there.
        StoreError: MLflow cannot be reached, or refuses.
    """
    if not place.mlflow:
        raise ConfigError("--promote mlflow: set MLFLOW_TRACKING_URI to the server that is meant.")
    with open_mlflow(place.mlflow) as mlflow:
        model = mlflow.model(registry, problem)
        version = mlflow.aliases(model).get(alias)
    if version is None:
        raise ConfigError(
            f"--promote mlflow: {model} has no version of {problem} under '{alias}' in MLflow; "
            "set the alias there, or name the version here."
        )
    return version
