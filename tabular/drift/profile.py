"""What a column was like in training: the shares of its values in cells, and how it moved then.

A number's cells lie between the distinct percentiles of its known values: cell 0 holds what is at
most the lowest of the k edges, cell i what is in (edge i-1, edge i], and cell k what is above the
highest. A category's cells are its categories. Missing values are in no cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tabular.contract import MISSING, Array, Frozen
from tabular.decision import Floats

Kind = Literal["number", "category"]
# A `feature` is what the model reads; `raw` is read by derivations only, and `moment` is a date or
# a time of day among these, of which the distribution says nothing.
Role = Literal["feature", "raw", "moment", "prediction", "outcome"]

GRID = np.linspace(0, 1, 101)
CORE = (0.01, 0.99)


class Profile(Frozen):
    """One column's training rows.

    `n_rows` were looked at. `shares` are of the known values, by cell. `deviation` is a number's
    standard deviation, its values outside the core (see `widths`) moved to its ends. `natural`
    holds, by kind, how far windows of training rows in the order of time were from the whole; it
    is empty where no column tells the time.
    """

    kind: Kind
    role: Role
    n_rows: int
    missing_share: float
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    deviation: float = 0.0
    inputs: tuple[str, ...] = ()
    natural: dict[str, float] = Field(default_factory=dict)

    @cached_property
    def cells(self) -> Floats:
        """Share of the known values by cell; a number's last cell is empty."""
        return np.array(self.shares)

    @cached_property
    def grid(self) -> Floats:
        """A number's edges."""
        return np.array(self.edges)

    @cached_property
    def widths(self) -> Floats:
        """From each edge of a number to the next, 0 outside its core.

        The core reaches from the 1st to the 99th percentile; of a column that has one value there,
        over all values.
        """
        low, high = core(self.grid, self.cells)
        return np.diff(np.clip(self.grid, low, high))

    @cached_property
    def places(self) -> dict[str, int]:
        """Cell by category."""
        return {category: place for place, category in enumerate(self.categories)}

    @classmethod
    def of_values(cls, values: Array, role: Role, inputs: Sequence[str] = ()) -> Self:
        """The profile of n typed values (see `tabular.contract`)."""
        if values.dtype == object:
            return cls._of_texts(values, role, inputs)
        known = values[~np.isnan(values)].astype(np.float64)
        edges = np.unique(np.quantile(known, GRID)) if len(known) else np.array([])
        counts = np.bincount(np.searchsorted(edges, known), minlength=len(edges) + 1)
        return cls(
            kind="number",
            role=role,
            n_rows=len(values),
            missing_share=1 - len(known) / max(1, len(values)),
            edges=tuple(edges.tolist()),
            shares=tuple((counts / max(1, len(known))).tolist()),
            deviation=float(known.clip(*core(edges, counts / max(1, len(known)))).std())
            if len(known)
            else 0.0,
            inputs=tuple(inputs),
        )

    @classmethod
    def _of_texts(cls, values: Array, role: Role, inputs: Sequence[str]) -> Self:
        texts, counts = np.unique(values.astype(str), return_counts=True)
        is_known = texts != MISSING
        n_known = int(counts[is_known].sum())
        return cls(
            kind="category",
            role=role,
            n_rows=len(values),
            missing_share=1 - n_known / max(1, len(values)),
            categories=tuple(texts[is_known].tolist()),
            shares=tuple((counts[is_known] / max(1, n_known)).tolist()),
            inputs=tuple(inputs),
        )

    def with_categories(self, known: Sequence[str]) -> Self:
        """Add categories that the model knows and these rows do not hold."""
        more = tuple(name for name in known if name not in self.places and name != MISSING)
        return self.model_copy(
            update={
                "categories": (*self.categories, *more),
                "shares": (*self.shares, *[0.0] * len(more)),
            }
        )


def core(edges: Floats, shares: Floats) -> tuple[float, float]:
    """The 1st and the 99th percentile, or the ends where these are the same."""
    if not len(edges):
        return 0.0, 0.0
    risen = np.cumsum(shares)[: len(edges)]
    low, high = (edges[min(int(np.searchsorted(risen, q)), len(edges) - 1)] for q in CORE)
    return (float(low), float(high)) if low < high else (float(edges[0]), float(edges[-1]))


def profile_of_quantiles(old: Mapping[str, Any], role: Role, n_rows: int) -> Profile:
    """The profile that a bundle without profiles allows: its percentiles tell shares to 1 %."""
    if "shares" in old:
        known = {name: share for name, share in old["shares"].items() if name != MISSING}
        total = sum(known.values()) or 1.0
        return Profile(
            kind="category",
            role=role,
            n_rows=n_rows,
            missing_share=old["shares"].get(MISSING, 0.0),
            categories=tuple(known),
            shares=tuple(share / total for share in known.values()),
        )
    quantiles = np.array(old["quantiles"], dtype=np.float64)
    edges = np.unique(quantiles)
    below = np.searchsorted(quantiles, edges, side="right") - 1  # of the 100 steps between them
    shares = np.diff(below / max(1, len(quantiles) - 1), prepend=0.0, append=1.0)
    return Profile(
        kind="number",
        role=role,
        n_rows=n_rows,
        missing_share=old["missing_share"],
        edges=tuple(edges.tolist()),
        shares=tuple(shares.tolist()) if len(edges) else (0.0,),
        deviation=float(quantiles.clip(*core(edges, shares)).std()) if len(edges) else 0.0,
    )


def cell_of(profile: Profile, numbers: Floats) -> npt.NDArray[np.intp]:
    """The cell of each known number."""
    return np.searchsorted(profile.grid, numbers)
