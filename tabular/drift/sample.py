"""A few rows of a stream, each with the same chance, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa


class RowSample:
    """Keeps the k rows with the smallest random numbers (Vitter 1985 has the idea) of a stream."""

    def __init__(self, n_rows: int, *, seed: int) -> None:
        self._n_rows = n_rows
        self._rng = np.random.default_rng(seed)
        self._keys = np.empty(0)
        self._kept: pa.Table | None = None

    def passing(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Give each batch on after its rows have had their chance."""
        for batch in batches:
            self._add(batch)
            yield batch

    def _add(self, batch: pa.RecordBatch) -> None:
        keys = self._rng.random(batch.num_rows)
        worst = self._keys.max() if len(self._keys) >= self._n_rows > 0 else 1.0
        lucky = np.flatnonzero(keys < worst)
        if not self._n_rows or not len(lucky):
            return
        rows = pa.Table.from_batches([batch.take(pa.array(lucky))])
        self._kept = rows if self._kept is None else pa.concat_tables([self._kept, rows])
        self._keys = np.concatenate([self._keys, keys[lucky]])
        if len(self._keys) > self._n_rows:
            best = np.sort(np.argpartition(self._keys, self._n_rows)[: self._n_rows])
            self._keys, self._kept = self._keys[best], self._kept.take(pa.array(best))

    def table(self) -> pa.Table | None:
        """The rows kept, in their order; None of an empty stream."""
        return self._kept
