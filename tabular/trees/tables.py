"""Boosted trees answered by table: what onnxruntime's tree node computes, for many rows at once.

QuickScorer (Lucchese et al., SIGIR 2015): the leaves of a tree are the bits of a word, and each
comparison crosses out the leaves below its other side. A feature's thresholds cut its values into
bins, so for each bin the words of all trees are a row of a table; a row's leaves are the only bits
left in the AND of one such row for each feature. Comparisons are those of the graph, in float32,
and leaf values are summed in the order of the trees, so that the sum is the graph's own.
docs/adr/0017 says what this saves. Needs numpy only.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from tabular.contract import Array, Matrix

BLOCK_ROWS = 256  # words and leaf values of a block stay in a core's cache
TABLE_BYTES = 512 * 1024  # features are joined into one table as long as it is no larger
MAX_LOOKUP = 1 << 16
# By bits of a word: its type, and a number whose products with the powers of 2 differ in the top
# bits (a de Bruijn sequence), so that they give the place of a word's only bit.
WORDS: dict[int, tuple[type[np.unsignedinteger[Any]], int]] = {
    16: (np.uint16, 0x0F2D),
    32: (np.uint32, 0x077CB531),
    64: (np.uint64, 0x03F79D71B4CB0A89),
}
LINKS = ("none", "logistic", "logistic_pair")

# The float32 exponential of glibc and musl, which onnxruntime calls: Arm Optimized Routines, expf.c
# (N = 32). numpy's own differs in the last bit of one answer in 1,500.
EXP_BITS = 5
EXP_STEPS = 1 << EXP_BITS
EXP_POWERS = np.exp2(np.arange(EXP_STEPS) / EXP_STEPS)
EXP_TERMS = (
    float.fromhex("0x1.c6af84b912394p-5") / EXP_STEPS**3,
    float.fromhex("0x1.ebfce50fac4f3p-3") / EXP_STEPS**2,
    float.fromhex("0x1.62e42ff0c52d6p-1") / EXP_STEPS,
)
EXP_LOWEST = -104.0  # less is 0 in float32

# Rows (n, k) to the raw answer (n, c).
Answer = Callable[[Matrix], Array]

Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class TreeWords:
    """The tables as they stand in a file, one array each; f features, t trees.

    `features` (f,) are places in the model input, rising. Of feature i, `thresholds` has the next
    `sizes[i]` values, rising, the last one infinity, and `words` (rows, t) one row for each bin:
    up to the first threshold, up to the second, and so on; and a last one for missing values.
    `leaves` (t, bits of a word) are the leaf values. `link` is a place in LINKS (see
    `tabular.trees.graph.Trees`).
    """

    features: Array
    sizes: Array
    thresholds: Array
    words: Array
    leaves: Array
    base: Array
    link: Array

    def packed(self) -> bytes:
        """As an .npz file; the same arrays give the same bytes."""
        file = io.BytesIO()
        np.savez(file, **vars(self))
        return file.getvalue()

    @classmethod
    def unpacked(cls, content: bytes) -> TreeWords:
        """Read what `packed` wrote.

        Raises:
            ValueError: It is another kind of file, or its arrays do not fit each other.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                words = cls(**{field.name: file[field.name] for field in fields(cls)})
        except (KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"no tables of trees ({error})") from error
        n_trees, bits = words.leaves.shape
        fits = (
            words.words.shape == ((words.sizes + 1).sum(), n_trees)
            and len(words.features) == len(words.sizes) > 0
            and words.sizes.sum() == len(words.thresholds)
            and bits in WORDS
            and words.words.dtype == WORDS[bits][0]
            and words.thresholds.dtype == words.leaves.dtype == words.base.dtype == np.float32
            and 0 <= int(words.link) < len(LINKS)
        )
        if not fits:
            raise ValueError("tables of trees whose arrays do not fit each other")
        return words


class TreeTables:
    """Answers (n, k) rows of an ensemble with at most 64 leaves in a tree. Threads may share it."""

    def __init__(self, words: TreeWords) -> None:
        self._link, self._base = LINKS[int(words.link)], words.base
        self._n_trees, self._bits = words.leaves.shape
        self._word, self._de_bruijn = WORDS[self._bits]
        ends = words.sizes.cumsum()[:-1]
        thresholds = np.split(words.thresholds, ends)
        tables = np.split(words.words, (words.sizes + 1).cumsum()[:-1])
        features = words.features.tolist()
        self._bins = {f: _Bins(at) for f, at in zip(features, thresholds, strict=True)}
        self._joined = self._join(dict(zip(features, tables, strict=True)))
        self._values, self._offsets = self._leaf_values(words.leaves)

    def _join(self, tables: dict[int, Array]) -> list[tuple[list[int], Array]]:
        """Put small tables together: one lookup then serves several features."""
        joined: list[tuple[list[int], Array]] = []
        for feature in sorted(tables, key=lambda f: len(tables[f])):
            table = tables[feature]
            if joined and joined[-1][1].nbytes * len(table) <= TABLE_BYTES:
                features, before = joined[-1]
                both = (before[:, None, :] & table[None]).reshape(-1, self._n_trees)
                joined[-1] = ([*features, feature], both)
            else:
                joined.append(([feature], table))
        return joined

    def _leaf_values(self, leaves: Array) -> tuple[Matrix, Array]:
        """Leaf values by tree and hashed bit, flat, and where each tree's begin."""
        values = np.empty_like(leaves)
        values[:, self._hashed(self._word(1) << np.arange(self._bits, dtype=self._word))] = leaves
        return values.ravel(), (np.arange(self._n_trees) * self._bits)[:, None]

    def _hashed(self, single_bits: Array) -> Array:
        shift = self._bits - (self._bits.bit_length() - 1)
        np.multiply(single_bits, self._word(self._de_bruijn), out=single_bits)
        return np.right_shift(single_bits, self._word(shift), out=single_bits)

    def answer(self, X: Matrix) -> Matrix:
        """The graph's answer, float32 (n, 2) or (n, 1), to its input (n, k)."""
        rows = [self._rows_of(features, X) for features, _ in self._joined]
        total = np.empty(len(X), dtype=np.float32)
        shape = (max(2, min(BLOCK_ROWS, len(X))), self._n_trees)
        # Used again for each block: fresh pages for each cost more than the work in them.
        words, other = np.empty(shape, dtype=self._word), np.empty(shape, dtype=self._word)
        places, values = np.empty(shape[::-1], dtype=np.intp), np.zeros(shape[::-1], np.float32)
        for start in range(0, len(X), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            n = len(total[block])
            leaves = self._leaves([at[block] for at in rows], words[:n], other[:n])
            np.add(leaves.T, self._offsets, out=places[:, :n], dtype=np.intp, casting="unsafe")
            self._values.take(places[:, :n], mode="clip", out=values[:, :n])
            # Of one row alone numpy would add the trees in another order, by pairs.
            total[block] = np.add.reduce(values[:, : max(2, n)], axis=0)[:n]
        total += self._base
        return _linked(total, self._link)

    def _rows_of(self, features: list[int], X: Matrix) -> Places:
        rows = self._bins[features[0]].of(X[:, features[0]])
        for feature in features[1:]:
            bins = self._bins[feature]
            rows *= bins.n
            rows += bins.of(X[:, feature])
        return rows

    def _leaves(self, rows: list[Places], words: Array, other: Array) -> Array:
        """The hashed bit (n, t) of the leaf that each of n rows reaches; both arrays are used."""
        self._joined[0][1].take(rows[0], axis=0, mode="clip", out=words)
        for (_, table), places in zip(self._joined[1:], rows[1:], strict=True):
            words &= table.take(places, axis=0, mode="clip", out=other)
        return self._hashed(words)

    def probe_rows(self, n_rows: int, n_features: int) -> Matrix:
        """Rows (n, k) of thresholds, their float32 neighbours, and missing values."""
        rng = np.random.default_rng(0)
        X = np.zeros((n_rows, n_features), dtype=np.float32)
        for feature, bins in self._bins.items():
            at = bins.thresholds[:-1]
            with np.errstate(over="ignore"):
                under, over = np.nextafter(at, -np.inf), np.nextafter(at, np.inf)
            X[:, feature] = rng.choice(np.concatenate([at, under, over, [np.nan]]), n_rows)
        return X


def answer_alike(tables: TreeTables, answer: Answer, X: Matrix) -> bool:
    """Whether the tables' answer to rows (n, k) has the same bits as the graph's."""
    ours, graphs = tables.answer(X), answer(X)
    return ours.dtype == graphs.dtype and ours.tobytes() == graphs.tobytes()


class _Bins:
    """The intervals that end at rising thresholds, numbered from 0; the last number is for NaN."""

    def __init__(self, thresholds: Matrix) -> None:
        self.thresholds = thresholds
        self.n = len(thresholds) + 1
        self._lookup: Places | None = None
        if len(thresholds) == 1:
            return
        self._low, high = float(np.floor(thresholds[0])), float(np.ceil(thresholds[-2])) + 1
        if max(abs(self._low), abs(high)) <= MAX_LOOKUP:
            whole = np.arange(self._low, high + 1, dtype=np.float32)
            self._lookup = np.append(np.searchsorted(thresholds, whole), self.n - 1)

    def of(self, values: Matrix) -> Places:
        """The bin of each value: how many thresholds are under it."""
        # Whole numbers, as counts and codes are, need no search.
        if len(values) > BLOCK_ROWS and self._lookup is not None:
            is_missing = np.isnan(values)
            if bool(((np.rint(values) == values) | is_missing).all()):
                steps = np.clip(values - np.float32(self._low), 0, len(self._lookup) - 2)
                steps[is_missing] = len(self._lookup) - 1
                return self._lookup.take(steps.astype(np.intp))
        return self.thresholds.searchsorted(values)  # sorts NaN behind infinity


def _linked(scores: Matrix, link: str) -> Matrix:
    """Probabilities as onnxruntime has them: in float32, on the absolute value of a score."""
    if link == "none":
        return scores[:, None]
    upper = 1 / (1 + _exp(-np.abs(scores)))
    positive = np.where(scores < 0, 1 - upper, upper)
    negative = 1 - positive if link == "logistic" else np.where(scores > 0, 1 - upper, upper)
    return np.stack([negative, positive], axis=1)


def _exp(values: Matrix) -> Matrix:
    """Exp of values in [-inf, 0], to the bit as the C library has it."""
    steps = np.maximum(values, EXP_LOWEST).astype(np.float64) * (EXP_STEPS / np.log(2))
    whole = np.rint(steps)
    rest = steps - whole
    place = whole.astype(np.int64)
    cubic, square, linear = EXP_TERMS
    near_one = (cubic * rest + square) * (rest * rest) + (linear * rest + 1)
    exact = near_one * np.ldexp(EXP_POWERS[place & (EXP_STEPS - 1)], place >> EXP_BITS)
    return exact.astype(np.float32)
