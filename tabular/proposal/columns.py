"""What a column is: number, category, time, date, or nothing that a model should read.

Each rule looks at the values first and at the name second, and says how sure it is. What is unsure
is asked, and answered by `--yes` as proposed (docs/adr/0022).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa

from tabular.contract import Array
from tabular.leaks.measures import rank_correlation
from tabular.proposal import names
from tabular.proposal.facts import Facts
from tabular.proposal.forms import DateForm, NumberForm, find_dates, find_numbers, find_times
from tabular.proposal.ranges import number_range

WithoutWord: TypeAlias = tuple[NumberForm | None, dict[str, int], tuple[str, ...]]
Sureness = Literal["sure", "likely", "unsure"]

MAX_LISTED = 25  # categories that are written into the YAML
MANY_DISTINCT = 0.95  # share of distinct values from which a text tells rows apart
MIN_COVERED = 0.5  # of the rows, in categories that are frequent enough to learn from
FREE_TEXT_WORDS, FREE_TEXT_LENGTH = 4, 40
MIN_PER_GROUP, MIN_GROUPS = 1.5, 20
FEW_NUMBERS = 3, 60  # distinct whole numbers that may be codes
CODE_GAIN = 0.05  # of the target's variance, that a code explains and an order does not


@dataclass(frozen=True)
class Decided:
    """A column of the proposal: its keys in the YAML, why, and how sure that is.

    `kind` is what it was taken for, `choices` what it may be instead. `is_group` says that its
    values name groups of rows which belong together.
    """

    name: str
    kind: str
    keys: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    sureness: Sureness = "sure"
    choices: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    is_group: bool = False

    @property
    def is_input(self) -> bool:
        """Whether a model reads it, itself or through a derived column."""
        return self.keys["type"] not in ("id", "ignore")


@dataclass(frozen=True)
class Context:
    """What the columns of a table share.

    `n_rows` is how many the whole table has. `target` (n, c) has a column for each class, or the
    one number that is predicted; None where columns are read without it.
    """

    n_rows: int
    has_decimal_comma: bool = False
    target: Array | None = None

    @property
    def min_rows(self) -> int:
        """How many rows a category needs before a model can learn from it."""
        return 5 if self.n_rows < 2_000 else 20


def decide_column(facts: Facts, context: Context, asked: str = "") -> Decided:
    """Say what a column is; `asked` is the user's word on it, or an empty text."""
    if left_out := _unusable(facts):
        return left_out
    if asked == "ignore":
        return left(facts, "left out as you said")
    decided = _by_value(facts, context, asked)
    if asked and decided.keys["type"] == asked:
        decided = replace(decided, sureness="sure")
    missing = facts.missing_share
    if decided.is_input and 0 < missing <= 0.6:
        decided.keys["max_missing_share"] = min(1.0, round(2 * missing + 0.1, 1))
    return replace(decided, tokens=facts.tokens)


def left(facts: Facts, why: str, sureness: Sureness = "sure", **more: Any) -> Decided:
    """A column that stays out of the model."""
    return Decided(facts.name, "ignore", {"type": "ignore"}, why, sureness, **more)


def _unusable(facts: Facts) -> Decided | None:
    if facts.is_listed:
        return left(facts, f"holds {facts.kind}, not single values")
    if not facts.counts:
        return left(facts, "holds no value")
    if len(facts.counts) == 1 and facts.n_known == facts.n:
        return left(facts, f"is {next(iter(facts.counts))[:40]!r} in every row")
    return None


def _by_value(facts: Facts, context: Context, asked: str) -> Decided:
    if asked == "category":
        return _category(facts, context)
    if facts.is_moment:
        return _date(facts, DateForm(("iso",)))
    if pa.types.is_time(facts.kind) or (facts.numbers is None and find_times(facts.counts)):
        return Decided(facts.name, "time", {"type": "time"}, "times of day")
    if facts.numbers is None and not asked and (form := find_dates(facts.counts)):
        is_number = all(text.isdigit() for text in list(facts.counts)[:100])
        return _date(facts, form, is_likely=is_number)
    if pa.types.is_boolean(facts.kind):
        return _category(facts, context)
    return _number(facts, context, asked) or _text(facts, context)


def _date(facts: Facts, form: DateForm, *, is_likely: bool = False) -> Decided:
    first, *others = form.forms
    keys: dict[str, Any] = {"type": "date"}
    keys |= {"format": first} if first != "%Y-%m-%d" else {}
    keys |= {"other_formats": others} if others else {}
    if form.is_ambiguous:
        why = f"dates; no day above 12 tells {first} from the form with day and month swapped"
        return Decided(facts.name, "date", keys, why, "unsure", ("date", "ignore"))
    return Decided(facts.name, "date", keys, "dates", "likely" if is_likely else "sure")


def _number(facts: Facts, context: Context, asked: str) -> Decided | None:
    form = find_numbers(facts.counts, has_decimal_comma=context.has_decimal_comma)
    counts, tokens = facts.counts, tuple[str, ...]()
    if form is None:
        form, counts, tokens = _but_for_a_word(facts, context)
    if form is None:
        return None
    values = np.array([_read(form.numeral.read_number, text) for text in counts])
    weights = np.array([*counts.values()])
    is_whole = bool((values % 1 == 0).all())
    if not asked and is_whole and (code := _code(facts, context, values)):
        return code
    if epoch := _epoch(facts, values):
        return Decided(facts.name, "date", {"type": "date", "format": epoch}, "moments", "likely")
    unit = form.unit or names.unit_of(facts.name)
    keys: dict[str, Any] = {"type": "number"} | ({"unit": unit} if unit else {})
    keys |= {"integer": True} if is_whole and form.numeral.is_plain else {}
    keys |= number_range(values, weights)
    keys |= form.numeral.model_dump(exclude_defaults=True)
    keys |= {"missing_values": [*tokens]} if tokens else {}
    why = "numbers" if form.numeral.is_plain else "numbers written as text"
    if form.is_ambiguous:
        shown = next(text for text in facts.counts if "," in text or "." in text)
        why += f"; {shown!r} is read as {form.numeral.read_number(shown):g}"
        choices = ("number", "category", "ignore")
        return Decided(facts.name, "number", keys, why, "unsure", choices)
    if tokens:
        why += f", and {tokens[0]!r} taken for missing"
        return Decided(facts.name, "number", keys, why, "likely")
    return Decided(facts.name, "number", keys, why)


def _read(read: Any, text: str) -> float:
    try:
        return float(read(text))
    except ValueError:
        return np.nan


def _but_for_a_word(facts: Facts, context: Context) -> WithoutWord:
    """Numbers, and one or two words that stand in more than one row: those mean missing."""
    strange = {t: n for t, n in facts.counts.items() if not re.search(r"\d", t)}
    rest = {text: n for text, n in facts.counts.items() if text not in strange}
    if not 1 <= len(strange) <= 2 or len(rest) < 10:
        return None, facts.counts, ()
    form = find_numbers(rest, has_decimal_comma=context.has_decimal_comma)
    return form, rest, tuple(strange)


def _epoch(facts: Facts, values: Any) -> str:
    if not names.has_word(facts.name, names.MOMENTS) or len(values) < MIN_GROUPS:
        return ""
    low, high = np.nanmin(values), np.nanmax(values)
    if low >= 3e8 and high <= 4e9:
        return "epoch_s"
    return "epoch_ms" if low >= 3e11 and high <= 4e12 else ""


def _code(facts: Facts, context: Context, values: Any) -> Decided | None:
    """Whole numbers that name things: row numbers, keys, zip codes, codes of a list."""
    texts = list(facts.counts)
    has_zeros = sum(len(t) > 1 and t[0] == "0" and t.isdigit() for t in texts) > len(texts) / 50
    share, many = facts.distinct_share, len(facts.counts) >= MIN_GROUPS
    if share >= MANY_DISTINCT and many:
        if names.is_identifier(facts.name) or _counts_up(facts, values):
            return left(facts, "another number in each row, like an identifier")
        if has_zeros:
            return left(facts, "a code that is another in each row", "likely")
        return None
    if many and (group := _group(facts)):
        return group
    if has_zeros:
        return _category(facts, context, "a code: numbers with leading zeros")
    if names.has_word(facts.name, names.CODES) and many:
        why = "whole numbers with the name of a code"
        return _category(facts, context, why, "unsure", ("category", "number", "ignore"))
    if _names_things(facts, context):
        why = "few whole numbers, of which the order says less of the target than the value"
        return _category(facts, context, why, "unsure", ("category", "number", "ignore"))
    return None


def _counts_up(facts: Facts, values: Any) -> bool:
    """A counter in the order of the rows, or whole numbers that are evenly spread."""
    if facts.numbers is not None:
        own = facts.numbers[~np.isnan(facts.numbers)]
    else:
        own = np.array([float(text) for text in facts.texts.to_pylist() if text in facts.counts])
    if abs(rank_correlation(own, np.arange(len(own)))) >= 0.9999:
        return True
    spread = np.sort((values - values.min()) / max(np.ptp(values), 1))
    is_even = np.abs(spread - np.linspace(0, 1, len(values))).max() <= 0.05
    return bool(is_even and facts.distinct_share == 1 and np.ptp(values) < 20 * facts.n)


def _group(facts: Facts) -> Decided | None:
    """Names of things that have several rows each: a customer, a patient, a device."""
    is_named = names.is_identifier(facts.name) or names.has_word(facts.name, names.GROUPS)
    per_group = facts.n_known / len(facts.counts)
    if not is_named or per_group < MIN_PER_GROUP or len(facts.counts) < MIN_GROUPS:
        return None
    why = f"names {len(facts.counts):,} things with {per_group:.1f} rows each"
    return Decided(
        facts.name, "group", {"type": "id"}, why, "unsure", ("id", "category", "ignore"),
        is_group=True,
    )  # fmt: skip


def _names_things(facts: Facts, context: Context) -> bool:
    """Whether the mean of the target by value says more than any smooth order of the values."""
    low, high = FEW_NUMBERS
    if context.target is None or not low <= len(facts.counts) <= high:
        return False
    order = {text: place for place, text in enumerate(sorted(facts.counts, key=float))}
    codes = np.array([order.get(text, -1) for text in facts.texts.to_pylist()])
    known = codes >= 0
    codes, y = codes[known], context.target[known]
    spread = float(y.var(axis=0).sum())
    if len(y) < 20 * len(order) or spread == 0:
        return False
    sizes = np.bincount(codes, minlength=len(order))
    ranks = (np.arange(len(order)) - len(order) / 2) / len(order)
    gained = 0.0
    for column in y.T:
        means = np.bincount(codes, weights=column, minlength=len(order)) / np.maximum(sizes, 1)
        line = np.polyfit(ranks, means, min(3, len(order) - 1), w=np.sqrt(sizes))
        gained += float((sizes * (means - np.polyval(line, ranks)) ** 2).sum()) / len(y)
    chance = (len(order) - 1) / len(y)
    return gained / spread - chance > CODE_GAIN


def _text(facts: Facts, context: Context) -> Decided:
    if group := _group(facts):
        return group
    texts = list(facts.counts)
    n_words = float(np.mean([len(text.split()) for text in texts[:2_000]]))
    length = float(np.mean([len(text) for text in texts[:2_000]]))
    many = len(texts) > MIN_GROUPS
    if many and n_words >= FREE_TEXT_WORDS and facts.distinct_share > 0.2:
        return left(facts, f"free text of {n_words:.0f} words")
    if many and facts.distinct_share >= MANY_DISTINCT:
        what = (
            "free text" if length > FREE_TEXT_LENGTH else "another text in each row, an identifier"
        )
        return left(facts, what)
    covered = sum(n for n in facts.counts.values() if n >= _least(facts, context))
    if many and covered < MIN_COVERED * facts.n_known:
        why = f"{len(texts):,} texts, too few rows of each to learn from"
        return left(facts, why, "likely", choices=("ignore", "category"))
    return _category(facts, context)


def _least(facts: Facts, context: Context) -> float:
    """`min_rows` in a sample."""
    return max(1.0, context.min_rows * facts.n / max(context.n_rows, 1))


def _category(
    facts: Facts,
    context: Context,
    why: str = "",
    sureness: Sureness = "sure",
    choices: tuple[str, ...] = (),
) -> Decided:
    aliases = spellings(facts.counts)
    kept = sorted((text for text in facts.counts if text not in aliases), key=_natural)
    keys: dict[str, Any] = {"type": "category"}
    rare = [text for text in kept if facts.counts[text] < _least(facts, context)]
    if len(kept) <= MAX_LISTED and not rare:
        keys["categories"] = kept
    else:
        keys["min_rows"] = context.min_rows
    keys |= {"aliases": aliases} if aliases else {}
    grouped = (
        f", those of fewer than {context.min_rows} rows together" if "min_rows" in keys else ""
    )
    words = f"{why or 'texts'}: {len(kept):,} categories{grouped}"
    return Decided(facts.name, "category", keys, words, sureness, choices)


def spellings(counts: dict[str, int]) -> dict[str, str]:
    """Texts that differ from a more frequent one in case, blanks or a final point only."""
    usual: dict[str, str] = {}
    aliases = {}
    for text in counts:  # the most frequent first
        bare = " ".join(text.casefold().split()).rstrip(".")
        if usual.setdefault(bare, text) != text:
            aliases[text] = usual[bare]
    return aliases


def _natural(text: str) -> list[tuple[int, float, str]]:
    """Sort `2-5` before `10-20`: numbers in a text by their value."""
    parts = re.findall(r"\d+|\D+", text)
    return [(0, float(p), "") if p.isdigit() else (1, 0.0, p.casefold()) for p in parts]
