"""A look into the ZenML store without ZenML, whose fresh process costs about 10 s of CPU.

It goes to ZenML's SQLite file itself, read-only. docs/adr/0010 says why, and what is done where the
store is no such file.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import yaml

from tabular.versions.stages import Shown

_SHOWN = """
select model.name, version.name, coalesce(version.stage, 'none'), exists (
    select 1 from tag_resource join tag on tag.id = tag_resource.tag_id
    where tag_resource.resource_id = version.id and tag.name = 'candidate'
)
from model_version as version join model on model.id = version.model_id
where model.project_id = ?
"""


def shown_stages(store: Path) -> dict[str, dict[str, Shown]] | None:
    """What ZenML shows, by problem and version; None where only ZenML itself can tell."""
    project = _config(store).get("active_project_id")
    rows = _query(store, _SHOWN, UUID(str(project)).hex) if project else None
    if rows is None:
        return None
    shown: dict[str, dict[str, Shown]] = {}
    for problem, version, stage, is_candidate in rows:
        shown.setdefault(problem, {})[version] = Shown(stage, bool(is_candidate))
    return shown


def run_status(store: Path, run: str) -> str | None:
    """The status of a run such as `completed`; None where this store does not tell."""
    rows = _query(store, "select status from pipeline_run where id = ?", UUID(run).hex)
    return str(rows[0][0]) if rows else None


def store_url(store: Path) -> str:
    """Where ZenML keeps its runs, as its own settings name it; empty where it was never used."""
    return os.environ.get("ZENML_STORE_URL") or str(_config(store).get("store", {}).get("url", ""))


def _query(store: Path, statement: str, *values: str) -> list[tuple[Any, ...]] | None:
    """Rows of ZenML's SQLite file; None where there is none, or it cannot be read just now."""
    scheme, _, path = store_url(store).partition(":///")
    if scheme != "sqlite" or not Path(path).exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=1)) as file:
            return file.execute(statement, values).fetchall()
    except sqlite3.Error:
        return None


def _config(store: Path) -> dict[str, Any]:
    try:
        text = (store / "config.yaml").read_text(encoding="utf-8")
    except OSError:
        return {}
    return yaml.safe_load(text) or {}
