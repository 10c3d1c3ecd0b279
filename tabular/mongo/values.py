"""What a value of a document is in a table, and a table's value in a document.

In a table it is a number, or the text that the contract reads.
A column of type number holds floats as long as every value is one; else, and for any other type, it
holds texts. One value has one text, however it came: 28, 28.0, Int64 and Decimal128 give "28".
"""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal
from typing import Any

from bson import ObjectId
from bson.decimal128 import Decimal128

from tabular.contract import UNREADABLE, Column, category_text, is_missing
from tabular.moments import moment_text

# Up to here a float64 holds every whole number, so that 28 and 28.0 can have one text.
EXACT_WHOLE = 2**53
WHOLE_NUMBER = re.compile(r"[+-]?\d{1,18}")


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
        return moment_text(moment, column.format)
    return moment.strftime("%H:%M:%S") if column.type == "time" else moment.isoformat()


def stored_value(column: Column, value: Any, tokens: frozenset[str]) -> Any:
    """A raw value as the database keeps it: what the contract reads as a number is a number.

    A date that its text says whole is a date, what stands for missing is null, and anything else
    stays as it came, for the contract to refuse when it is read.
    """
    if is_missing(value, tokens):
        return None
    if isinstance(value, str) and column.type == "number":
        return _number(value) if column.is_plain else value
    if isinstance(value, str) and column.type == "date":
        return _moment(value, column.format)
    return plain_value(value)


def _number(text: str) -> int | float | str:
    if WHOLE_NUMBER.fullmatch(text.strip()):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _moment(text: str, form: str) -> dt.datetime | str:
    """A moment without a zone, where nothing of the text is lost by it."""
    try:
        moment = dt.datetime.strptime(text.strip(), form)
        is_whole = moment.strftime(form) == text.strip() and moment.microsecond % 1000 == 0
    except ValueError:
        return text
    return moment if is_whole and moment.tzinfo is None else text


def plain_value(value: Any) -> Any:
    """A value of a Parquet column as BSON has it."""
    if isinstance(value, Decimal):
        return Decimal128(value)
    if isinstance(value, dt.datetime):
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day)
    return value.isoformat() if isinstance(value, dt.time) else value
