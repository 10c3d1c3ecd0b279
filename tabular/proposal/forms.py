"""How the texts of a column are written: as numbers, dates, times of day, or none of these."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

from tabular.moments import ISO, parse_any_date, parse_date, parse_time
from tabular.numerals import MINUS, SPACES, Numeral

READ_SHARE = 0.995  # of the rows, at least: the contract bears one refused row in a hundred
MAX_AFFIXES = 3
MAX_TRIED = 400  # texts that every form of a date is tried on
MAX_DATE_FORMS = 3

Counts = Mapping[str, int]  # how many rows hold a text; blanks around it are stripped

_NUMERAL = re.compile(
    r"(?P<before>[^\d+\-.,]*?)\s*(?:[+-]\s*(?P<inner>[^\d+\-.,\s]{0,3}?))?\s*"
    r"(?P<core>[.,]?\d[\d.,' ]*?(?:[eE][+-]?\d+)?)\s*(?P<after>[^\d]*)"
)
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
CURRENCIES = {"$", "€", "£", "¥", "₹", "usd", "eur", "gbp", "inr", "rs", "rs.", "chf", "us$"}
# Words beside a number, as suffix or in parentheses, and the unit that they name.
UNITS = {
    "%": "%", "pct": "%", "percent": "%",
    "km": "km", "m": "m", "cm": "cm", "mm": "mm", "mi": "mi", "ft": "ft", "miles": "mi",
    "kg": "kg", "g": "g", "mg": "mg", "lb": "lb", "lbs": "lb", "t": "t",
    "s": "s", "sec": "s", "secs": "s", "seconds": "s", "ms": "ms", "h": "h", "hr": "h", "hrs": "h",
    "hours": "h", "min": "min", "mins": "min", "minutes": "min", "days": "days", "day": "days",
    "weeks": "weeks", "months": "months", "month": "months", "years": "years", "year": "years",
    "yr": "years", "yrs": "years",
    "km/h": "km/h", "kmh": "km/h", "mph": "mph", "l": "l", "ml": "ml", "kwh": "kWh", "kw": "kW",
    "w": "W", "v": "V", "°c": "°C", "c": "°C", "°f": "°F", "f": "°F", "degrees": "degrees",
    "hp": "hp", "bhp": "bhp", "cc": "cc", "mb": "MB", "gb": "GB", "kb": "KB", "m2": "m²",
    "m²": "m²", "sqft": "sq ft", "sq ft": "sq ft", "kmpl": "km/l", "px": "px", "bp": "bp",
}  # fmt: skip

_DAYS = (
    "%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y.%m.%d",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y",
    "%d %B %Y", "%B %d, %Y", "%b %Y", "%Y%m%d",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")
DATE_FORMS = tuple(day + clock for clock, day in product(_CLOCKS, _DAYS))
SWAPPED = {"%d/%m": "%m/%d", "%d-%m": "%m-%d"}  # days and months that both may be


@dataclass(frozen=True)
class NumberForm:
    """A column of numbers: how they are written, their unit where it stands beside them.

    `is_ambiguous`: 1,234 may be more than a thousand, or little more than one.
    """

    numeral: Numeral
    unit: str = ""
    is_ambiguous: bool = False


@dataclass(frozen=True)
class DateForm:
    """A column of dates; `is_ambiguous` where day and month may be the other way round."""

    forms: tuple[str, ...]
    is_ambiguous: bool = False


def read_share(counts: Counts, read: Callable[[str], Any]) -> float:
    """The share of the rows whose text can be read."""
    read_rows = 0
    for text, n in counts.items():
        try:
            read(text)
        except ValueError:
            continue
        read_rows += n
    return read_rows / max(sum(counts.values()), 1)


def find_numbers(counts: Counts, *, has_decimal_comma: bool = False) -> NumberForm | None:
    """Tell how the numbers of a column are written; None where the texts are no numbers.

    Args:
        counts: The column's texts, missing ones left out.
        has_decimal_comma: Whether the table writes decimal commas elsewhere.
    """
    plain = sum(n for text, n in counts.items() if _PLAIN.fullmatch(text))
    is_grouped = has_decimal_comma and _only_points_of_thousands(counts)
    if plain >= READ_SHARE * sum(counts.values()) and not is_grouped:
        return NumberForm(Numeral())
    affixes: Counter[str] = Counter()
    cores: dict[str, int] = {}
    for text, n in counts.items():
        match = _NUMERAL.fullmatch(text.translate(SPACES).translate(MINUS))
        if match is None:
            continue
        beside = (word.strip() for word in match.groupdict("").values() if word != match["core"])
        found = [word for word in beside if word]
        if not all(_may_stand_beside(word, text) for word in found):
            return None
        affixes.update(dict.fromkeys(found, n))
        cores[match["core"]] = cores.get(match["core"], 0) + n
    units = {_unit(word) for word in affixes}
    if (
        not cores or len(affixes) > MAX_AFFIXES or len(units) > 1
    ):  # 5 kg and 300 g are not 5 and 300
        return None
    decimal, thousands, is_ambiguous = _marks(cores, has_decimal_comma=has_decimal_comma)
    numeral = Numeral(
        decimal=decimal, thousands=thousands, affixes=tuple(sorted(affixes, key=len, reverse=True))
    )
    if read_share(counts, numeral.read_number) < READ_SHARE:
        return None
    return NumberForm(numeral, next(iter(units), ""), is_ambiguous)


def _only_points_of_thousands(counts: Counts) -> bool:
    pointed = [text for text in counts if "." in text]
    return bool(pointed) and all(re.fullmatch(r"-?\d{1,3}(\.\d{3})+", text) for text in pointed)


def _may_stand_beside(word: str, text: str) -> bool:
    """Whether a text beside digits is a currency, a unit or in parentheses; `A12` is a code."""
    bare = word.strip("()[] ").casefold()
    if bare in CURRENCIES or bare in UNITS:
        return bare in CURRENCIES or not text.startswith(word) or word[0] in "(["
    return (word[0], word[-1]) in (("(", ")"), ("[", "]"))


def _unit(word: str) -> str:
    bare = word.strip("()[] ")
    return UNITS.get(bare.casefold(), bare)


def _marks(cores: Counts, *, has_decimal_comma: bool) -> tuple[Any, Any, bool]:
    """Decimal mark, mark of thousands, and whether they may be read in another way."""
    texts = list(cores)
    space = next((mark for mark in (" ", "'") if any(mark in text for text in texts)), "")
    if any("," in text and "." in text for text in texts):
        commas_last = all(t.rfind(",") > t.rfind(".") for t in texts if "," in t and "." in t)
        return (",", ".", False) if commas_last else (".", ",", False)
    with_comma = [text for text in texts if "," in text]
    if not with_comma:
        points = [text for text in texts if "." in text]
        if points and any(text.count(".") > 1 for text in points):
            return ",", ".", False
        if has_decimal_comma and _only_points_of_thousands(dict.fromkeys(texts, 1)):
            return ",", ".", True
        return ".", space, False
    if any(text.count(",") > 1 for text in with_comma):
        return ".", ",", False
    in_threes = all(re.fullmatch(r"[1-9]\d{0,2},\d{3}", text) for text in with_comma)
    if in_threes and not has_decimal_comma:
        # Below a thousand nobody writes a mark of thousands: shorter numbers without one tell.
        whole = [text for text in texts if "," not in text]
        return ".", ",", not any(len(text) <= 3 for text in whole) and len(texts) < MAX_TRIED
    return ",", space, in_threes


def find_times(counts: Counts) -> bool:
    """Whether the texts are times of day."""
    clocks = {text: n for text, n in counts.items() if re.match(r"\d{1,2}(:\d\d)?(:\d\d)?", text)}
    n_marked = sum(n for text, n in clocks.items() if ":" in text or text[-1:] in "mM")
    if not clocks or n_marked < sum(counts.values()) / 2:
        return False
    return read_share(counts, parse_time) >= READ_SHARE


def find_dates(counts: Counts) -> DateForm | None:
    """Tell the format, or the formats, of the dates in a column; None where there are none."""
    some = dict(list(counts.items())[:MAX_TRIED])
    if all(_PLAIN.fullmatch(text) and not re.fullmatch(r"\d{8}", text) for text in some):
        return None
    if not all(re.search(r"\d", text) for text in some) or max(map(len, some)) > 40:
        return None
    if read_share(some, _calendar_iso) >= READ_SHARE:
        is_day = all(len(text) == 10 for text in counts)
        return DateForm(("%Y-%m-%d",) if is_day else (ISO,))
    forms: list[str] = []
    left = dict(some)
    while left and len(forms) < MAX_DATE_FORMS:
        form = max(DATE_FORMS, key=lambda one: _n_read(left, one))
        if not _n_read(left, form):
            break
        forms.append(form)
        left = {text: n for text, n in left.items() if not _is_read(text, form)}
    if not forms or read_share(counts, lambda text: parse_any_date(text, forms)) < READ_SHARE:
        return None
    return DateForm(tuple(forms), _may_be_swapped(some, forms))


def _calendar_iso(text: str) -> None:
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(text)
    datetime.fromisoformat(text)


def _n_read(counts: Counts, form: str) -> int:
    return sum(n for text, n in counts.items() if _is_read(text, form))


def _is_read(text: str, form: str) -> bool:
    if form.startswith("%Y%m%d") and not re.match(r"(19|20)\d{6}", text):
        return False
    try:
        parse_date(text, form)
    except ValueError:
        return False
    return True


def _may_be_swapped(counts: Counts, forms: Sequence[str]) -> bool:
    """Whether no day above 12 tells it from a month."""
    for form in forms:
        for one, other in SWAPPED.items():
            if one in form:
                own = {text: n for text, n in counts.items() if _is_read(text, form)}
                return _n_read(own, form.replace(one, other)) == sum(own.values())
    return len(forms) > 1 and any(form.startswith(("%m/", "%m-")) for form in forms)
