"""One outcome as it is kept: the raw label of the table. The service and `--labels` share this."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tabular.contract import category_text, is_missing
from tabular.errors import listed

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
MAX_ROW = 2**31 - 1
# Clocks of two machines may be this far apart.
MAX_SKEW = timedelta(minutes=5)
OUTCOME = "outcome"


class LabelError(Exception):
    """A label that cannot be kept; the message is the rule. Never leaves the label modules."""


class Label(NamedTuple):
    """The outcome of one answered row; `outcome` is the raw label, as the table would hold it."""

    request_id: str
    row: int
    outcome: str
    at: datetime


class LabelReader:
    """Reads labels by a problem's target.

    `classes` maps the name people read to the raw value, and is empty for a regression. Both are
    taken, a raw value first.
    """

    def __init__(
        self,
        column: str,
        classes: Mapping[str, Any],
        bounds: tuple[float | None, float | None],
        tokens: frozenset[str],
    ) -> None:
        self.column = column
        self._classes = classes
        self._texts = {name: category_text(raw) for name, raw in classes.items()} | {
            category_text(raw): category_text(raw) for raw in classes.values()
        }
        self._low = -math.inf if bounds[0] is None else bounds[0]
        self._high = math.inf if bounds[1] is None else bounds[1]
        self._tokens = tokens

    def read(self, given: Any, now: datetime) -> Label:
        """Read one label: request_id, row (0 if none), the outcome, at (now if none).

        Raises:
            LabelError: A part of it is missing or wrong, or it is no mapping.
        """
        if not isinstance(given, Mapping):
            raise LabelError("an object with request_id and outcome")
        request_id = given.get("request_id")
        if not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id):
            raise LabelError("request_id: 1 to 64 letters, digits or . _ : -")
        name = self.column if self.column in given else OUTCOME
        return Label(
            request_id, _row(given.get("row")), self.outcome(given.get(name)), _at(given, now)
        )

    def outcome(self, value: Any) -> str:
        """The raw label that is meant.

        Raises:
            LabelError: It is missing, or breaks the target's rules.
        """
        if is_missing(value, self._tokens):
            raise LabelError("outcome: missing")
        if self._classes:
            found = self._texts.get(category_text(value))
            if found is None:
                raise LabelError(f"outcome: one of {listed(self._classes.values())}")
            return found
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise LabelError("outcome: a number")
        if not self._low <= number <= self._high:
            raise LabelError(f"outcome: from {self._low:g} to {self._high:g}")
        return repr(number)


def _row(value: Any) -> int:
    if value is None or value == "":
        return 0
    try:
        row = float(value)
    except (TypeError, ValueError):
        row = math.nan
    if not (row == row and row % 1 == 0 and 0 <= row <= MAX_ROW) or isinstance(value, bool):
        raise LabelError("row: a whole number from 0")
    return int(row)


def _at(given: Mapping[str, Any], now: datetime) -> datetime:
    value = given.get("at")
    if value is None or value == "":
        return now
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise LabelError("at: a time such as 2026-03-01T12:00:00Z") from error
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if at > now + MAX_SKEW:
        raise LabelError("at: lies in the future; are the clocks apart?")
    return at
