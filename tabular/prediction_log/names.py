"""How the prediction log is laid out: folders, file names, columns. Needs no Arrow library.

    LOG/problem=NAME/date=2026-03-01/20260301T115959Z-1a2b3c4d-000001.parquet    a sealed file
    LOG/problem=NAME/.open/20260301T120000Z-1a2b3c4d-000002.frames               a journal (below)
    LOG/labels/problem=NAME/date=2026-03-02/...parquet                           outcomes

A file's name is the second of its first row (where the service wrote outcomes, when the first one
came), the process that wrote it, and a number. A journal is sealed into the Parquet file of its own
name: where both are there, the journal counts no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # the process that seals files starts in half the time without numpy
    from tabular.contract import Contract


Kind = Literal["time", "text", "place", "number"]
Sensitive = Literal["hash", "omit"]

PRODUCTION, SHADOW = "production", "shadow"
INPUT = "in."
OPEN, FRAMES, SEALED = ".open", ".frames", ".parquet"
LABELS = "labels"

# Of every problem, before its inputs.
ANSWER_COLUMNS: dict[str, Kind] = {
    "at": "time",
    "request_id": "text",
    "row": "place",
    "version": "text",
    "role": "text",
    "prediction": "text",
    "value": "number",
    "probability": "number",
    "low": "number",
    "high": "number",
}
LABEL_COLUMNS: dict[str, Kind] = {
    "request_id": "text",
    "row": "place",
    "outcome": "text",
    "at": "time",
}

_START = "%Y%m%dT%H%M%SZ"
_STEM = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]+-\d+")


def input_columns(contract: Contract, sensitive: Sensitive = "hash") -> dict[str, Kind]:
    """The logged inputs by their column in the contract; a hash is a text."""
    return {
        name: "number" if column.type == "number" and not column.sensitive else "text"
        for name, column in contract.inputs().items()
        if not (column.sensitive and sensitive == "omit")
    }


def log_columns(contract: Contract, sensitive: Sensitive = "hash") -> dict[str, Kind]:
    """Every column of a problem's log, in order: the same for each task."""
    inputs = input_columns(contract, sensitive)
    return ANSWER_COLUMNS | {INPUT + name: kind for name, kind in inputs.items()}


def problem_folder(problem: str) -> str:
    """Where a problem's answers lie below the log."""
    return f"problem={problem}"


def labels_folder(problem: str) -> str:
    """Where a problem's outcomes lie below the log."""
    return f"{LABELS}/problem={problem}"


def day_folder(day: date) -> str:
    """The folder of a day, UTC."""
    return f"date={day.isoformat()}"


def file_stem(start: datetime, worker: str, number: int) -> str:
    """A file's name without its ending; names sort by time."""
    return f"{start.astimezone(UTC).strftime(_START)}-{worker}-{number:06}"


def is_stem(text: str) -> bool:
    """Whether this is a file's name of ours, without its ending."""
    return bool(_STEM.fullmatch(text))


def start_of(stem: str) -> datetime:
    """The second of a file's first row."""
    return datetime.strptime(stem.partition("-")[0], _START).replace(tzinfo=UTC)


def sealed_key(stem: str) -> str:
    """Where a sealed file lies below its problem's folder: under the day of its first row."""
    return f"{day_folder(start_of(stem).date())}/{stem}{SEALED}"


def sealed_files(log: Path) -> list[Path]:
    """Every sealed file of a log in a folder, by problem and day; without unfinished ones."""
    found = log.rglob(f"date=*/*{SEALED}")
    return sorted(path for path in found if not path.name.startswith("."))


def days_between(names: Iterable[str], since: datetime, until: datetime | None) -> list[str]:
    """Of day folders, those with files that may hold rows of this time, sorted.

    A file that began just before midnight holds rows of the next day.
    """
    first = day_folder(date.fromordinal(since.astimezone(UTC).toordinal() - 1))
    last = day_folder(until.astimezone(UTC).date()) if until else "date=~"
    return sorted(name for name in names if first <= name <= last)
