"""What is to be predicted: the task, and how the target's values are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tabular.contract import Array
from tabular.errors import DataError, listed
from tabular.numerals import Numeral
from tabular.proposal import names
from tabular.proposal.columns import Sureness, spellings
from tabular.proposal.facts import Facts
from tabular.proposal.forms import NumberForm, find_dates, find_numbers
from tabular.settings import Task

MIN_ROWS = 50
MIN_CLASS_ROWS = 10
MAX_CLASSES = 50
MAX_RARE_SHARE = 0.005  # of the rows, in classes too rare to learn: they go to quarantine
FEW_NUMBERS = 10  # distinct whole numbers that are more likely classes than amounts
SMALL_NUMBERS = 20
YES = ("1", "yes", "y", "true", "t", "positive", "pos", "success", "churn", "fraud", "default")


@dataclass(frozen=True)
class TargetDecided:
    """The target's part of the proposal.

    `y` (n,) are numbers to compare columns with: places of classes, or values; NaN where missing.
    `n_known` is how many rows of the sample have an outcome, `balance` the share of each class.
    """

    task: Task
    keys: dict[str, Any]
    why: str
    sureness: Sureness
    y: Array
    n_known: int
    choices: tuple[str, ...] = ()
    balance: Mapping[str, float] = field(default_factory=dict)


def decide_target(
    facts: Facts, n_rows: int, where: str, *, asked: str = "", has_decimal_comma: bool = False
) -> TargetDecided:
    """Say what is predicted; `asked` is the user's word on the task, or an empty text.

    Raises:
        DataError: The target is constant, a date, a list, another value in each row, or has too
            many or too rare classes; or the table has too few rows.
    """
    _refuse(facts, n_rows, where)
    form = None if asked in ("binary", "multiclass") else _numbers(facts, has_decimal_comma)
    n_distinct = len(facts.counts)
    if form is None or (not asked and _are_classes(facts, form)):
        decided = _classes(facts, n_rows, where)
        is_number = form is not None and n_distinct > 2
        if is_number:
            why = f"{n_distinct} whole numbers, taken for classes"
            decided = replace(
                decided, why=why, sureness="unsure", choices=("multiclass", "regression")
            )
        return decided
    is_unsure = not asked and n_distinct <= SMALL_NUMBERS
    return _regression(facts, form, is_unsure=is_unsure)


def _refuse(facts: Facts, n_rows: int, where: str) -> None:
    place = f"{where}: the target '{facts.name}'"
    if facts.is_listed:
        raise DataError(f"{place} holds {facts.kind}, not single values; name another column.")
    if not facts.counts:
        raise DataError(f"{place} holds no value in {facts.n:,} rows; name another column.")
    if n_rows < MIN_ROWS:
        raise DataError(
            f"{where}: {n_rows} rows are too few to train, validate and test a model; at least "
            f"{MIN_ROWS} are needed."
        )
    if len(facts.counts) == 1:
        raise DataError(
            f"{place} is {next(iter(facts.counts))[:40]!r} in every row, there is nothing to "
            "predict; take rows with different outcomes."
        )
    if facts.is_moment or (facts.numbers is None and find_dates(facts.counts)):
        raise DataError(
            f"{place} holds dates, and classes or numbers can be predicted; add a column such as "
            "the days until then, and name that."
        )


def _numbers(facts: Facts, has_decimal_comma: bool) -> NumberForm | None:
    return find_numbers(facts.counts, has_decimal_comma=has_decimal_comma)


def _are_classes(facts: Facts, form: NumberForm) -> bool:
    """Two numbers, or few small whole ones as frequent as classes are."""
    if len(facts.counts) == 2:
        return True
    values = np.array([form.numeral.read_number(text) for text in facts.counts])
    is_whole = bool((values % 1 == 0).all())
    return is_whole and form.numeral.is_plain and len(values) <= FEW_NUMBERS


def _regression(facts: Facts, form: NumberForm, *, is_unsure: bool) -> TargetDecided:
    numbers = {text: _read(form.numeral, text) for text in facts.counts}
    y = np.array([numbers.get(text, np.nan) for text in facts.texts.to_pylist()])
    unit = form.unit or names.unit_of(facts.name)
    keys: dict[str, Any] = {"column": facts.name} | ({"unit": unit} if unit else {})
    keys |= form.numeral.model_dump(exclude_defaults=True)
    keys |= {"min": 0} if np.nanmin(y) >= 0 else {}
    keys |= {"missing": "drop"} if facts.n_known < facts.n else {}
    n_distinct = len(facts.counts)
    return TargetDecided(
        task="regression",
        keys=keys,
        why=f"{n_distinct:,} different numbers",
        sureness="unsure" if is_unsure or form.is_ambiguous else "sure",
        choices=("regression", "multiclass") if is_unsure else (),
        y=y,
        n_known=int((~np.isnan(y)).sum()),
    )


def _read(numeral: Numeral, text: str) -> float:
    try:
        return numeral.read_number(text)
    except ValueError:
        return np.nan


def _classes(facts: Facts, n_rows: int, where: str) -> TargetDecided:
    aliases = spellings(facts.counts)
    counts = {text: n for text, n in facts.counts.items() if text not in aliases}
    for text, usual in aliases.items():
        counts[usual] += facts.counts[text]
    kept = _frequent_classes(facts, counts, n_rows, where)
    places = {text: place for place, text in enumerate(kept)}
    places |= {text: places[usual] for text, usual in aliases.items() if usual in places}
    y = np.array([places.get(text, np.nan) for text in facts.texts.to_pylist()], dtype=float)
    n_known = sum(kept.values())
    keys: dict[str, Any] = {"column": facts.name, "classes": {text: text for text in kept}}
    why, sureness = f"{len(kept)} classes", "sure"
    if len(kept) == 2:
        said = next((text for text in kept if text.casefold().rstrip(".") in YES), "")
        keys["positive"] = said or min(kept, key=lambda text: kept[text])
        why = f"2 classes, {kept[keys['positive']] / n_known:.1%} {keys['positive']!r}"
        sureness = "sure" if said else "likely"
    keys |= {"aliases": {t: u for t, u in aliases.items() if u in kept}} if aliases else {}
    keys |= {"missing": "drop"} if facts.n_known < facts.n else {}
    return TargetDecided(
        task="binary" if len(kept) == 2 else "multiclass",
        keys=keys,
        why=why,
        sureness="likely" if sureness == "likely" else "sure",
        y=y,
        n_known=n_known,
        balance={text: n / n_known for text, n in kept.items()},
    )


def _frequent_classes(
    facts: Facts, counts: Mapping[str, int], n_rows: int, where: str
) -> dict[str, int]:
    """The classes with rows enough, in order of their text.

    Raises:
        DataError: There are too many classes, or too many rows in rare ones.
    """
    place = f"{where}: the target '{facts.name}'"
    if len(counts) > MAX_CLASSES:
        raise DataError(
            f"{place} has {len(counts):,} classes, {listed(list(counts))}, at most {MAX_CLASSES} "
            "can be told apart; name another column, or group them in the table."
        )
    least = max(1.0, MIN_CLASS_ROWS * facts.n / max(n_rows, 1))
    rare = {text: n for text, n in counts.items() if n < least}
    if sum(rare.values()) > MAX_RARE_SHARE * sum(counts.values()) or len(counts) - len(rare) < 2:
        raise DataError(
            f"{place} has {len(rare)} classes with fewer than {MIN_CLASS_ROWS} rows: "
            f"{listed(sorted(rare))}; take more rows, or join these classes in the table."
        )
    return {text: counts[text] for text in sorted(counts) if text not in rare}
