"""What a value of a document is in a table: a number, or the text that the contract reads.

A column of type number holds floats as long as every value is one; else, and for any other type, it
holds texts. One value has one text, however it came: 28, 28.0, Int64 and Decimal128 give "28".
"""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

from bson import ObjectId
from bson.decimal128 import Decimal128

from tabular.contract import UNREADABLE, Column, category_text

# Up to here a float64 holds every whole number, so that 28 and 28.0 can have one text.
EXACT_WHOLE = 2**53


class NoNumberError(ValueError):
    """A value that is no number, and no text of one."""


def number_of(value: object) -> float | None:
    """Read a value of a number column; None where it is missing.

    Raises:
        NoNumberError: It is another text, a moment, a list, a document.
    """
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if value is None or value != value:
        return None
    if isinstance(value, (bool, int, float, str, Decimal)):
        try:
            number = float(value)
        except (ValueError, OverflowError) as error:
            raise NoNumberError(repr(value)) from error
        return None if math.isnan(number) else number
    raise NoNumberError(repr(value))


def text_of(column: Column, value: Any) -> str | None:
    """Write a value of a column as the text that the contract reads; None where it is missing.

    What no text can stand for (a list, a document, bytes) gets the mark `UNREADABLE`, so that the
    contract refuses it in any column but an id.
    """
    if column.type == "number":
        try:
            number = number_of(value)
        except NoNumberError:
            return _plain_text(column, value)
        return None if number is None else _number_text(number)
    return _plain_text(column, value)


def _number_text(number: float) -> str:
    is_whole = number.is_integer() and abs(number) <= EXACT_WHOLE
    return str(int(number)) if is_whole else repr(number)


def _plain_text(column: Column, value: Any) -> str | None:
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if value is None or value != value:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return category_text(value)
    if isinstance(value, float):
        return _number_text(value)
    if isinstance(value, (int, Decimal)):
        return category_text(str(value))
    if isinstance(value, dt.datetime) and column.type != "number":
        return _moment_text(column, value)
    if isinstance(value, ObjectId) and column.type in ("id", "category"):
        return str(value)
    return str(value) if column.type == "id" else f"{UNREADABLE}{value}"


def _moment_text(column: Column, moment: dt.datetime) -> str:
    if column.type == "date":
        return moment.strftime(column.format)
    return moment.strftime("%H:%M:%S") if column.type == "time" else moment.isoformat()
