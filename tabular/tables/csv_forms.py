"""How a CSV file is written: its separator and encoding, found in its first bytes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Literal, TypeAlias

Separator: TypeAlias = Literal["", ",", ";", "\t", "|"]
SEPARATORS: tuple[Separator, ...] = (",", ";", "\t", "|")
UTF8 = "utf-8"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
SNIFFED_LINES = 50
NAMED = "sep="  # a first line that spreadsheets write to name the separator


@dataclass(frozen=True)
class CsvForm:
    """A separator, a codec that Python knows, and how many lines stand before the header."""

    separator: Separator = ","
    encoding: str = UTF8
    skipped_lines: int = 0


def find_form(head: bytes, *, separator: Separator = "", encoding: str = "") -> CsvForm:
    """Tell the form from a file's first bytes; what is given counts.

    Without a byte order mark the encoding is UTF-8, unless every second byte is zero: which of the
    eight-bit encodings a text is in, it does not say itself.
    """
    codec = encoding or _encoding(head)
    text = head.decode(codec, errors="replace").removeprefix("\ufeff")
    first = text.partition("\n")[0].strip()
    is_named = first.lower().startswith(NAMED) and len(first) == len(NAMED) + 1
    if is_named:
        text = text.partition("\n")[2]
        separator = separator or next((s for s in SEPARATORS if s == first[-1]), "")
    return CsvForm(separator or _separator(text), codec, int(is_named))


def _encoding(head: bytes) -> str:
    if head.startswith(UTF16_MARKS):
        return "utf-16"
    is_wide = len(head) >= 4 and b"\0" not in head[::2] and head[1::2].count(0) > len(head) / 4
    return "utf-16-le" if is_wide else UTF8


def _separator(text: str) -> Separator:
    """The separator that cuts the first lines into equally many fields, the most of them."""
    lines = text.splitlines(keepends=True)[: SNIFFED_LINES + 1]
    whole = lines[:-1] if len(lines) > 1 and not lines[-1].endswith(("\n", "\r")) else lines
    return max(SEPARATORS, key=lambda separator: _n_fields(whole, separator))


def _n_fields(lines: list[str], separator: str) -> tuple[bool, int]:
    """Whether all rows have the header's number of fields, and that number."""
    try:
        rows = [row for row in csv.reader(lines[:SNIFFED_LINES], delimiter=separator) if row]
    except csv.Error:  # one field of more than 128 KB
        return False, 0
    n_fields = len(rows[0]) if rows else 0
    # The last row may be cut off within quotes.
    return n_fields > 1 and all(len(row) == n_fields for row in rows[:-1]), n_fields
