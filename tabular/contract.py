"""The contract: what each column of a problem holds, and how raw values become model input.

The same code reads a CSV of a million rows, a training frame and one JSON record, so that training
and serving cannot disagree. Needs numpy and pydantic only: the serving image has nothing else.

Raw values -> `parse_columns` -> typed columns -> `features.derive` -> `encode` -> float32 matrix.

Typed columns, one numpy array of n values each:
    number    float32, NaN where missing
    time      float32, minutes since midnight in [0, 1440), NaN where missing
    date      float64, days since 1970-01-01, NaN where missing
    category  object of str, "" where missing
    id        object of str, never a feature
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tabular.errors import DataError, did_you_mean, listed
from tabular.moments import parse_any_date, parse_time
from tabular.numerals import Numeral

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.float32]
Columns = dict[str, Array]

MISSING = ""
# A text that begins so stands for a value that no text can hold, such as a list in a document.
UNREADABLE = "\0"
MAX_SHOWN_VALUE = 60

FeatureKind = Literal["number", "category"]


class Frozen(BaseModel):
    """A config part: immutable, and no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(Numeral, Frozen):
    """What one column of the raw table holds."""

    type: Literal["number", "category", "time", "date", "id", "ignore"]
    """`time` and `date` reach the model through `derive`, `id` and `ignore` never do."""
    description: str = ""
    """For people: API documentation and page."""
    unit: str = ""
    """For people."""
    feature: bool = True
    """Whether the model sees the column itself; derived columns may read it either way."""
    required: bool = False
    """A row without a value is refused."""
    integer: bool = False
    """A number with a fraction is refused."""
    unique: bool = False
    """A value that stands twice is refused."""
    sensitive: bool = False
    """The column's values are kept out of logs and messages."""
    min: float | None = None
    """The least number allowed."""
    max: float | None = None
    """The greatest number allowed."""
    out_of_range: Literal["refuse", "missing"] = "refuse"
    """Whether a number outside is refused, or taken for missing."""
    categories: tuple[str, ...] | None = None
    """The categories in order; those of the training rows where it is null."""
    aliases: dict[str, str] = Field(default_factory=dict)
    """Other spellings, and the category that each one means."""
    unseen: Literal["allow", "refuse"] = "allow"
    """Whether another category is answered with a warning, or refused."""
    min_rows: int = Field(default=1, ge=1)
    """A category with fewer training rows is answered as one not seen before."""
    max_missing_share: float = Field(default=1.0, ge=0, le=1)
    """A table with a larger share of missing values stops the run."""
    missing_values: tuple[str, ...] = ()
    """Further texts that mean a missing value in this column."""
    also_named: tuple[str, ...] = ()
    """Other names that the column has in tables."""
    format: str = "%Y-%m-%d"
    """How a date is written: Python's strptime, `iso`, or since 1970 `epoch_s` or `epoch_ms`."""
    other_formats: tuple[str, ...] = ()
    """Further formats, tried in this order."""
    example: str | float | None = None
    """Shown in the form and in the API documentation."""

    @model_validator(mode="after")
    def _keys_fit_the_type(self) -> Column:
        only_for = {
            "min": ("number",),
            "max": ("number",),
            "out_of_range": ("number",),
            "integer": ("number",),
            "categories": ("category",),
            "aliases": ("category",),
            "unseen": ("category",),
            "min_rows": ("category",),
            "format": ("date",),
            "other_formats": ("date",),
            "decimal": ("number",),
            "thousands": ("number",),
            "affixes": ("number",),
        }
        for key, types in only_for.items():
            default = type(self).model_fields[key].get_default(call_default_factory=True)
            if getattr(self, key) != default and self.type not in types:
                raise ValueError(f"{key} is for type {' or '.join(types)}, got type {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min must be at most max, got min {self.min:g} and max {self.max:g}")
        if self.categories is not None and len(set(self.categories)) != len(self.categories):
            raise ValueError("categories must not repeat a value")
        return self

    @property
    def is_feature(self) -> bool:
        """Whether the model sees the column itself (times and dates only through derivations)."""
        return self.feature and self.type in ("number", "category")


class Derivation(Frozen):
    """One derived column: a function of `tabular.features` over columns of the contract."""

    function: str
    """Its name in `tabular/features.py`."""
    inputs: tuple[str, ...] = Field(min_length=1)
    """Columns, in the order that the function takes them."""
    params: dict[str, float] = Field(default_factory=dict)
    """Fixed numbers of the function, by its own names."""
    description: str = ""
    """For people."""
    unit: str = ""
    """For people."""


class Feature(Frozen):
    """One column of the model input; `categories` gives a category's code by its place."""

    name: str
    kind: FeatureKind
    categories: tuple[str, ...] = ()

    @cached_property
    def codes(self) -> dict[str, int]:
        """Code by category, the missing one included; what is not in it is -1."""
        codes = {category: code for code, category in enumerate(self.categories)}
        codes.setdefault(MISSING, len(self.categories))
        return codes


class Contract(Frozen):
    """Columns in the order of the table, and the columns derived from them."""

    columns: dict[str, Column] = Field(min_length=1)
    derive: dict[str, Derivation] = Field(default_factory=dict)
    missing_values: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "null", "None")
    max_refused_share: float = Field(default=0.01, ge=0, le=1)

    def tokens(self, column: Column) -> frozenset[str]:
        """Texts that stand for a missing value in this column, stripped and case-folded."""
        return frozenset(
            t.strip().casefold() for t in (*self.missing_values, *column.missing_values)
        )

    def inputs(self) -> dict[str, Column]:
        """Columns that a prediction needs: features, and what derivations read."""
        read = {name for derivation in self.derive.values() for name in derivation.inputs}
        return {n: c for n, c in self.columns.items() if c.is_feature or n in read}


@dataclass(frozen=True)
class Violation:
    """One value that breaks the contract; `row` counts from 0 in the table as it was read."""

    row: int
    column: str
    value: str
    rule: str


def match_columns(contract: Contract, names: Sequence[str], *, where: str) -> dict[str, str]:
    """Map each contract column to the name it has in a table.

    Args:
        contract: The problem's contract; `ignore` columns may be absent.
        names: Column names of the table; surrounding blanks do not count.
        where: What is being read, for the message.

    Raises:
        DataError: Columns are missing, or a name stands twice. Extra columns are no error.
    """
    stripped: dict[str, str] = {}
    for name in names:
        if name.strip() in stripped:
            raise DataError(
                f"{where}: the column '{name.strip()}' stands twice; rename one of them."
            )
        stripped[name.strip()] = name
    found: dict[str, str] = {}
    missing: list[str] = []
    for name, column in contract.columns.items():
        known = [n for n in (name.strip(), *column.also_named) if n in stripped]
        if known:
            found[name] = stripped[known[0]]
        elif column.type != "ignore":
            missing.append(name)
    if missing:
        extra = [name for name in stripped if name not in contract.columns]
        hint = next((h for name in missing if (h := did_you_mean(name, extra))), "")
        raise DataError(
            f"{where}: {len(missing)} of {len(contract.columns)} columns missing: "
            f"{listed(missing)}{hint}; found {listed(stripped)}. "
            "Add them, or change `columns` in the problem's YAML."
        )
    return found


def parse_columns(
    contract: Contract, raw: Mapping[str, Sequence[Any] | Array]
) -> tuple[Columns, list[Violation]]:
    """Read raw values into typed columns.

    Args:
        contract: The problem's contract.
        raw: n values for each column to read, in any form (text, numbers, None). Not changed.

    Returns:
        The typed columns (see the module's docstring; order kept), and the values that could not be
        read: those are missing in the typed columns.
    """
    typed: Columns = {}
    violations: list[Violation] = []
    for name, values in raw.items():
        column = contract.columns[name]
        if column.type == "ignore":
            continue
        typed[name], broken = parse_column(column, values, contract.tokens(column))
        violations += [
            Violation(row, name, shown(values[row]), rule) for row, rule in sorted(broken.items())
        ]
    return typed, violations


def parse_column(
    column: Column, values: Sequence[Any] | Array, missing: frozenset[str]
) -> tuple[Array, dict[int, str]]:
    """Read the n values of one column; return them typed, and a rule for each unreadable row."""
    if column.type == "category":
        return _parse_categories(column, values, missing)
    if column.type == "id":
        return _texts(values, missing), {}
    broken: dict[int, str] = {}
    dtype = np.float64 if column.type == "date" else np.float32
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub" and column.type == "number":
        numbers = values.astype(np.float64)
    else:
        numbers, broken = _parse_each(column, values, missing)
    with np.errstate(over="ignore"):  # beyond float32 is refused like any infinity
        typed = numbers.astype(dtype)
    for row in np.flatnonzero(np.isinf(typed)).tolist():
        broken[row] = "finite number"
        typed[row] = np.nan
    if column.out_of_range == "missing":
        typed[outside_range(column, typed)] = np.nan
    return typed, broken


def outside_range(column: Column, typed: Array) -> npt.NDArray[np.bool_]:
    """Which of n typed numbers lie outside [min, max], compared as float32 like the model."""
    outside = np.zeros(len(typed), dtype=bool)
    if column.min is not None:
        outside |= typed < np.float32(column.min)
    if column.max is not None:
        outside |= typed > np.float32(column.max)
    return outside


def _parse_each(
    column: Column, values: Sequence[Any] | Array, missing: frozenset[str]
) -> tuple[npt.NDArray[np.float64], dict[int, str]]:
    read: dict[str, Callable[[Any], float]] = {
        "number": column.read_number,
        "time": parse_time,
        "date": lambda value: parse_any_date(value, (column.format, *column.other_formats)),
    }
    parse, nan = read[column.type], math.nan
    numbers = np.empty(len(values), dtype=np.float64)
    broken: dict[int, str] = {}
    for row, value in enumerate(values):
        try:
            numbers[row] = parse(value)
        except (TypeError, ValueError, OverflowError):
            numbers[row] = nan
            if not is_missing(value, missing):
                broken[row] = f"type {column.type}"
    return numbers, broken


def is_missing(value: Any, tokens: frozenset[str]) -> bool:
    """Whether a raw value stands for "not known": None, NaN, or one of the tokens."""
    if value is None:
        return True
    if isinstance(value, str):
        return value.strip().casefold() in tokens
    return bool(value != value)  # NaN, NaT


_WHOLE_FLOAT = re.compile(r"-?\d+\.0+")


def category_text(value: Any) -> str:
    """Write a category one way: `28`, `28.0` and "28.0" are the same code; blanks are stripped."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    text = str(value).strip()
    return text.partition(".")[0] if _WHOLE_FLOAT.fullmatch(text) else text


def _parse_categories(
    column: Column, values: Sequence[Any] | Array, missing: frozenset[str]
) -> tuple[Array, dict[int, str]]:
    known: dict[Any, str] = {}
    broken: dict[int, str] = {}
    typed = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        if isinstance(value, (list, dict, set, np.ndarray)):
            typed[row], broken[row] = MISSING, "type category"
            continue
        text = known.get(value) if value is not True and value is not False else None  # True == 1
        if text is None:
            if isinstance(value, str) and value.startswith(UNREADABLE):
                typed[row], broken[row] = MISSING, "type category"
                continue
            text = MISSING if is_missing(value, missing) else category_text(value)
            text = column.aliases.get(text, text)
            if text.casefold() in missing:
                text = MISSING
            if value == value and not isinstance(value, bool):  # a NaN is never found again
                known[value] = text
        typed[row] = text
    return typed, broken


def _texts(values: Sequence[Any] | Array, missing: frozenset[str]) -> Array:
    typed = np.empty(len(values), dtype=object)
    typed[:] = [MISSING if is_missing(v, missing) else category_text(v) for v in values]
    return typed


def shown(value: Any) -> str:
    """A raw value as a message may show it, at most 60 characters long."""
    text = str(value).removeprefix(UNREADABLE)
    return text if len(text) <= MAX_SHOWN_VALUE else text[:MAX_SHOWN_VALUE] + "..."


def encode(features: Sequence[Feature], columns: Mapping[str, Array]) -> Matrix:
    """Put typed columns side by side as the model input.

    Args:
        features: The k features, in model order.
        columns: Typed columns, derived ones included, n values each.

    Returns:
        float32 (n, k), row order kept. Numbers: NaN where missing. Categories: the place in
        `feature.categories`; `len(categories)` where missing; -1 where the model never saw it.
    """
    n_rows = len(next(iter(columns.values()))) if columns else 0
    matrix = np.empty((n_rows, len(features)), dtype=np.float32)
    for position, feature in enumerate(features):
        values = columns[feature.name]
        if feature.kind == "number":
            matrix[:, position] = values
        else:
            code = feature.codes.get
            matrix[:, position] = [code(value, -1) for value in values.tolist()]
    return matrix
