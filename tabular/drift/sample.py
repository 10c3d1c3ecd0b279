"""A few rows of a log, each with the same chance, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from tabular.decision import Floats


class RowSample:
    """Keeps the k rows with the smallest random numbers (Vitter 1985 has the idea) of a log.

    A row's number depends on the name of its part and its place in it, so that the same rows are
    kept however the parts are shared out.
    """

    def __init__(self, n_rows: int, *, seed: int) -> None:
        self._n_rows, self._seed = n_rows, seed
        self._keys = np.empty(0)
        self._kept: pa.Table | None = None

    def passing(
        self, batches: Iterable[pa.RecordBatch], part: str = ""
    ) -> Iterator[pa.RecordBatch]:
        """Give each batch of a part on after its rows have had their chance."""
        rng = np.random.default_rng([self._seed, *part.encode()])
        for batch in batches:
            self._add(batch, rng.random(batch.num_rows))
            yield batch

    def merge(self, later: RowSample) -> None:
        """Add what was kept of later parts, by the same seed."""
        if later._kept is not None:
            self._keep(later._kept, later._keys)

    def _add(self, batch: pa.RecordBatch, keys: Floats) -> None:
        worst = self._keys.max() if len(self._keys) >= self._n_rows > 0 else 1.0
        lucky = np.flatnonzero(keys < worst)
        if self._n_rows and len(lucky):
            self._keep(pa.Table.from_batches([batch.take(pa.array(lucky))]), keys[lucky])

    def _keep(self, rows: pa.Table, keys: Floats) -> None:
        self._kept = rows if self._kept is None else _together(self._kept, rows)
        self._keys = np.concatenate([self._keys, keys])
        if len(self._keys) > self._n_rows:
            best = np.sort(np.argpartition(self._keys, self._n_rows)[: self._n_rows])
            self._keys, self._kept = self._keys[best], self._kept.take(pa.array(best))

    def table(self) -> pa.Table | None:
        """The rows kept, in their order; None of an empty log."""
        return self._kept


def _together(rows: pa.Table, more: pa.Table) -> pa.Table:
    """Both, one after the other; a column that is of two types in them becomes text.

    A file may lack a column, and in MongoDB what a file holds decides its type.
    """
    for place, (one, other) in enumerate(zip(rows.schema, more.schema, strict=True)):
        if one.type != other.type and pa.types.is_null(one.type):
            rows = _cast(rows, place, other.type)
        elif one.type != other.type:
            kind = one.type if pa.types.is_null(other.type) else pa.string()
            rows, more = _cast(rows, place, kind), _cast(more, place, kind)
    return pa.concat_tables([rows, more])


def _cast(rows: pa.Table, place: int, kind: pa.DataType) -> pa.Table:
    return rows.set_column(place, rows.column_names[place], rows.column(place).cast(kind))
