"""The ZenML store of a home: held alone while it is written, and looked at without ZenML.

A fresh ZenML process costs about 10 s of CPU, so that a look goes to ZenML's SQLite file itself,
read-only. docs/adr/0010 says why, and what is done where the store is no such file.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote
from uuid import UUID

import yaml

from pipelines.console import show_note
from tabular.errors import StoreError
from tabular.files import disk_error
from tabular.stages import Shown

_POLL_S = 0.05
_SHOWN = """
select model.name, version.name, coalesce(version.stage, 'none'), exists (
    select 1 from tag_resource join tag on tag.id = tag_resource.tag_id
    where tag_resource.resource_id = version.id and tag.name = 'candidate'
)
from model_version as version join model on model.id = version.model_id
where model.project_id = ?
"""


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
                    f"{folder}: another training run is using this ZenML store; wait for it, or "
                    "set BENTOLINE_HOME to another folder."
                ) from error
            time.sleep(_POLL_S)
        else:
            return


def store_folder(home: Path) -> Path:
    """Where ZenML keeps its configuration, and its store unless that names another."""
    return Path(os.environ.get("ZENML_CONFIG_PATH") or home / "zenml")


def has_store(home: Path) -> bool:
    """Whether ZenML was ever used from here."""
    return "ZENML_STORE_URL" in os.environ or (store_folder(home) / "config.yaml").exists()


def shown_stages(home: Path) -> dict[str, dict[str, Shown]] | None:
    """What ZenML shows, by problem and version; None where only ZenML itself can tell."""
    project = _config(home).get("active_project_id")
    rows = _query(home, _SHOWN, UUID(str(project)).hex) if project else None
    if rows is None:
        return None
    shown: dict[str, dict[str, Shown]] = {}
    for problem, version, stage, is_candidate in rows:
        shown.setdefault(problem, {})[version] = Shown(stage, bool(is_candidate))
    return shown


def run_status(home: Path, run: str) -> str | None:
    """The status of a run such as `completed`; None where this store does not tell."""
    rows = _query(home, "select status from pipeline_run where id = ?", UUID(run).hex)
    return str(rows[0][0]) if rows else None


def _query(home: Path, statement: str, *values: str) -> list[tuple[Any, ...]] | None:
    """Rows of ZenML's SQLite file; None where there is none, or it cannot be read just now."""
    url = os.environ.get("ZENML_STORE_URL") or str(_config(home).get("store", {}).get("url", ""))
    scheme, _, path = url.partition(":///")
    if scheme != "sqlite" or not Path(path).exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=1)) as store:
            return store.execute(statement, values).fetchall()
    except sqlite3.Error:
        return None


def _config(home: Path) -> dict[str, Any]:
    try:
        text = (store_folder(home) / "config.yaml").read_text(encoding="utf-8")
    except OSError:
        return {}
    return yaml.safe_load(text) or {}


def reap_dead_runs(client: Any) -> None:
    """Mark as failed what a killed process left `running`: the lock says that nobody runs now."""
    from zenml.enums import ExecutionStatus
    from zenml.models import PipelineRunUpdate

    for status in (ExecutionStatus.RUNNING, ExecutionStatus.INITIALIZING):
        for run in client.list_pipeline_runs(status=status.value, size=1000).items:
            client.zen_store.update_run(run.id, PipelineRunUpdate(status=ExecutionStatus.FAILED))
            show_note(f"run {run.name} had died; it is marked as failed.")
