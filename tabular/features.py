"""Derived columns: one function each, on numpy arrays, the same for one row and a million.

A function takes typed columns (see `contract.py`) of n values and returns n values: float32 numbers
(NaN where an input is missing) or categories (object of str, "" where missing). To add one, write
it here and name it in `DERIVATIONS`; docs/adr/0003 says why they are not part of the ONNX graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tabular.contract import (
    MISSING,
    Array,
    Columns,
    Contract,
    Derivation,
    Feature,
    category_text,
)
from tabular.errors import ConfigError, did_you_mean
from tabular.moments import MINUTES_PER_DAY, SECONDS_PER_DAY

EARTH_RADIUS_KM = 6371.0088  # mean radius R1, IUGG
PARTS_OF_DAY = ("night", "morning", "afternoon", "evening")  # six hours each, from midnight


def haversine_km(lat_a: Array, lon_a: Array, lat_b: Array, lon_b: Array) -> Array:
    """Great-circle distance of two points in degrees (Sinnott 1984, "Virtues of the Haversine")."""
    phi_a, lam_a, phi_b, lam_b = (
        np.radians(x.astype(np.float64)) for x in (lat_a, lon_a, lat_b, lon_b)
    )
    h = np.sin((phi_b - phi_a) / 2) ** 2
    h += np.cos(phi_a) * np.cos(phi_b) * np.sin((lam_b - lam_a) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(h, 0, 1)))


def minutes_between(start: Array, end: Array) -> Array:
    """Minutes from one time of day to the next occurrence of another, across midnight."""
    return (end - start) % MINUTES_PER_DAY


def hour(time: Array) -> Array:
    """Hour of day, 0 to 23."""
    return np.floor(time / 60)


def part_of_day(time: Array) -> Array:
    """Night (0-6 h), morning (6-12 h), afternoon (12-18 h) or evening (18-24 h)."""
    known = ~np.isnan(time)
    parts = np.full(len(time), MISSING, dtype=object)
    parts[known] = np.asarray(PARTS_OF_DAY, dtype=object)[(time[known] // 360).astype(int)]
    return parts


def day_of_week(date: Array) -> Array:
    """Day of the week, 0 = Monday to 6 = Sunday (1970-01-01 was a Thursday)."""
    return (np.floor(date) + 3) % 7


def day_of_month(date: Array) -> Array:
    """Day of the month, 1 to 31."""
    known = ~np.isnan(date)
    days = np.full(len(date), np.nan)
    stamps = np.floor(date[known]).astype("datetime64[D]")
    days[known] = (stamps - stamps.astype("datetime64[M]")).astype(int) + 1
    return days


def month(date: Array) -> Array:
    """Month, 1 to 12."""
    known = ~np.isnan(date)
    months = np.full(len(date), np.nan)
    months[known] = (
        np.floor(date[known]).astype("datetime64[D]").astype("datetime64[M]").astype(int) % 12 + 1
    )
    return months


def year(date: Array) -> Array:
    """Year, such as 2024."""
    known = ~np.isnan(date)
    years = np.full(len(date), np.nan)
    stamps = np.floor(date[known]).astype("datetime64[D]")
    years[known] = stamps.astype("datetime64[Y]").astype(int) + 1970
    return years


def hour_of_day(date: Array) -> Array:
    """Hour of a date with a time, 0 to 23."""
    return np.floor(np.round(date * SECONDS_PER_DAY) % SECONDS_PER_DAY / 3600)


def days_between(start: Array, end: Array) -> Array:
    """Days from one date to another; below 0 where the other is earlier."""
    return end - start


def ratio(numerator: Array, denominator: Array) -> Array:
    """Numerator by denominator; missing where the denominator is 0."""
    return numerator / np.where(denominator == 0, np.nan, denominator)


def difference(left: Array, right: Array) -> Array:
    """Left minus right."""
    return left - right


def log1p(values: Array) -> Array:
    """log(1 + x); missing where x is below 0."""
    return np.log1p(np.where(values < 0, np.nan, values))


def equals(values: Array, *, value: float) -> Array:
    """1 where the number is `value`, 0 where it is not, missing where it is missing."""
    return np.where(np.isnan(values), np.nan, values == np.float32(value))


@dataclass(frozen=True)
class Function:
    """What may be derived: the function, the types it reads, its parameters, its categories."""

    call: Callable[..., Array]
    reads: tuple[str, ...]
    params: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


DERIVATIONS: dict[str, Function] = {
    "haversine_km": Function(haversine_km, ("number",) * 4),
    "minutes_between": Function(minutes_between, ("time", "time")),
    "hour": Function(hour, ("time",)),
    "part_of_day": Function(part_of_day, ("time",), categories=PARTS_OF_DAY),
    "day_of_week": Function(day_of_week, ("date",)),
    "day_of_month": Function(day_of_month, ("date",)),
    "month": Function(month, ("date",)),
    "year": Function(year, ("date",)),
    "hour_of_day": Function(hour_of_day, ("date",)),
    "days_between": Function(days_between, ("date", "date")),
    "ratio": Function(ratio, ("number", "number")),
    "difference": Function(difference, ("number", "number")),
    "log1p": Function(log1p, ("number",)),
    "equals": Function(equals, ("number",), params=("value",)),
}


def check_derivations(contract: Contract, *, where: str) -> None:
    """Refuse derivations that cannot work, before any row is read.

    Raises:
        ConfigError: Unknown function or input, wrong number or type of inputs, wrong parameters, or
            a name that a column already has.
    """
    for name, derivation in contract.derive.items():
        place = f"{where}: derive.{name}"
        if name in contract.columns:
            raise ConfigError(f"{place} has the name of a column; choose another name.")
        function = DERIVATIONS.get(derivation.function)
        if function is None:
            raise ConfigError(
                f"{place}.function '{derivation.function}' is not known"
                f"{did_you_mean(derivation.function, list(DERIVATIONS))}; "
                f"there are {', '.join(DERIVATIONS)}."
            )
        _check_inputs(contract, derivation, function, place)


def _check_inputs(
    contract: Contract, derivation: Derivation, function: Function, place: str
) -> None:
    if unknown := [n for n in derivation.inputs if n not in contract.columns]:
        hint = did_you_mean(unknown[0], list(contract.columns))
        raise ConfigError(f"{place}.inputs names no column '{unknown[0]}'{hint}.")
    types = tuple(contract.columns[n].type for n in derivation.inputs)
    if types != function.reads:
        raise ConfigError(
            f"{place}.inputs have types {list(types)}, but {derivation.function} reads "
            f"{list(function.reads)}."
        )
    if sorted(derivation.params) != sorted(function.params):
        raise ConfigError(
            f"{place}.params must be {sorted(function.params)}, got {sorted(derivation.params)}."
        )


def derive(contract: Contract, columns: Mapping[str, Array]) -> Columns:
    """Return the typed columns with the derived ones added; n values each, input not changed."""
    out = dict(columns)
    for name, derivation in contract.derive.items():
        function = DERIVATIONS[derivation.function]
        values = function.call(*(columns[n] for n in derivation.inputs), **derivation.params)
        out[name] = values if function.categories else values.astype(np.float32)
    return out


def learn_features(contract: Contract, columns: Mapping[str, Array]) -> tuple[Feature, ...]:
    """Fix the model input from training rows.

    Args:
        contract: The problem's contract.
        columns: Typed training columns with the derived ones, n values each.

    Returns:
        Features in contract order, derived ones last. A category column without a list in the
        contract takes the values seen in at least `min_rows` rows, sorted; others stay unseen.
    """
    features = []
    for name, column in contract.columns.items():
        if column.is_feature and column.type == "category":
            listed = column.categories or _frequent(columns[name], column.min_rows)
            features.append(
                Feature(name=name, kind="category", categories=tuple(map(category_text, listed)))
            )
        elif column.is_feature:
            features.append(Feature(name=name, kind="number"))
    for name, derivation in contract.derive.items():
        categories = DERIVATIONS[derivation.function].categories
        kind = "category" if categories else "number"
        features.append(
            Feature.model_validate({"name": name, "kind": kind, "categories": categories})
        )
    return tuple(features)


def _frequent(values: Array, min_rows: int) -> Sequence[str]:
    texts, counts = np.unique(values.astype(str), return_counts=True)
    return [str(t) for t, n in zip(texts, counts, strict=True) if n >= min_rows and t != MISSING]
