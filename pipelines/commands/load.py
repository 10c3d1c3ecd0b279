"""`run.py --load FILE`: a table into the collection that a problem is trained from."""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict

from pipelines.commands.train import DONE, find_problem
from pipelines.console import console
from pipelines.place import Place
from tabular.errors import ConfigError
from tabular.files import whole_file
from tabular.problem import Problem
from tabular.progress_bar import showing_progress
from tabular.sources import Rows, open_rows


def run(options: argparse.Namespace, place: Place) -> int:
    """Load one file; say how many rows are new, changed and as they were."""
    problem = find_problem(options.problem, place)
    uri = _server(problem)
    if options.report and not options.report.resolve().parent.is_dir():
        raise ConfigError(f"--report: there is no folder {options.report.parent}; make it first.")
    started = time.monotonic()
    outcome = _load(problem, options.load, uri, place)
    outcome["seconds"] = round(time.monotonic() - started, 3)
    console.print(
        f"{outcome['rows']:,} rows of {options.load} are in {outcome['collection']}: "
        f"{outcome['inserted']:,} inserted, {outcome['changed']:,} changed, "
        f"{outcome['unchanged']:,} unchanged"
    )
    if options.report:
        with whole_file(options.report.resolve()) as unfinished:
            unfinished.write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")
    return DONE


def _server(problem: Problem) -> str:
    """The server's address.

    Raises:
        ConfigError: The problem has no collection, or no server is named.
    """
    if problem.source.kind != "mongodb":
        raise ConfigError(
            f"--load: source.kind of problem '{problem.name}' is {problem.source.kind}, and rows "
            "can be loaded into mongodb; name a database and a collection in its YAML."
        )
    if not (uri := os.environ.get("MONGODB_URI", "")):
        raise ConfigError(
            "--load: MONGODB_URI is not set; name the server, such as "
            "MONGODB_URI=mongodb://user:password@host:27017."
        )
    return uri


def _load(problem: Problem, file: str, uri: str, place: Place) -> dict[str, object]:
    from tabular.mongo.loading import check_keys, write_rows

    def table() -> Rows:
        return open_rows(problem, data=file, root=place.root, mongodb_uri="", needs_target=True)

    rows = table()
    total = rows.n_rows
    if problem.source.key:
        total = check_keys(problem, rows.batches, file)
        rows = table()
    with showing_progress("loading") as progress:
        loaded = write_rows(uri, problem, rows.batches, total=total, progress=progress)
    source = problem.source
    return {
        "problem": problem.name,
        "file": file,
        "collection": f"{source.database}.{source.collection}",
        "rows": loaded.n_rows,
        **asdict(loaded),
    }
