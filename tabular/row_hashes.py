"""Which rows a model was fitted on: one 64-bit hash of the content of each row.

Kept in the bundle, so that no model is ever judged on a row that it has seen. The hash is our own,
since it must stay the same for as long as a bundle is kept: a row's place, its id columns and the
library that read it do not change it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabular.contract import Array, Columns

Hashes = npt.NDArray[np.uint64]

TARGET = "\0target"  # no column has this name, whatever the target is called


def hash_rows(columns: Columns, names: Sequence[str], y: Array) -> Hashes:
    """Hash n rows by the named typed columns and the target.

    Args:
        columns: n values each; text, or numbers of any float type. Missing equals missing.
        names: Columns that count. Their order does not matter.
        y: (n,) place in the classes, or the value.
    """
    total = np.zeros(len(y), dtype=np.uint64)
    for name, values in [*((name, columns[name]) for name in names), (TARGET, y)]:
        total += _mixed(_content(values) ^ _text_hash(name))
    return _mixed(total)


def packed(hashes: Hashes) -> bytes:
    """The bundle's file: distinct hashes in rising order, little-endian."""
    return np.unique(hashes).astype("<u8").tobytes()


def unpacked(content: bytes) -> Hashes:
    """The hashes of a bundle's file."""
    return np.frombuffer(content, dtype="<u8").astype(np.uint64)


def _content(values: Array) -> Hashes:
    """A hash of each value alone. Numbers count as float32, which is what a model reads."""
    if values.dtype.kind in "OUS":
        codes, texts = pd.factorize(values, use_na_sentinel=False)
        return np.array([_text_hash(str(text)) for text in texts], dtype=np.uint64)[codes]
    numbers = values.astype(np.float32) + np.float32(0)  # -0 becomes 0
    numbers[np.isnan(numbers)] = np.nan  # one of the many bit patterns
    return numbers.view(np.uint32).astype(np.uint64)


def _text_hash(text: str) -> np.uint64:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _mixed(hashes: Hashes) -> Hashes:
    """Spread every bit over all others: the finaliser of splitmix64 (Steele et al., 2014)."""
    mixed = hashes + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
