"""`run.py --labels FILE|mongodb`: outcomes into the prediction log, and how each version does."""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.commands.train import find_problem
from pipelines.console import show_note
from pipelines.labels_console import show_labels
from pipelines.outcome import check_report, write_report
from pipelines.place import Place
from tabular.bundle import load_bundle
from tabular.decision import Decision
from tabular.errors import BentolineError, ConfigError, DataError
from tabular.files import whole_file
from tabular.prediction_log.label_sources import read_collection, read_file
from tabular.prediction_log.labels import LabelReport, Refused, take_labels
from tabular.prediction_log.performance import VersionPerformance, by_version
from tabular.prediction_log.reading import EARLIEST, joined_labels
from tabular.problem import Problem

DONE = 0
MONGODB = "mongodb"


def run(options: argparse.Namespace, place: Place) -> int:
    """Take what is right, name what is not.

    Raises:
        ConfigError: Nothing is logged here, or no server is named.
        DataError: Not one label could be taken.
    """
    check_report(options.report)
    if not place.prediction_log:
        raise ConfigError(
            "--labels: BENTOLINE_PREDICTION_LOG is off here; name the log that the service writes."
        )
    problem = find_problem(options.problem, place)
    given = _given(options.labels, problem)
    taken = take_labels(place.prediction_log, problem, given, now=datetime.now(UTC))
    file = _quarantine(taken.rows, place.home / "quarantine" / problem.name)
    for sentence in taken.unreadable:
        show_note(sentence)
    if taken.taken + taken.known == 0:
        raise _refused(options.labels, taken, file)
    performance = _performance(problem, place)
    show_labels(options.labels, taken, file, performance)
    write_report(
        options.report,
        {
            "problem": problem.name,
            "labels": options.labels,
            **taken.model_dump(),
            "quarantine": file and str(file),
            "versions": [one.model_dump() for one in performance],
        },
    )
    return DONE


def _given(named: str, problem: Problem) -> list[dict[str, Any]]:
    if named != MONGODB:
        return read_file(named, problem)
    if not (uri := os.environ.get("MONGODB_URI", "")):
        raise ConfigError(
            "--labels mongodb: MONGODB_URI is not set; name the server, such as "
            "MONGODB_URI=mongodb://user:password@host:27017."
        )
    return read_collection(uri, problem)


def _quarantine(rows: tuple[Refused, ...], folder: Path) -> Path | None:
    """Write refused labels; the same ones give the same file."""
    if not rows:
        return None
    content = "\n".join(row.model_dump_json() for row in rows)
    file = folder / f"labels-{hashlib.sha256(content.encode()).hexdigest()[:16]}.csv"
    with whole_file(file) as unfinished, unfinished.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(Refused.model_fields))
        writer.writeheader()
        writer.writerows(row.model_dump() for row in rows)
    return file


def _refused(named: str, taken: LabelReport, file: Path | None) -> DataError:
    rule, n_rows = next(iter(taken.refused.items()), ("no row", 0))
    listed = f"; {file} lists them" if file else ""
    return DataError(
        f"{named}: none of {taken.given:,} labels could be taken, {n_rows:,} of them by the rule "
        f"'{rule}'{listed}. Nothing was changed."
    )


def _performance(problem: Problem, place: Place) -> list[VersionPerformance]:
    """Of every version of which outcomes are known; none where the registry is elsewhere."""
    registry = place.open_registry()
    unreadable: list[str] = []
    joined = joined_labels(
        place.prediction_log, problem.name, EARLIEST, on_unreadable=unreadable.append
    )

    def decision_of(version: str) -> Decision:
        return load_bundle(registry.fetch(problem.name, version)).decision

    try:
        return by_version(joined, problem, decision_of)
    except BentolineError as error:
        show_note(f"the labels are kept, but cannot be measured here: {error}")
        return []
