"""How times and dates are written, in the words of JSON Schema."""

from __future__ import annotations

import re
from typing import Any

from tabular.contract import Column
from tabular.moments import EPOCHS, ISO

CLOCK = "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"
DATE = "%Y-%m-%d"
NAMED = {DATE: {"format": "date"}, ISO: {"format": "date-time"}}
# What a code of strptime stands for; a form with another code has no pattern.
CODES = {
    "%Y": "[0-9]{4}",
    "%y": "[0-9]{2}",
    "%m": "(0[1-9]|1[0-2])",
    "%d": "(0[1-9]|[12][0-9]|3[01])",
    "%H": "([01][0-9]|2[0-3])",
    "%M": "[0-5][0-9]",
    "%S": "[0-5][0-9]",
}


def text_form(column: Column) -> dict[str, Any]:
    """The keywords for a column of times or dates; none for any other, and where no one form is."""
    if column.type == "time":
        return {"pattern": CLOCK}
    if column.type != "date" or column.other_formats:
        return {}
    if column.format in EPOCHS:
        return {"pattern": "^[0-9]{1,13}$"}
    return NAMED.get(column.format) or _pattern(column.format)


def _pattern(form: str) -> dict[str, str]:
    parts = re.split("(%.)", form)
    if any(part.startswith("%") and part not in CODES for part in parts):
        return {}
    return {"pattern": f"^{''.join(CODES.get(part) or re.escape(part) for part in parts)}$"}
