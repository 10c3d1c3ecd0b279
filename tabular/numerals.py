"""Numbers as people write them: `1,234`, `$5`, `12 %`, `3,5`.

The serving image needs this module: standard library and pydantic only.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " "})  # no-break, narrow, thin
MINUS = str.maketrans({"\u2212": "-"})


class Numeral(BaseModel):
    """How a column's numbers are written; read by `read_number`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decimal: Literal[".", ","] = "."
    """The mark before the fraction of a number that is written as text."""
    thousands: Literal["", ",", ".", " ", "'"] = ""
    """The mark between groups of three digits."""
    affixes: tuple[str, ...] = ()
    """Texts around a number that do not count, such as a currency or %."""

    @model_validator(mode="after")
    def _marks_differ(self) -> Numeral:
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands must differ, both are '{self.decimal}'")
        for affix in self.affixes:
            if not affix.strip() or re.search(r"[\d+\-]", affix):
                raise ValueError(f"affixes must hold no digit and no sign, got '{affix}'")
        return self

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as programs write them."""
        return (self.decimal, self.thousands, self.affixes) == (".", "", ())

    def read_number(self, value: Any) -> float:
        """Read a number, or a text of one.

        Raises:
            ValueError: The text is no number, or is written in another way.
        """
        if self.is_plain or not isinstance(value, str):
            return float(value)
        return float(self._plain(value))

    def _plain(self, text: str) -> str:
        for affix in self.affixes:
            text = text.replace(affix, "")
        text = text.translate(SPACES).translate(MINUS).strip()
        whole, mark, fraction = text.partition(self.decimal)
        if self.thousands and self.thousands in whole:
            groups = rf"[+-]?\d{{1,3}}(?:{re.escape(self.thousands)}\d{{3}})+"
            if not re.fullmatch(groups, whole):
                raise ValueError(f"not groups of three digits: {text}")
            whole = whole.replace(self.thousands, "")
        if self.decimal != "." and "." in whole + fraction:
            raise ValueError(f"a point where the decimal mark is a comma: {text}")
        return f"{whole}.{fraction}" if mark else whole
