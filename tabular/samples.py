"""Built-in samples: made-up tables that look like a real one and can be learned about as well.

A sample spec (JSON, `configs/samples/`) splits a real table into the leaves of a small tree for its
target, and keeps for each leaf the marginal of every column and one correlation matrix.
`generate` draws each leaf from a Gaussian copula (Nelsen 2006, "An Introduction to Copulas", 2.3).

Kept: categories, spikes, ranges, missing shares, how values are written, the tree's interactions,
and pairwise rank dependence in a leaf. Lost: other dependence among three columns or more, which
values are missing together, and exact pairs such as a latitude with its longitude. No row of the
real table is in a spec; single values are: categories, and quantiles with the extremes of each leaf
(100 rows or more).

`python -m tabular.sample_fit --help` makes a spec from a table of your own.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy.special import ndtr

from tabular.errors import ConfigError, did_you_mean, listed

Floats = npt.NDArray[np.float64]

MISSING = ""
MINUTES_PER_DAY = 1440
SHARE_TOLERANCE = 0.01  # shares are rounded in the spec

Share = Annotated[float, Field(ge=0, le=1)]
TimeForm = Literal["hh:mm", "hh:mm:ss", "share of a day"]
TimeCase = Literal["on the hour", "past midnight", "other"]


class Frozen(BaseModel):
    """A part of a spec: immutable, and no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Offset(Frozen):
    """The column is another column plus a drawn delta; `absolute` drops the other's sign first."""

    column: str
    absolute: bool = False


class Levels(Frozen):
    """Few values, written as in the table, ordered so that the latent normal grows with them."""

    kind: Literal["levels"] = "levels"
    values: tuple[str, ...] = Field(min_length=1)


class Number(Frozen):
    """Many numbers; the drawn value or delta is a multiple of `step`.

    Written with exactly `decimals` digits if `fixed`, otherwise as Python does (`40454.0`).
    """

    kind: Literal["number"] = "number"
    step: float = Field(gt=0)
    decimals: int = Field(ge=0)
    fixed: bool = False
    offset_of: Offset | None = None


class Time(Frozen):
    """Times of day in minutes since midnight, and the shares of the forms they are written in.

    Unless it `wraps`, a clock runs on past midnight: 24:05:00 is 1445 minutes.
    """

    kind: Literal["time"] = "time"
    step: float = Field(gt=0)
    wraps: bool = True
    forms: dict[TimeCase, dict[TimeForm, Share]] = Field(min_length=1)
    offset_of: Offset | None = None


class Identifier(Frozen):
    """A template with a running number from 1, or with one of `n_distinct` numbers at random."""

    kind: Literal["id"] = "id"
    template: str
    n_distinct: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _template_takes_a_number(self) -> Identifier:
        try:
            is_constant = self.template.format(1) == self.template.format(2)
        except (IndexError, KeyError, ValueError):
            is_constant = True
        if is_constant:
            raise ValueError(f"template must hold one number such as {{:04d}}, got {self.template}")
        return self


Column = Annotated[Levels | Number | Time | Identifier, Field(discriminator="kind")]


class Group(Frozen):
    """Rows that are alike: one leaf of the tree.

    Attributes:
        share: Share of all rows.
        marginals: For each random column the shares of its levels, or its quantiles (of the delta
            for an offset) at `quantile_levels`.
        missing: Share of missing values by column; zeros left out.
        correlation: Latent correlations in the order of the random columns, below the diagonal:
            row i has i numbers.
    """

    share: Share
    marginals: dict[str, tuple[float, ...]]
    missing: dict[str, Share] = Field(default_factory=dict)
    correlation: tuple[tuple[float, ...], ...]


class SampleSpec(Frozen):
    """Columns in the order of the table, and the groups to draw them from."""

    source: str
    target: str
    columns: dict[str, Column] = Field(min_length=1)
    groups: tuple[Group, ...] = Field(min_length=1)

    @property
    def random_columns(self) -> dict[str, Levels | Number | Time]:
        """Columns that have a latent normal: all but the identifiers."""
        return {n: c for n, c in self.columns.items() if not isinstance(c, Identifier)}

    @model_validator(mode="after")
    def _parts_fit_together(self) -> SampleSpec:
        if self.target not in self.random_columns:
            hint = did_you_mean(self.target, list(self.random_columns))
            raise ValueError(f"target names no column '{self.target}'{hint}")
        for name, column in self.random_columns.items():
            _check_offset(self.columns, name, column)
        if abs(sum(group.share for group in self.groups) - 1) > SHARE_TOLERANCE:
            raise ValueError(f"group shares must add up to 1, got {[g.share for g in self.groups]}")
        for number, group in enumerate(self.groups):
            _check_group(self, group, f"groups.{number}")
        return self


def _check_offset(columns: Mapping[str, Column], name: str, column: Column) -> None:
    offset = getattr(column, "offset_of", None)
    if offset is None:
        return
    found = columns.get(offset.column)
    if found is None or found.kind != column.kind or getattr(found, "offset_of", None):
        raise ValueError(
            f"{name}.offset_of must name a {column.kind} column that is no offset, "
            f"got '{offset.column}'{did_you_mean(offset.column, list(columns))}"
        )


def _check_group(spec: SampleSpec, group: Group, place: str) -> None:
    columns = spec.random_columns
    if wrong := sorted(set(columns) ^ set(group.marginals)):
        raise ValueError(f"{place}.marginals must name each random column, see {listed(wrong)}")
    if wrong := sorted(set(group.missing) - set(spec.columns)):
        raise ValueError(f"{place}.missing names unknown columns {listed(wrong)}")
    if [len(row) for row in group.correlation] != list(range(len(columns))):
        raise ValueError(
            f"{place}.correlation must have {len(columns)} rows of 0, 1, 2 ... numbers"
        )
    if any(abs(r) > 1 for row in group.correlation for r in row):
        raise ValueError(f"{place}.correlation must lie in [-1, 1]")
    for name, column in columns.items():
        _check_marginal(column, group.marginals[name], f"{place}.marginals.{name}")


def _check_marginal(column: Column, marginal: tuple[float, ...], place: str) -> None:
    if isinstance(column, Levels):
        if len(marginal) != len(column.values):
            raise ValueError(f"{place} must have {len(column.values)} shares, got {len(marginal)}")
        if min(marginal) < 0 or abs(sum(marginal) - 1) > SHARE_TOLERANCE:
            raise ValueError(f"{place} must be shares that add up to 1, got {sum(marginal):g}")
    elif len(marginal) < 2 or any(a > b for a, b in pairwise(marginal)):
        raise ValueError(f"{place} must be two or more quantiles in rising order")


def load_spec(path: Path) -> SampleSpec:
    """Read a sample spec.

    Raises:
        ConfigError: No such file, no JSON, or not a spec; the sentence names the first wrong key.
    """
    try:
        return SampleSpec.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{path}: the sample spec cannot be read ({error.strerror}). "
            f"Make one with `python -m tabular.sample_fit`."
        ) from error
    except ValidationError as error:
        raise ConfigError(
            f"{path}: {first_problem(error)}. Mend it, or make it anew with "
            f"`python -m tabular.sample_fit`."
        ) from error


def first_problem(error: ValidationError) -> str:
    """The first wrong key of a spec, and what is wrong with it."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"])) or "the spec"
    if first["type"] == "extra_forbidden":
        return f"{key}: there is no such key"
    return f"{key}: {first['msg'].removeprefix('Value error, ')}"


def generate(spec: SampleSpec, n_rows: int, seed: int) -> pa.Table:
    """Draw a sample.

    Args:
        spec: What to draw.
        n_rows: Number of rows; the groups' shares are met to about one row.
        seed: Drives every random choice; same spec, n_rows and seed, same bytes.

    Returns:
        (n_rows, k) strings as a CSV of the real table holds them, "" where missing; rows shuffled.

    Raises:
        ConfigError: `n_rows` is below 1.
    """
    if n_rows < 1:
        raise ConfigError(f"sample: rows must be at least 1, got {n_rows}. Ask for 1000 or more.")
    rng = np.random.default_rng(seed)
    groups = _draw_groups(spec, n_rows, rng)
    values = _draw_values(spec, groups, rng)
    texts = {}
    for name, column in spec.columns.items():
        share = np.array([group.missing.get(name, 0.0) for group in spec.groups])[groups]
        text = _write(column, values.get(name, np.arange(1.0, n_rows + 1)), rng)
        text[rng.random(n_rows) < share] = MISSING
        texts[name] = pa.array(text, type=pa.string())
    return pa.table(texts)


def quantile_levels(n_levels: int) -> Floats:
    """The (n_levels,) shares at which a grid holds quantiles: 0 and 1 included, dense near both.

    Even steps would spread the last percent evenly up to the maximum, far beyond a real tail.
    """
    levels: Floats = np.sin(np.linspace(0, np.pi / 2, n_levels)) ** 2
    return levels


def _draw_groups(spec: SampleSpec, n_rows: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Group number of each of n_rows rows, from one uniform number in each n-th of [0, 1)."""
    uniform = (rng.permutation(n_rows) + rng.random(n_rows)) / n_rows
    return _pick(np.array([group.share for group in spec.groups]), uniform)


def _pick(shares: Floats, uniform: Floats) -> npt.NDArray[np.int64]:
    edges = np.cumsum(shares)
    return np.searchsorted(edges[:-1] / edges[-1], uniform, side="right")


def _draw_values(
    spec: SampleSpec, groups: npt.NDArray[np.int64], rng: np.random.Generator
) -> dict[str, Floats]:
    """Values of each random column, n each: level numbers, numbers or minutes; offsets added."""
    columns = spec.random_columns
    noise = rng.standard_normal((len(groups), len(columns)))
    values = {name: np.empty(len(groups)) for name in columns}
    for number, group in enumerate(spec.groups):
        rows = np.flatnonzero(groups == number)
        uniform = ndtr(noise[rows] @ _root(group.correlation).T)
        for i, (name, column) in enumerate(columns.items()):
            values[name][rows] = _draw(column, np.array(group.marginals[name]), uniform[:, i])
    for name, column in columns.items():
        if not isinstance(column, Levels) and column.offset_of:
            start = values[column.offset_of.column]
            values[name] += np.abs(start) if column.offset_of.absolute else start
    return values


def _root(correlation: tuple[tuple[float, ...], ...]) -> Floats:
    """The (k, k) symmetric root of the nearest positive matrix, rows scaled to length 1.

    Rounded pairwise correlations need not be positive definite; unlike eigenvectors, the symmetric
    root is unique, so that another linear algebra library draws the same sample.
    """
    matrix = np.eye(len(correlation))
    for i, row in enumerate(correlation):
        matrix[i, :i] = matrix[:i, i] = row
    eigenvalues, vectors = np.linalg.eigh(matrix)
    root: Floats = (vectors * np.sqrt(np.clip(eigenvalues, 0, None))) @ vectors.T
    root /= np.linalg.norm(root, axis=1, keepdims=True)
    return root


def _draw(column: Levels | Number | Time, marginal: Floats, uniform: Floats) -> Floats:
    if isinstance(column, Levels):
        return _pick(marginal, uniform).astype(np.float64)
    steps: Floats = np.rint(_between_quantiles(marginal, uniform) / column.step)
    return steps * column.step


def _between_quantiles(quantiles: Floats, uniform: Floats) -> Floats:
    """Read n shares off a quantile grid: linear, but the nearer end beside a repeated value.

    Between a spike at 0 and its neighbour -10 the table has no values; a line would make some up.
    """
    numbers = np.arange(len(quantiles))
    place = np.interp(uniform, quantile_levels(len(quantiles)), numbers)
    repeats = np.diff(quantiles, prepend=np.nan, append=np.nan) == 0
    is_spike = repeats[:-1] | repeats[1:]
    lower = np.minimum(place.astype(int), len(quantiles) - 2)
    is_beside = is_spike[lower] | is_spike[lower + 1]
    return np.interp(np.where(is_beside, np.rint(place), place), numbers, quantiles)


def _write(column: Column, values: Floats, rng: np.random.Generator) -> npt.NDArray[np.object_]:
    """Write n drawn values as n strings."""
    texts: list[str]
    if isinstance(column, Levels):
        texts = [column.values[code] for code in values.astype(int).tolist()]
    elif isinstance(column, Number) and column.fixed:
        texts = [f"{value:.{column.decimals}f}" for value in values.tolist()]
    elif isinstance(column, Number):
        texts = [repr(round(value, column.decimals)) for value in values.tolist()]
    elif isinstance(column, Time):
        texts = _write_times(column, values, rng.random(len(values)))
    else:
        numbers = values.astype(np.int64)
        if column.n_distinct is not None:
            numbers = rng.integers(1, column.n_distinct, size=len(values), endpoint=True)
        texts = [column.template.format(number) for number in numbers.tolist()]
    return np.array(texts, dtype=object)


def time_case(minutes: int) -> TimeCase:
    """What the form of a time depends on: spreadsheets write full hours as shares of a day."""
    if minutes % 60 == 0:
        return "on the hour"
    return "past midnight" if minutes > MINUTES_PER_DAY else "other"


def _write_times(column: Time, minutes: Floats, uniform: Floats) -> list[str]:
    clock = np.rint(minutes % MINUTES_PER_DAY if column.wraps else minutes).astype(int)
    texts = np.empty(len(clock), dtype=object)
    fallback = next(iter(column.forms.values()))
    for minute in np.unique(clock).tolist():
        shares = column.forms.get(time_case(minute), fallback)
        written = np.array([_write_time(minute, form) for form in shares], dtype=object)
        rows = np.flatnonzero(clock == minute)
        texts[rows] = written[_pick(np.array(list(shares.values())), uniform[rows])]
    return [str(text) for text in texts]


def _write_time(minutes: int, form: TimeForm) -> str:
    if form == "share of a day":
        return f"{minutes / MINUTES_PER_DAY:.9f}".rstrip("0").rstrip(".")
    text = f"{minutes // 60:02d}:{minutes % 60:02d}"
    return text + ":00" if form == "hh:mm:ss" else text
