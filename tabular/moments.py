"""Times and dates as tables write them: read as minutes and days, and written again.

The serving image needs this module: standard library and numpy only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

MINUTES_PER_DAY = 1440
SECONDS_PER_DAY = 86_400
# Beside the forms of `datetime.strptime`: any of ISO 8601, and counts since 1970-01-01 (UTC).
ISO = "iso"
EPOCHS = {"epoch_s": 1, "epoch_ms": 1_000}

_HALF_DAY = re.compile(r"\s*([ap])\.?m\.?$", re.IGNORECASE)


def parse_time(value: Any) -> float:
    """Read a time of day as minutes since midnight.

    Takes `21:55`, `21:55:00`, `24:05:00` (five past midnight), `9:55 pm`, a `datetime.time`, and
    the share of a day that spreadsheets write (`0.458333333` or `1`), rounded to the minute.

    Raises:
        ValueError: The value is none of these.
    """
    if hasattr(value, "hour"):
        return float(value.hour * 60 + value.minute)
    text = str(value).strip()
    if half := _HALF_DAY.search(text):
        return _half_day_minutes(text[: half.start()], is_afternoon=half[1] in "pP")
    if ":" in text:
        return float(_clock_minutes(text) % MINUTES_PER_DAY)
    share = float(text)
    if not 0 <= share <= 1:
        raise ValueError(f"not a share of a day: {text}")
    return float(round(share * MINUTES_PER_DAY) % MINUTES_PER_DAY)


def _clock_minutes(text: str) -> int:
    hours, minutes, *seconds = (int(part) for part in text.split(":"))
    is_clock = len(seconds) <= 1 and all(0 <= part < 60 for part in (minutes, *seconds))
    if not (0 <= hours <= 24 and is_clock):
        raise ValueError(f"not a time of day: {text}")
    return hours * 60 + minutes


def _half_day_minutes(text: str, *, is_afternoon: bool) -> float:
    """12 am is midnight, 12 pm noon."""
    minutes = _clock_minutes(text if ":" in text else f"{text}:00")
    if not 60 <= minutes < 780:
        raise ValueError(f"not an hour from 1 to 12: {text}")
    return float(minutes % 720 + 720 * is_afternoon)


def parse_date(value: Any, form: str) -> float:
    """Read a date, or a date and time (UTC where no zone is given), as days since 1970-01-01.

    Raises:
        ValueError: The text does not have the form.
    """
    if form in EPOCHS and isinstance(value, (str, int, float, np.number)):
        return float(value) / EPOCHS[form] / SECONDS_PER_DAY
    if isinstance(value, str):
        moment = _READ.get(form, datetime.strptime)(value.strip(), form)
    elif isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    elif isinstance(value, np.datetime64) and not np.isnat(value):
        return float(value.astype("datetime64[s]").astype(np.int64)) / SECONDS_PER_DAY
    else:
        raise ValueError(f"not a date: {value!r}")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() / SECONDS_PER_DAY


_READ: dict[str, Callable[[str, str], datetime]] = {
    ISO: lambda text, _: datetime.fromisoformat(text)
}


def parse_any_date(value: Any, forms: Sequence[str]) -> float:
    """`parse_date` by the first form that fits.

    Raises:
        ValueError: None does.
    """
    for form in forms[:-1]:
        try:
            return parse_date(value, form)
        except ValueError:
            continue
    return parse_date(value, forms[-1])


def date_text(days: float, form: str) -> str:
    """Write days since 1970-01-01 in a form; `parse_date` reads the same moment, to the second."""
    seconds = round(days * SECONDS_PER_DAY)
    return moment_text(datetime.fromtimestamp(seconds, tz=UTC), form)


def moment_text(moment: datetime, form: str) -> str:
    """Write a moment (UTC where it names no zone) in a form."""
    if form in EPOCHS:
        return str(round(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * EPOCHS[form]))
    return moment.isoformat() if form == ISO else moment.strftime(form)
