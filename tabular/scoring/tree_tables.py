"""Boosted trees answered by table: what onnxruntime's tree node computes, for many rows at once.

QuickScorer (Lucchese et al., SIGIR 2015): the leaves of a tree are the bits of a word, and each
comparison that fails crosses out the leaves below its other side. A feature's thresholds cut its
values into bins, so for each bin the words of all trees are a row of a table; a row's leaves are
the lowest bits left in the AND of one such row for each feature. Comparisons are those of the
graph, in float32, and leaf values are summed in the order of the trees, so that the sum is the
graph's own. docs/adr/0017 says what this saves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tabular.bundle import GRAPH
from tabular.contract import Array, Matrix
from tabular.predictor import Predictor
from tabular.scoring.tree_graph import Trees, read_trees

BLOCK_ROWS = 512  # words and leaf values of a block stay in a core's cache
TABLE_BYTES = 512 * 1024  # features are joined into one table as long as it is no larger
MAX_LOOKUP = 1 << 16
# By bits of a word: its type, and a number whose products with the powers of 2 differ in the top
# bits (a de Bruijn sequence), so that they give the place of a word's only bit.
WORDS: dict[int, tuple[type[np.unsignedinteger[Any]], int]] = {
    16: (np.uint16, 0x0F2D),
    32: (np.uint32, 0x077CB531),
    64: (np.uint64, 0x03F79D71B4CB0A89),
}

PROBE_ROWS = 2048
# The exponential of a libm may differ in its last bit from numpy's.
TOLERANCE = 1e-6

Places = npt.NDArray[np.intp]


def fast_answer(predictor: Predictor) -> Callable[[Matrix], Array]:
    """The quickest way to what `predictor.answer_matrix` gives for many rows.

    The tables are first asked beside the graph, on rows at and around the trees' thresholds;
    where they do not answer alike, or the graph is of another kind, the graph itself answers.
    """
    trees = read_trees(predictor.bundle.read(GRAPH))
    if trees is None or not trees.nodes:
        return predictor.answer_matrix
    tables = TreeTables(trees)
    X = _probe_rows(trees, len(predictor.features))
    by_graph = predictor.answer_matrix(X)
    near = np.isclose(tables.answer(X), by_graph, rtol=TOLERANCE, atol=TOLERANCE).all()
    return tables.answer if near else predictor.answer_matrix


def _probe_rows(trees: Trees, n_features: int) -> Matrix:
    """Rows (2048, k) of thresholds, their float32 neighbours, and missing values."""
    rng = np.random.default_rng(0)
    X = np.zeros((PROBE_ROWS, n_features), dtype=np.float32)
    for feature in {node.feature for node in trees.nodes}:
        at = _thresholds(trees, feature)
        some = np.concatenate([at, np.nextafter(at, -np.inf), np.nextafter(at, np.inf), [np.nan]])
        X[:, feature] = rng.choice(some, PROBE_ROWS)
    return X


class TreeTables:
    """Answers (n, k) rows of an ensemble with at most 64 leaves in a tree. Threads may share it."""

    def __init__(self, trees: Trees) -> None:
        self._is_logistic, self._base = trees.is_logistic, np.float32(trees.base)
        self._n_trees = len(trees.leaves)
        most = max(map(len, trees.leaves))
        self._bits = min(bits for bits in WORDS if bits >= most)
        self._word, self._de_bruijn = WORDS[self._bits]
        features = sorted({node.feature for node in trees.nodes})
        self._bins = {f: _Bins(_thresholds(trees, f)) for f in features}
        tables = {f: self._table(trees, f) for f in features}
        self._joined = self._join(tables)
        self._values, self._offsets = self._leaf_values(trees)

    def _table(self, trees: Trees, feature: int) -> Array:
        """Words (bins, trees) of one feature: the leaves that each of its bins leaves over."""
        bins = self._bins[feature]
        everything = (1 << self._bits) - 1
        table = np.full((bins.n, self._n_trees), everything, dtype=self._word)
        for node in trees.nodes:
            if node.feature == feature:
                if_true = self._word(everything & ~node.false_leaves)
                if_false = self._word(everything & ~node.true_leaves)
                last = int(np.searchsorted(bins.thresholds, np.float32(node.threshold)))
                table[: last + 1, node.tree] &= if_true
                table[last + 1 : -1, node.tree] &= if_false
                table[-1, node.tree] &= if_true if node.missing_is_true else if_false
        return table

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

    def _leaf_values(self, trees: Trees) -> tuple[Matrix, Array]:
        """Leaf values by tree and hashed bit, flat, and where each tree's begin."""
        values = np.zeros((self._n_trees, self._bits), dtype=np.float32)
        for leaf in range(self._bits):
            place = self._hashed(np.array([1 << leaf], dtype=self._word))[0]
            for tree, of_tree in enumerate(trees.leaves):
                values[tree, place] = of_tree[leaf] if leaf < len(of_tree) else 0
        return values.ravel(), (np.arange(self._n_trees) * self._bits)[:, None]

    def _hashed(self, single_bits: Array) -> Array:
        shift = self._bits - (self._bits.bit_length() - 1)
        np.multiply(single_bits, self._word(self._de_bruijn), out=single_bits)
        return np.right_shift(single_bits, self._word(shift), out=single_bits)

    def answer(self, X: Matrix) -> Matrix:
        """The graph's answer, float32 (n, 2) or (n, 1), to its input (n, k)."""
        rows = [self._rows_of(features, X) for features, _ in self._joined]
        total = np.empty(len(X), dtype=np.float32)
        for start in range(0, len(X), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            total[block] = self._sums([places[block] for places in rows])
        total += self._base
        return _logistic(total) if self._is_logistic else total[:, None]

    def _rows_of(self, features: list[int], X: Matrix) -> Places:
        rows: Places = np.zeros(len(X), dtype=np.intp)
        for feature in features:
            rows = rows * self._bins[feature].n + self._bins[feature].of(X[:, feature])
        return rows

    def _sums(self, rows: list[Places]) -> Matrix:
        words = self._joined[0][1].take(rows[0], axis=0, mode="clip")
        other = np.empty_like(words)
        for (_, table), places in zip(self._joined[1:], rows[1:], strict=True):
            words &= table.take(places, axis=0, mode="clip", out=other)
        words &= np.negative(words, out=other)  # the lowest bit: the leaf that is reached
        places = np.add(self._hashed(words).T, self._offsets, dtype=np.intp, casting="unsafe")
        return np.add.reduce(self._values.take(places, mode="clip"), axis=0)


class _Bins:
    """The intervals between n - 2 thresholds, numbered from 0; the last number is for NaN."""

    def __init__(self, thresholds: Matrix) -> None:
        self.thresholds = thresholds
        self.n = len(thresholds) + 2
        self._low, high = float(np.floor(thresholds[0])), float(np.ceil(thresholds[-1])) + 1
        self._lookup: Places | None = None
        if max(abs(self._low), abs(high)) <= MAX_LOOKUP:
            whole = np.arange(self._low, high + 1, dtype=np.float32)
            self._lookup = np.append(np.searchsorted(thresholds, whole), self.n - 1)

    def of(self, values: Matrix) -> Places:
        """The bin of each value: how many thresholds are under it."""
        is_missing = np.isnan(values)
        # Whole numbers, as counts and codes are, need no search.
        if self._lookup is not None and bool(((np.rint(values) == values) | is_missing).all()):
            steps = np.clip(values - np.float32(self._low), 0, len(self._lookup) - 2)
            steps[is_missing] = len(self._lookup) - 1
            return self._lookup.take(steps.astype(np.intp))
        bins = np.searchsorted(self.thresholds, values)
        bins[is_missing] = self.n - 1
        return bins


def _thresholds(trees: Trees, feature: int) -> Matrix:
    found = [node.threshold for node in trees.nodes if node.feature == feature]
    return np.unique(np.array(found, dtype=np.float32))


def _logistic(scores: Matrix) -> Matrix:
    """As onnxruntime does it: float32, on the absolute value; rounded once, where libm may not."""
    falling = np.exp(-np.abs(scores), dtype=np.float64).astype(np.float32)
    upper = 1 / (1 + falling)
    positive = np.where(scores < 0, 1 - upper, upper)
    return np.stack([1 - positive, positive], axis=1)
