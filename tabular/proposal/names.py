"""What a column's name says of it: a unit, an identifier, a code, a group, a moment."""

from __future__ import annotations

import re

from tabular.proposal.forms import UNITS

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORDS = re.compile(r"[^\W\d_]+|\d+")
_UNIT_IN_NAME = re.compile(r"[(\[]\s*([^()\[\]]{1,12})\s*[)\]]\s*$")
IDENTIFIERS = {"id", "ids", "uuid", "guid", "identifier", "rowid", "index", "idx", "key", "hash"}
CODES = {
    "code", "cd", "zip", "zipcode", "postal", "postcode", "plz", "fips", "sku", "iso", "channel",
    "category", "type", "class", "branch", "store", "region", "district", "area", "phone",
}  # fmt: skip
GROUPS = {
    "customer", "client", "user", "patient", "subject", "person", "member", "account", "household",
    "device", "session", "group", "family", "driver", "student", "employee", "player", "machine",
    "vehicle", "owner", "site", "experiment",
}  # fmt: skip
MOMENTS = {
    "date", "time", "timestamp", "ts", "at", "created", "updated", "day", "datetime", "epoch",
    "when", "on",
}  # fmt: skip


def words(name: str) -> list[str]:
    """The words of a name, in small letters: `CustomerID` is customer, id."""
    return [word.casefold() for word in _WORDS.findall(_HUMP.sub("_", name))]


def has_word(name: str, known: set[str]) -> bool:
    """Whether one of a name's words is among the known ones."""
    return not known.isdisjoint(words(name))


def is_identifier(name: str) -> bool:
    """Whether the name is empty, as of an index that was written too, or ends like one."""
    own = words(name)
    return not own or own[-1] in IDENTIFIERS or own[0] in {"unnamed", "uuid", "guid"}


def unit_of(name: str) -> str:
    """The unit in a name: `sepal length (cm)`, `weight_kg`; an empty text where there is none."""
    if match := _UNIT_IN_NAME.search(name):
        unit = match[1].strip()
        return UNITS.get(unit.casefold(), unit if re.search(r"[^\W\d_]|%", unit) else "")
    *rest, last = words(name) or [""]
    return UNITS[last] if rest and len(last) > 1 and last in UNITS else ""


def slug(text: str) -> str:
    """A problem's name from a file's: small letters, digits and underscores."""
    import unicodedata

    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
