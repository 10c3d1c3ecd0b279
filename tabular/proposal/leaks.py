"""Columns that tell the target, found by the audit's own rules before the YAML is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tabular.contract import Array
from tabular.leaks.audit import column_findings
from tabular.leaks.findings import Finding
from tabular.leaks.measures import correlation
from tabular.problem import Problem

MAX_AUDITED = 100  # columns; of a wider table those that go with the target most
AUDIT_ROWS = 20_000
MAX_ROUNDS = 5


@dataclass(frozen=True)
class LeftOut:
    """A column, or a derived one, that would tell the target, and how that was seen."""

    name: str
    why: str


def leave_out_leaks(rows: pd.DataFrame, draft: Problem) -> tuple[LeftOut, ...]:
    """Find the columns without which the leak audit finds nothing more that blocks.

    Args:
        rows: (n, k) typed rows of a sample, target included.
        draft: The problem as it is so far. Of several columns that tell the target together, the
            last one goes.
    """
    some = rows.head(AUDIT_ROWS) if len(rows) > AUDIT_ROWS else rows
    problem = _narrowed(some, draft)
    found: dict[str, str] = {}
    for _ in range(MAX_ROUNDS):
        blocking = [one for one in column_findings(some, problem) if one.severity == "block"]
        if not blocking:
            break
        for finding in blocking:
            name = finding.columns[-1]
            found.setdefault(name, _reason(finding))
        problem = _without(problem, found)
        if not any(column.is_feature for column in problem.columns.values()):
            break
    return tuple(LeftOut(name, why) for name, why in found.items())


def _reason(finding: Finding) -> str:
    """The finding's own words, without the fix."""
    return "a leak: " + finding.sentence.partition(": take ")[0].partition(": write ")[0]


def _without(problem: Problem, names: Mapping[str, str]) -> Problem:
    columns = {n: c for n, c in problem.columns.items() if n not in names}
    derive = {
        name: one
        for name, one in problem.derive.items()
        if name not in names and columns.keys() >= {*one.inputs}
    }
    return problem.model_copy(update={"columns": columns, "derive": derive})


def _narrowed(rows: pd.DataFrame, problem: Problem) -> Problem:
    """The problem with at most `MAX_AUDITED` columns that a model sees."""
    names = [name for name, column in problem.columns.items() if column.is_feature]
    if len(names) <= MAX_AUDITED:
        return problem
    y = rows[problem.target.column].to_numpy(dtype=float)
    strength = {name: abs(correlation(_ranks(rows[name]), y)) for name in names}
    weak = sorted(names, key=lambda name: -strength[name])[MAX_AUDITED:]
    return _without(problem, dict.fromkeys(weak, ""))


def _ranks(values: pd.Series) -> Array:
    codes = values if values.dtype.kind == "f" else pd.Series(pd.factorize(values)[0])
    return np.nan_to_num(codes.rank().to_numpy(dtype=float))
