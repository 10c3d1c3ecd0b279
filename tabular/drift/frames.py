"""Window and training rows as frames of one kind, for reports that are made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from tabular.contract import MISSING, Array, Contract
from tabular.drift.counts import derivable
from tabular.drift.profile import Profile
from tabular.drift.window import inputs_of
from tabular.features import derive
from tabular.tables.arrow_columns import Texts, read_column


def window_frame(
    sample: pa.Table, contract: Contract, profiles: Mapping[str, Profile]
) -> pd.DataFrame:
    """Logged rows (n, k) as typed features; sensitive columns and what is made of them left out."""
    batch = inputs_of(sample.combine_chunks().to_batches()[0])
    columns: dict[str, Array] = {}
    for name, column in contract.inputs().items():
        values = batch.column(name)
        if column.sensitive or pa.types.is_null(values.type):
            continue
        typed, _ = read_column(column, values, contract.tokens(column))
        columns[name] = typed.whole() if isinstance(typed, Texts) else typed
    texts = {name: values for name, values in columns.items() if values.dtype == object}
    numbers = {name: values for name, values in columns.items() if name not in texts}
    whole = {**texts, **derive(derivable(contract, numbers), numbers)}
    return pd.DataFrame({name: whole[name] for name in _features(profiles) if name in whole})


def reference_frame(
    profiles: Mapping[str, Profile], names: list[str], n_rows: int, *, seed: int
) -> pd.DataFrame:
    """Rows (n, k) that are drawn from profiles, each column by itself: the rows are not kept."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: _drawn(profiles[name], n_rows, rng) for name in names})


def _drawn(profile: Profile, n_rows: int, rng: np.random.Generator) -> Array:
    """Values from the cells, evenly within a number's cell."""
    if not profile.shares or not sum(profile.shares):
        return np.full(n_rows, np.nan)
    places = rng.choice(len(profile.shares), n_rows, p=profile.cells / profile.cells.sum())
    is_missing = rng.random(n_rows) < profile.missing_share
    if profile.kind == "category":
        texts = np.asarray(profile.categories, dtype=object)[places]
        return np.where(is_missing, MISSING, texts)
    edges = np.append(profile.grid, profile.grid[-1])
    below = edges[np.maximum(places - 1, 0)]
    numbers = below + (edges[places] - below) * _within(profile, n_rows, rng)
    return np.where(is_missing, np.nan, numbers)


def _within(profile: Profile, n_rows: int, rng: np.random.Generator) -> Array:
    """Where in its cell a value lies; a column of few values has them at the cells' ends."""
    return rng.random(n_rows) if len(profile.edges) > 50 else np.ones(n_rows)


def _features(profiles: Mapping[str, Profile]) -> list[str]:
    return [name for name, profile in profiles.items() if profile.role == "feature"]
