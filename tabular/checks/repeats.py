"""Which rows repeat a value that stood before, in a column that may not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabular.contract import MISSING, Array

Mask = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]

MAX_LOOKED_AT = 2_000_000


def repeated_rows(read: Callable[[], Iterator[Array]]) -> Mask:
    """Find the rows whose value an earlier row has; missing values repeat nothing.

    Eight bytes a row are held: a hash of each value. Values whose hashes agree are then looked at
    themselves, in a second reading, at most two million rows at a time.

    Args:
        read: Gives the typed column from its start, batch by batch; called more than once.
    """
    hashes = np.concatenate([_hashes(values) for values in read()] or [np.empty(0, np.uint64)])
    repeated = np.zeros(len(hashes), dtype=bool)
    suspects = np.flatnonzero(_stands_twice(hashes))
    n_passes = -(-len(suspects) // MAX_LOOKED_AT)
    for number in range(n_passes):  # equal values have equal hashes: they are seen in one pass
        own = suspects[hashes[suspects] % np.uint64(n_passes) == number]
        _compare(read(), own, repeated)
    return repeated


def _hashes(values: Array) -> Hashes:
    """A hash for each value, 0 where missing."""
    hashes = pd.util.hash_array(values + 0.0 if values.dtype.kind == "f" else values)  # -0 is 0
    hashes[hashes == 0] = 1
    hashes[_is_missing(values)] = 0
    return hashes


def _is_missing(values: Array) -> Mask:
    return np.asarray(values == MISSING if values.dtype == object else np.isnan(values))


def _stands_twice(hashes: Hashes) -> Mask:
    ordered = np.sort(hashes)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    twice = twice[twice != 0]
    if not len(twice):
        return np.zeros(len(hashes), dtype=bool)
    place = np.minimum(np.searchsorted(twice, hashes), len(twice) - 1)
    return np.asarray(twice[place] == hashes)


def _compare(batches: Iterator[Array], rows: npt.NDArray[np.intp], repeated: Mask) -> None:
    """Mark those of the rows whose very value stood in an earlier one of them."""
    seen: set[object] = set()
    start = 0
    for values in batches:
        first, end = np.searchsorted(rows, [start, start + len(values)])
        for row in rows[first:end].tolist():
            value = values[row - start]
            if value in seen:
                repeated[row] = True
            seen.add(value)
        start += len(values)
