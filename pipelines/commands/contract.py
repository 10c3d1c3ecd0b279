"""`run.py --contract diff`: what changed in the data's columns, and what of it breaks."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from pipelines.commands.train import find_problem
from pipelines.console import console
from pipelines.outcome import check_report, write_report
from pipelines.place import Place
from tabular.sources import find_table
from tabular.tables.evolution import Change, diff_table, newest_snapshot

COMPATIBLE, BREAKING = 0, 1


def run(options: argparse.Namespace, place: Place) -> int:
    """Compare the problem's data, or `--data`, with its contract and last snapshot."""
    check_report(options.report)
    problem = find_problem(options.problem, place)
    uri = os.environ.get("MONGODB_URI", "")
    found = find_table(problem, data=options.data or "", root=place.root, mongodb_uri=uri)
    last = newest_snapshot(place.home / "snapshots" / problem.name)
    changes = diff_table(problem, found.table, last)
    n_breaking = sum(change.breaks for change in changes)
    _show(changes)
    against = f"the contract of {problem.name}" + (f" and snapshot {last.stem}" if last else "")
    console.print(
        f"{found.source} against {against}: {n_breaking} breaking, "
        f"{len(changes) - n_breaking} compatible.",
        style="bold red" if n_breaking else "bold green",
    )
    write_report(
        options.report,
        {
            "problem": problem.name,
            "source": found.source,
            "snapshot": last.stem if last else None,
            "compatible": n_breaking == 0,
            "changes": [change.model_dump() for change in changes],
        },
    )
    return BREAKING if n_breaking else COMPATIBLE


def _show(changes: Sequence[Change]) -> None:
    if not changes:
        return
    table = Table("", "column", "change", "before", "now", box=None, pad_edge=False)
    for change in changes:
        verdict = Text("breaks", "red") if change.breaks else Text("fits", "green")
        words = (change.column, change.what, change.before, change.after)
        table.add_row(verdict, *(Text(word, overflow="fold") for word in words))
    console.print(table)
    for change in changes:
        if change.fix:
            console.print(Text(f" {change.column}: {change.fix}"))
