"""Columns derived from dates and times of day, which a model does not read themselves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from tabular.moments import EPOCHS, ISO
from tabular.proposal.columns import Decided

MAX_PAIRED = 3
OF_DATE = ("year", "month", "day_of_month", "day_of_week")
PAIRED = {"date": "days_between", "time": "minutes_between"}


def derivations(columns: Sequence[Decided], target: str) -> dict[str, Any]:
    """The `derive` part: parts of each date and time, and how far the first few are apart."""
    taken = {target, *(column.name for column in columns)}
    found: dict[str, Any] = {}

    def add(name: str, function: str, inputs: Sequence[str]) -> None:
        while name in taken:
            name += "_"
        taken.add(name)
        found[name] = {"function": function, "inputs": [*inputs]}

    for column in columns:
        kind = column.keys["type"]
        for function in {"date": _of_date(column.keys), "time": ("hour",)}.get(kind, ()):
            add(f"{column.name}_{function}", function, [column.name])
    for kind, function in PAIRED.items():
        some = [column.name for column in columns if column.keys["type"] == kind][:MAX_PAIRED]
        for start, end in combinations(some, 2):
            add(f"{start}_to_{end}", function, [start, end])
    return found


def _of_date(keys: dict[str, Any]) -> tuple[str, ...]:
    form = keys.get("format", "%Y-%m-%d")
    has_clock = form == ISO or form in EPOCHS or "%H" in form or "%I" in form
    return (*OF_DATE, "hour_of_day") if has_clock else OF_DATE
