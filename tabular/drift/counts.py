"""A window of rows as counts by column: added up batch by batch, no row is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tabular.contract import MISSING, Array, Contract, outside_range
from tabular.decision import Floats
from tabular.drift.effects import wasserstein
from tabular.drift.profile import Profile, cell_of
from tabular.features import derive
from tabular.tables.arrow_columns import Texts, read_column

MAX_UNSEEN_TEXTS = 1_000  # a column of free text must not fill the memory


@dataclass
class Counts:
    """One column of a window: what fell into each cell of its profile, and what did not.

    `n_outside` numbers lie outside the training rows' or the contract's range. Of a column that is
    logged as hashes only the gaps are known.
    """

    profile: Profile
    cells: Floats = field(init=False)
    n_rows: int = 0
    n_missing: int = 0
    n_unreadable: int = 0
    n_outside: int = 0
    unseen: Counter[str] = field(default_factory=Counter)
    n_unseen: int = 0
    is_hashed: bool = False

    def __post_init__(self) -> None:
        self.cells = np.zeros(max(1, len(self.profile.shares)))

    @property
    def n_known(self) -> int:
        """Rows with a value."""
        return self.n_rows - self.n_missing

    def add(self, values: Array | Texts) -> None:
        """Count n typed values."""
        self.n_rows += len(values)
        if isinstance(values, Texts):
            self._add_texts(
                values.distinct, np.bincount(values.places, minlength=len(values.distinct))
            )
        elif values.dtype == object:
            self._add_texts(*np.unique(values.astype(str), return_counts=True))
        else:
            self._add_numbers(values)

    def _add_numbers(self, values: Array) -> None:
        known = values[~np.isnan(values)]
        self.n_missing += len(values) - len(known)
        if not len(self.profile.edges):
            return
        self.cells += np.bincount(cell_of(self.profile, known), minlength=len(self.cells))
        low, high = self.profile.edges[0], self.profile.edges[-1]
        self.n_outside += int(((known < low) | (known > high)).sum())

    def _add_texts(self, texts: Array, counts: npt.NDArray[np.intp]) -> None:
        for text, count in zip(texts.tolist(), counts.tolist(), strict=True):
            if text == MISSING:
                self.n_missing += count
            elif (place := self.profile.places.get(text)) is not None:
                self.cells[place] += count
            elif count:
                self.n_unseen += count
                self._name_unseen(text, count)

    def _name_unseen(self, text: str, count: int) -> None:
        if text in self.unseen or len(self.unseen) < MAX_UNSEEN_TEXTS:
            self.unseen[text] += count

    def merge(self, later: Counts) -> None:
        """Add what was counted of later rows of the same column."""
        self.cells += later.cells
        self.n_rows += later.n_rows
        self.n_missing += later.n_missing
        self.n_unreadable += later.n_unreadable
        self.n_outside += later.n_outside
        self.n_unseen += later.n_unseen
        self.is_hashed |= later.is_hashed
        for text, count in later.unseen.items():
            self._name_unseen(text, count)

    def shift(self) -> float:
        """How far a number moved from its profile, in standard deviations."""
        if not self.n_known or not self.profile.edges:
            return 0.0
        return float(wasserstein(self.cells / self.n_known, self.profile.cells, self.profile))


class WindowCounter:
    """Counts the columns of batches that carry a contract's inputs under its names.

    A sensitive column is logged as a hash, so that only its gaps are counted; so is a moment, such
    as a date. What is derived from columns that are not there as they came is left out.
    """

    def __init__(self, contract: Contract, profiles: Mapping[str, Profile]) -> None:
        self._contract = contract
        self._tokens = {n: contract.tokens(c) for n, c in contract.inputs().items()}
        self.counts = {name: Counts(profile) for name, profile in profiles.items()}

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch; its columns have the contract's names."""
        read: dict[str, Array] = {}
        for name in self._tokens:
            if name not in batch.schema.names or pa.types.is_null(batch.schema.field(name).type):
                continue
            column = batch.column(name)
            if self._contract.columns[name].sensitive:
                self._add_gaps(name, column)
            else:
                values = self._add_column(name, column)
                if not isinstance(values, Texts):
                    read[name] = values
        for name, values in derive(derivable(self._contract, read), read).items():
            if name not in read and name in self.counts:
                self.counts[name].add(values)

    def merge(self, later: WindowCounter) -> None:
        """Add what was counted of later batches by the same contract and profiles."""
        for name, counts in self.counts.items():
            counts.merge(later.counts[name])

    def _add_gaps(self, name: str, values: pa.Array) -> None:
        if (counts := self.counts.get(name)) is not None:
            counts.n_rows += len(values)
            counts.n_missing += values.null_count
            counts.is_hashed = True

    def _add_column(self, name: str, values: pa.Array) -> Array | Texts:
        """Type and count a column, and return it typed."""
        column = self._contract.columns[name]
        typed, broken = read_column(column, values, self._tokens[name])
        counts = self.counts.get(name)
        if counts is not None:
            counts.add(typed)
            counts.n_unreadable += len(broken)
            if column.out_of_range == "missing" and pa.types.is_floating(values.type):
                raw = values.to_numpy(zero_copy_only=False).astype(np.float32)
                counts.n_outside += int(outside_range(column, raw).sum())
        return typed


def derivable(contract: Contract, names: Iterable[str]) -> Contract:
    """The contract with those derivations only whose inputs are among the names."""
    there = set(names)
    kept = {name: one for name, one in contract.derive.items() if there.issuperset(one.inputs)}
    return contract.model_copy(update={"derive": kept})
