"""Outcomes that arrive later: checked against the target and the log, and kept beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tabular.contract import Column, Frozen
from tabular.errors import DataError, did_you_mean, listed
from tabular.prediction_log.layout import LABEL_SCHEMA, write_labels
from tabular.prediction_log.names import PRODUCTION
from tabular.prediction_log.outcomes import MAX_SKEW, OUTCOME, Label, LabelError, LabelReader
from tabular.prediction_log.reading import EARLIEST, OnUnreadable, read_labels, read_log
from tabular.problem import Problem

UNKNOWN = "unknown: no answer to this row is in the log"
DOUBLED = "doubled: another outcome of this row is known, and stays"
TOO_EARLY = "at: lies before the answer; are the clocks apart?"

Key = tuple[str, int]


class Refused(Frozen):
    """A label that was not taken: its place in what was given, from 1, and the rule."""

    place: int
    request_id: str
    row: str
    outcome: str
    rule: str


class LabelReport(Frozen):
    """What became of n given labels; `known` ones say what was said before."""

    given: int
    taken: int
    known: int
    refused: dict[str, int]
    rows: tuple[Refused, ...] = Field(exclude=True)
    unreadable: tuple[str, ...] = ()


def label_reader(problem: Problem) -> LabelReader:
    """The reader for a problem's target."""
    target = problem.target
    tokens = problem.contract.tokens(Column(type="number"))
    return LabelReader(target.column, target.classes, (target.min, target.max), tokens)


def check_columns(problem: Problem, names: Iterable[str], *, where: str) -> list[str]:
    """The columns of a table of labels that are read.

    Raises:
        DataError: It has no request_id, or no outcome.
    """
    names = list(names)
    outcome = problem.target.column if problem.target.column in names else OUTCOME
    for name in ("request_id", outcome):
        if name not in names:
            wanted = "request_id" if name == "request_id" else f"{problem.target.column} or outcome"
            raise DataError(
                f"{where}: there is no column {wanted}{did_you_mean(name, names)}; found "
                f"{listed(names)}. Labels need request_id and {problem.target.column} or outcome, "
                "and may have row and at."
            )
    return [name for name in ("request_id", "row", outcome, "at") if name in names]


def take_labels(
    location: str, problem: Problem, given: Sequence[Mapping[str, Any]], *, now: datetime
) -> LabelReport:
    """Keep the labels that are right, once each; what is given again changes nothing.

    Args:
        location: The prediction log.
        problem: Its target says what an outcome may be.
        given: request_id, the outcome by the target's name or `outcome`, row and at or not.
        now: UTC; later times are refused.

    Raises:
        DataError: There is no prediction log of the problem.
        StoreError: The log cannot be read or written.
    """
    unreadable: list[str] = []
    labels, refused = _read(label_reader(problem), given, now)
    answered = _answered(location, problem.name, labels.values(), unreadable.append)
    known = _known(location, problem.name, labels.values(), unreadable.append)
    new: dict[Key, Label] = {}
    n_known = 0
    for place, label in labels.items():
        key = (label.request_id, label.row)
        before = new[key].outcome if key in new else known.get(key)
        if key not in answered:
            refused[place] = UNKNOWN
        elif label.at < answered[key] - MAX_SKEW:
            refused[place] = TOO_EARLY
        elif before is None:
            new[key] = label
        elif before == label.outcome:
            n_known += 1
        else:
            refused[place] = DOUBLED
    if new:
        kept = [label._asdict() for label in new.values()]
        write_labels(location, problem.name, pa.Table.from_pylist(kept, LABEL_SCHEMA))
    rows = _refused(given, refused, problem.target.column)
    return LabelReport(
        given=len(given),
        taken=len(new),
        known=n_known,
        refused=dict(Counter(row.rule for row in rows).most_common()),
        rows=rows,
        unreadable=tuple(unreadable),
    )


def _read(
    reader: LabelReader, given: Iterable[Mapping[str, Any]], now: datetime
) -> tuple[dict[int, Label], dict[int, str]]:
    """Labels, and the rules that the others break, by their place from 1."""
    labels: dict[int, Label] = {}
    refused: dict[int, str] = {}
    for place, one in enumerate(given, start=1):
        try:
            labels[place] = reader.read(one, now)
        except LabelError as error:
            refused[place] = str(error)
    return labels, refused


def _answered(
    location: str, problem: str, labels: Iterable[Label], on_unreadable: OnUnreadable
) -> dict[Key, datetime]:
    """When each of these rows was answered, the first time."""
    ids = pa.array({label.request_id for label in labels}, pa.string())
    found: dict[Key, datetime] = {}
    columns = ["at", "request_id", "row", "role"]
    for batch in read_log(location, problem, EARLIEST, None, columns, on_unreadable=on_unreadable):
        is_meant = pc.and_(pc.is_in(batch["request_id"], ids), pc.equal(batch["role"], PRODUCTION))
        for row in batch.filter(is_meant).to_pylist():
            key = (row["request_id"], row["row"])
            found[key] = min(row["at"], found.get(key, row["at"]))
    return found


def _known(
    location: str, problem: str, labels: Iterable[Label], on_unreadable: OnUnreadable
) -> dict[Key, str]:
    table = read_labels(location, problem, EARLIEST, on_unreadable=on_unreadable)
    ids = pa.array({label.request_id for label in labels}, pa.string())
    rows = table.filter(pc.is_in(table["request_id"], ids)).to_pylist()
    return {(row["request_id"], row["row"]): row["outcome"] for row in rows}


def _refused(
    given: Sequence[Mapping[str, Any]], refused: Mapping[int, str], column: str
) -> tuple[Refused, ...]:
    return tuple(
        Refused(
            place=place,
            request_id=str(given[place - 1].get("request_id")),
            row=str(given[place - 1].get("row", 0)),
            outcome=str(given[place - 1].get(column, given[place - 1].get(OUTCOME))),
            rule=refused[place],
        )
        for place in sorted(refused)
    )
