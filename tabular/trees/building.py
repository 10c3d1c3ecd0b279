"""From a graph to the tables that a bundle carries, and the proof that both answer alike."""

from __future__ import annotations

import numpy as np

from tabular.contract import Array, Matrix
from tabular.predictor import answer_graph
from tabular.trees.graph import Node, Trees, read_trees
from tabular.trees.tables import LINKS, WORDS, TreeTables, TreeWords, answer_alike

# More than the tables of the largest models that answer quicker so; each worker holds them.
MAX_BYTES = 16_000_000
PROBE_ROWS = 4096


def packed_tables(graph: bytes, X: Matrix) -> bytes | None:
    """The file of a graph's tables.

    Args:
        graph: The ONNX model.
        X: Rows (n, k) of model input, among them some with what is missing or was never seen.

    Returns:
        None where the graph is of another kind, or too large, or where one bit of an answer
        differs: over these rows, and over rows at and around all thresholds.
    """
    trees = read_trees(graph)
    if trees is None or not trees.nodes:
        return None
    words = build_words(trees)
    if words.words.nbytes > MAX_BYTES:
        return None
    tables = TreeTables(words)
    probes = np.concatenate([X, tables.probe_rows(PROBE_ROWS, X.shape[1])])
    is_proven = answer_alike(tables, lambda rows: answer_graph(graph, rows), probes)
    return words.packed() if is_proven else None


def build_words(trees: Trees) -> TreeWords:
    """The tables of an ensemble of at least one comparison."""
    most = max(map(len, trees.leaves))
    bits = min(bits for bits in WORDS if bits >= most)
    by_feature: dict[int, list[Node]] = {}
    for node in trees.nodes:
        by_feature.setdefault(node.feature, []).append(node)
    thresholds = {f: _thresholds(by_feature[f]) for f in sorted(by_feature)}
    tables = [_table(by_feature[f], at, trees, bits) for f, at in thresholds.items()]
    leaves = np.zeros((len(trees.leaves), bits), dtype=np.float32)
    for tree, values in enumerate(trees.leaves):
        leaves[tree, : len(values)] = values
    return TreeWords(
        features=np.array(list(thresholds)),
        sizes=np.array([len(at) for at in thresholds.values()]),
        thresholds=np.concatenate(list(thresholds.values())),
        words=np.concatenate(tables),
        leaves=leaves,
        base=np.array(trees.base, dtype=np.float32),
        link=np.array(LINKS.index(trees.link)),
    )


def _thresholds(nodes: list[Node]) -> Matrix:
    found = [node.threshold for node in nodes]
    return np.unique(np.array([*found, np.inf], dtype=np.float32))


def _table(nodes: list[Node], thresholds: Matrix, trees: Trees, bits: int) -> Array:
    """Words (bins, trees) of one feature: the leaves that each of its bins leaves over."""
    word = WORDS[bits][0]
    everything = np.array([(1 << len(leaves)) - 1 for leaves in trees.leaves], dtype=word)
    table = np.tile(everything, (len(thresholds) + 1, 1))
    for node in nodes:
        if_low, if_high = ~word(node.high_leaves), ~word(node.low_leaves)
        last = int(np.searchsorted(thresholds, np.float32(node.threshold)))
        table[: last + 1, node.tree] &= if_low
        table[last + 1 : -1, node.tree] &= if_high
        table[-1, node.tree] &= if_low if node.missing_is_low else if_high
    return table
