"""`run.py --trace REQUEST_ID`: from an answer to its model, run, data, commit and promotion."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from pipelines.lineage import trace_request
from pipelines.outcome import as_json, check_report, write_report
from pipelines.place import Place
from pipelines.promotion import published_problem
from pipelines.status_table import wide_console
from pipelines.store import store_folder
from pipelines.store_view import run_status
from tabular.card import number
from tabular.errors import ConfigError

DONE = 0
SHOWN_SHA = 16
PARTS = ("read", "refused", "train", "validation", "test")


def run(options: argparse.Namespace, place: Place) -> int:
    """Look a request up in the prediction log, and the rest in the registry.

    Raises:
        ConfigError: Nothing is logged here, or not this request.
    """
    check_report(options.report)
    if not place.prediction_log:
        raise ConfigError(
            "--trace: BENTOLINE_PREDICTION_LOG is off here; name the log that the service writes."
        )
    registry = place.open_registry()
    named = [published_problem(registry, options.problem)] if options.has_problem else None
    found = trace_request(
        registry, place.prediction_log, named or registry.problems(), options.trace
    )
    found["run_status"] = found["run"] and run_status(store_folder(place.home), found["run"])
    found["data"]["snapshot"] = _snapshot(place.home, found)
    if options.json:
        sys.stdout.write(as_json(found))
    else:
        _show(found)
    write_report(options.report, found)
    return DONE


def _snapshot(home: Path, found: dict[str, Any]) -> str | None:
    """The file of the very rows, where this home still has it."""
    sha256 = found["data"]["sha256"] or ""
    file = home / "snapshots" / found["problem"] / f"{sha256[:SHOWN_SHA]}.parquet"
    return str(file) if sha256 and file.exists() else None


def _show(found: dict[str, Any]) -> None:
    console = wide_console()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _lines(found):
        table.add_row(name, Text(value))
    console.print(table)


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    data, verdict, promoted = found["data"], found["verdict"], found["promoted"]
    rows = ", ".join(f"{name} {data['rows'][name]:,}" for name in PARTS if name in data["rows"])
    status = f" ({found['run_status']})" if found["run_status"] else ""
    by = "by no move of production that the audit has"
    if promoted:
        override = f"; override: {promoted['override']}" if promoted["override"] else ""
        by = f"{promoted['actor']}, {promoted['at'][:19]}: {promoted['why']}{override}"
    return [
        ("request", f"{found['request_id']}, answered {found['answered_at'][:19]} UTC"),
        ("answer", ", ".join(f"{name} {_value(v)}" for name, v in found["answer"].items())),
        (
            "version",
            f"{found['problem']} {found['version']} ({found['model'] or 'model not named'})",
        ),
        ("bundle", found["bundle"]),
        ("image", found["image_digest"] or "none recorded"),
        ("run", f"{found['run'] or 'not recorded'}{status}"),
        ("data", f"{data['source'] or 'not recorded'}{', synthetic' if data['synthetic'] else ''}"),
        ("", f"sha256 {data['sha256'] or 'not recorded'}"),
        ("", data["snapshot"] or "its rows are not kept in this home"),
        ("rows", rows or "not recorded"),
        ("commit", found["git_commit"] or "not recorded"),
        ("verdict", verdict["sentence"] or "not recorded"),
        *(("", f"{'✓' if g['passed'] else '✗'} {g['sentence']}") for g in verdict["gates"]),
        ("promoted", by),
    ]


def _value(value: object) -> str:
    return value if isinstance(value, str) else number(value, 1)
