"""Make a sample spec from a table of your own.

    python -m tabular.sample_fit TABLE.csv --target COL --out configs/samples/NAME.json

Reads the table as text, learns how each column is written, splits the rows by a small tree for the
target, and keeps marginals and correlations of each leaf, never a row. `samples.py` says what is
kept and lost.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
from pydantic import ValidationError
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tabular.errors import BentolineError, ConfigError, did_you_mean
from tabular.samples import (
    MINUTES_PER_DAY,
    MISSING,
    Column,
    Floats,
    Group,
    Identifier,
    Levels,
    Number,
    Offset,
    SampleSpec,
    Time,
    TimeCase,
    TimeForm,
    first_problem,
    quantile_levels,
    time_case,
)

Texts = Sequence[str]

N_QUANTILES = 51  # of each leaf
N_LEAVES = (
    24  # a copula for each class or bin of the target: AUC .89 for a real .85, R2 .69 for .82
)
MIN_LEAF_ROWS = 100
MAX_CLASSES = 10  # a target with more values is a number
MAX_NUMBER_LEVELS = 100  # above it a grid of quantiles is the smaller form
MAX_TEXT_LEVELS = 200  # more distinct texts are an identifier, or free text
MAX_DECIMALS = 9
SHARE_DIGITS = 5
CORRELATION_DIGITS = 3


@dataclass(frozen=True)
class Roles:
    """What the user says of the columns; the others are numbers or texts, as they look.

    Attributes:
        target: Column to predict.
        categories: Columns of codes, ordered by the mean of the target and not by their number.
        ids: Template of each identifier, such as `0x{:04x}`.
        times: Columns with times of day.
        dates: `strptime` format of each column with dates.
        offsets: For each column that is another plus a small delta, that other column.
    """

    target: str
    categories: tuple[str, ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)
    times: tuple[str, ...] = ()
    dates: Mapping[str, str] = field(default_factory=dict)
    offsets: Mapping[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Every column that is named, once or more."""
        named = [self.target, *self.categories, *self.ids, *self.times, *self.dates]
        return [*named, *self.offsets, *self.offsets.values()]


def fit_spec(table: pa.Table, roles: Roles, *, source: str) -> SampleSpec:
    """Learn a sample spec.

    Args:
        table: (n, k) strings as in the CSV, "" where missing. Not changed.
        roles: What the columns are.
        source: Where the table is from, for the reader of the spec.

    Raises:
        ConfigError: A named column is not in the table, a value cannot be read, a column is empty,
            or an undeclared text column has more than 200 distinct values.
    """
    texts = {name: table.column(name).to_pylist() for name in table.column_names}
    _check_roles(roles, list(texts))
    if n_missing := texts[roles.target].count(MISSING):
        raise ConfigError(
            f"sample_fit: target '{roles.target}' is missing in {n_missing} rows. Leave them out."
        )
    rank = _target_ranks(texts[roles.target])
    columns: dict[str, Column] = {}
    values: dict[str, Floats] = {}
    try:
        for name in texts:
            columns[name], read = _read_column(name, texts, roles, rank)
            if read is not None:
                values[name] = read
        leaves = _find_leaves({n: v for n, v in values.items() if n != roles.target}, rank)
        missing = {n: np.array([t == MISSING for t in column]) for n, column in texts.items()}
        groups = tuple(
            _fit_group(columns, values, missing, leaves == leaf) for leaf in np.unique(leaves)
        )
        return SampleSpec(source=source, target=roles.target, columns=columns, groups=groups)
    except ValidationError as error:
        raise ConfigError(f"sample_fit: {first_problem(error)}.") from error


def _check_roles(roles: Roles, names: Sequence[str]) -> None:
    for name in roles.names():
        if name not in names:
            raise ConfigError(
                f"sample_fit: the table has no column '{name}'{did_you_mean(name, names)}."
            )


def _find_leaves(features: Mapping[str, Floats], rank: Floats) -> Floats:
    """(n,) leaf numbers of a tree that predicts the target from the other columns."""
    matrix = np.column_stack(list(features.values()))
    is_class = len(np.unique(rank)) <= MAX_CLASSES
    tree = (DecisionTreeClassifier if is_class else DecisionTreeRegressor)(
        max_leaf_nodes=N_LEAVES, min_samples_leaf=MIN_LEAF_ROWS, random_state=0
    )
    leaves: Floats = tree.fit(matrix, rank).apply(matrix)
    return leaves


def _target_ranks(texts: Texts) -> Floats:
    """(n,) numbers that grow with the target, to order categories by."""
    if _are_numbers(set(texts)):
        return np.array(texts, dtype=object).astype(np.float64)
    return np.unique(np.array(texts, dtype=str), return_inverse=True)[1].astype(np.float64)


def _are_numbers(texts: Iterable[str]) -> bool:
    try:
        return all(math.isfinite(float(text)) for text in texts)
    except ValueError:
        return False


def _read_column(
    name: str, texts: Mapping[str, Texts], roles: Roles, rank: Floats
) -> tuple[Column, Floats | None]:
    """The column's form, and its n level numbers, numbers, minutes or deltas; NaN where missing."""
    known = [text for text in texts[name] if text != MISSING]
    distinct = set(known)
    if not known:
        raise ConfigError(f"sample_fit: column '{name}' is empty. Leave it out of the table.")
    if name in roles.ids:
        n_distinct = len(distinct) if len(distinct) < len(known) else None
        return Identifier(template=roles.ids[name], n_distinct=n_distinct), None
    if name in roles.times:
        return _read_times(name, texts, roles)
    if name in roles.dates:
        order = {text: _parse_date(name, text, roles.dates[name]) for text in distinct}
        return _read_levels(texts[name], order)
    if name not in roles.categories and _are_numbers(distinct):
        is_offset = name in {*roles.offsets, *roles.offsets.values()}
        if len(distinct) > MAX_NUMBER_LEVELS or is_offset:
            return _read_numbers(name, texts, roles)
        return _read_levels(texts[name], {text: float(text) for text in distinct})
    if len(distinct) > MAX_TEXT_LEVELS:
        raise ConfigError(
            f"sample_fit: column '{name}' has {len(distinct)} distinct texts, at most "
            f"{MAX_TEXT_LEVELS} are categories. Say what it is with --id, --time or --date."
        )
    return _read_levels(texts[name], _mean_by_text(texts[name], rank))


def _mean_by_text(texts: Texts, rank: Floats) -> dict[str, float]:
    labels, codes = np.unique(np.array(texts, dtype=str), return_inverse=True)
    means = np.bincount(codes, weights=rank) / np.bincount(codes)
    return dict(zip(labels.tolist(), means.tolist(), strict=True))


def _read_levels(texts: Texts, order: Mapping[str, float]) -> tuple[Levels, Floats]:
    levels = sorted((t for t in order if t != MISSING), key=lambda text: (order[text], text))
    code = {text: float(i) for i, text in enumerate(levels)}
    return Levels(values=tuple(levels)), np.array([code.get(text, math.nan) for text in texts])


def _parse_date(name: str, text: str, form: str) -> float:
    try:
        return float(datetime.strptime(text, form).toordinal())
    except ValueError as error:
        raise ConfigError(
            f"sample_fit: column '{name}': '{text}' has not the form '{form}'. "
            f"Mend --date {name}=FORMAT."
        ) from error


def _numbers(name: str, texts: Texts) -> Floats:
    try:
        return np.array([float(text) if text != MISSING else math.nan for text in texts])
    except ValueError as error:
        raise ConfigError(
            f"sample_fit: column '{name}': {error}. An offset needs two number columns, "
            f"or two that --time names."
        ) from error


def _read_numbers(name: str, texts: Mapping[str, Texts], roles: Roles) -> tuple[Number, Floats]:
    values = _numbers(name, texts[name])
    written = {len(text.partition(".")[2]) for text in texts[name] if text != MISSING}
    decimals = _n_decimals(values)
    is_fixed = len(written) == 1 and written != {1} and decimals <= max(written)
    if is_fixed:
        decimals = max(written)
    if name not in roles.offsets:
        step = 10.0**-decimals
        return Number(step=step, decimals=decimals, fixed=is_fixed), values
    start = _numbers(roles.offsets[name], texts[roles.offsets[name]])
    is_absolute = bool(np.nanmean(abs(values - abs(start))) < np.nanmean(abs(values - start)))
    deltas = values - (abs(start) if is_absolute else start)
    offset = Offset(column=roles.offsets[name], absolute=is_absolute)
    step = 10.0 ** -_n_decimals(deltas, tolerance=2 * 10.0**-decimals)
    return Number(step=step, decimals=decimals, fixed=is_fixed, offset_of=offset), deltas


def _n_decimals(values: Floats, tolerance: float = 1e-9) -> int:
    """Fewest decimals that say 99 % of the values to the tolerance."""
    known = values[~np.isnan(values)]
    for decimals in range(MAX_DECIMALS):
        if np.mean(np.abs(known - np.round(known, decimals)) <= tolerance) >= 0.99:
            return decimals
    return MAX_DECIMALS


def _read_times(name: str, texts: Mapping[str, Texts], roles: Roles) -> tuple[Time, Floats]:
    read = [_parse_time(name, text) for text in texts[name]]
    counts: dict[TimeCase, Counter[TimeForm]] = {}
    for minutes, form in filter(None, read):
        counts.setdefault(time_case(minutes), Counter())[form] += 1
    forms = {
        case: {form: _rounded(n / sum(count.values())) for form, n in count.items()}
        for case, count in sorted(counts.items())
    }
    values = np.array([math.nan if time is None else time[0] for time in read])
    wraps = bool(np.nanmax(values) < MINUTES_PER_DAY)
    offset = None
    if name in roles.offsets:
        offset = Offset(column=roles.offsets[name])
        start = [_parse_time(offset.column, text) for text in texts[offset.column]]
        values = values - np.array([math.nan if time is None else time[0] for time in start])
        values = values % MINUTES_PER_DAY
    step = float(math.gcd(*values[~np.isnan(values)].astype(int).tolist())) or 1.0
    return Time(step=step, wraps=wraps, forms=forms, offset_of=offset), values


def _parse_time(name: str, text: str) -> tuple[int, TimeForm] | None:
    """Minutes since midnight as written (1445 for 24:05:00) and the form; None where missing."""
    if text == MISSING:
        return None
    if clock := re.fullmatch(r"(\d{1,2}):(\d\d)(:\d\d)?", text):
        minutes = int(clock[1]) * 60 + int(clock[2])
        return minutes, "hh:mm:ss" if clock[3] else "hh:mm"
    if re.fullmatch(r"0?\.\d+|[01](\.0*)?", text):
        return round(float(text) * MINUTES_PER_DAY), "share of a day"
    raise ConfigError(
        f"sample_fit: column '{name}': '{text}' is no time of day. "
        f"Allowed are 21:55, 21:55:00 and a share of a day such as 0.5."
    )


def _fit_group(
    columns: Mapping[str, Column],
    values: Mapping[str, Floats],
    missing: Mapping[str, npt.NDArray[np.bool_]],
    mask: npt.NDArray[np.bool_],
) -> Group:
    marginals = {}
    for name, column_values in values.items():
        known = column_values[mask & ~np.isnan(column_values)]
        if not len(known):
            known = column_values[~np.isnan(column_values)]
        marginals[name] = _marginal(columns[name], known)
    shares = {name: _rounded(float(holes[mask].mean())) for name, holes in missing.items()}
    return Group(
        share=_rounded(float(mask.mean())),
        marginals=marginals,
        missing={name: share for name, share in shares.items() if share},
        correlation=_correlation([column_values[mask] for column_values in values.values()]),
    )


def _marginal(column: Column, known: Floats) -> tuple[float, ...]:
    """Shares of the levels, or quantiles, of values without NaN."""
    if isinstance(column, Levels):
        counts = np.bincount(known.astype(int), minlength=len(column.values))
        return tuple(_rounded(count / len(known)) for count in counts.tolist())
    quantiles = np.quantile(known, quantile_levels(N_QUANTILES), method="inverted_cdf")
    digits = column.decimals if isinstance(column, Number) else 0
    return tuple(np.round(quantiles, min(digits + 1, SHARE_DIGITS)).tolist())


def _correlation(values: list[Floats]) -> tuple[tuple[float, ...], ...]:
    """Latent correlations of k columns of n values, from the pairs of rows that have both.

    Normal scores of tied values have an sd s below 1; the correlation of the scores is divided by s
    of both columns (the polyserial correction, Olsson et al. 1982) and clipped to [-1, 1].
    """
    scores = np.column_stack([_normal_scores(column) for column in values])
    known = (~np.isnan(scores)).astype(np.float64)
    scores = np.nan_to_num(scores)
    n_pairs = np.maximum(known.T @ known, 1)
    variance = (scores**2).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    scale = np.where(variance > 0, variance, np.inf)
    matrix = np.clip(scores.T @ scores / n_pairs / np.outer(scale, scale), -1, 1)
    return tuple(
        tuple(round(float(r), CORRELATION_DIGITS) + 0.0 for r in row[:i])
        for i, row in enumerate(matrix)
    )


def _normal_scores(values: Floats) -> Floats:
    """(n,) standard normal quantiles of the ranks, centred; ties share a rank; NaN stays."""
    scores = np.full(len(values), math.nan)
    known = ~np.isnan(values)
    if known.any():
        scores[known] = ndtri((rankdata(values[known]) - 0.5) / known.sum())
        scores[known] -= scores[known].mean()
    return scores


def _rounded(share: float) -> float:
    return round(share, SHARE_DIGITS)


def read_texts(path: Path) -> pa.Table:
    """Read a CSV with every column as strings, missing values as "".

    Raises:
        ConfigError: No such file, or not a CSV.
    """
    convert = pa.csv.ConvertOptions(strings_can_be_null=False)
    try:
        with pa.csv.open_csv(path) as reader:
            names = reader.schema.names
        convert.column_types = dict.fromkeys(names, pa.string())
        return pa.csv.read_csv(path, convert_options=convert)
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigError(f"{path}: cannot be read as a CSV ({error}).") from error


def write_spec(spec: SampleSpec, path: Path) -> None:
    """Write a spec as JSON, a list per line."""
    path.write_text(_json(spec.model_dump(exclude_none=True)) + "\n")


def _json(value: Any, indent: str = "") -> str:
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {_json(v, inner)}" for key, v in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}" if lines else "{}"
    if isinstance(value, tuple) and value and isinstance(value[0], (dict, tuple)):
        return "[\n" + ",\n".join(inner + _json(v, inner) for v in value) + f"\n{indent}]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, tuple):
        return "[" + ",".join(_json(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _pairs(flag: str, texts: Iterable[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"sample_fit: {flag} must be COLUMN=VALUE, got '{text}'.")
        pairs[name] = value
    return pairs


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m tabular.sample_fit", description=__doc__, formatter_class=raw
    )
    parser.add_argument("table", type=Path, metavar="TABLE.csv")
    parser.add_argument("--target", required=True, metavar="COL")
    parser.add_argument("--category", action="append", default=[], metavar="COL")
    parser.add_argument("--id", action="append", default=[], metavar="COL=TEMPLATE")
    parser.add_argument("--time", action="append", default=[], metavar="COL")
    parser.add_argument("--date", action="append", default=[], metavar="COL=FORMAT")
    parser.add_argument("--offset", action="append", default=[], metavar="COL=START")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        roles = Roles(
            target=given.target,
            categories=tuple(given.category),
            ids=_pairs("--id", given.id),
            times=tuple(given.time),
            dates=_pairs("--date", given.date),
            offsets=_pairs("--offset", given.offset),
        )
        table = read_texts(given.table)
        source = f"fitted on {table.num_rows} rows; marginals and correlations only"
        write_spec(fit_spec(table, roles, source=f"{given.table.name}: {source}"), given.out)
    except BentolineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{given.out}: {given.out.stat().st_size:,} bytes, fitted on {table.num_rows:,} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
