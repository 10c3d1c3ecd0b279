"""The trees of an ONNX graph, where it is nothing but one ensemble of small trees."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

MAX_LEAVES = 64
# What a comparison's true side is: LightGBM and scikit-learn write the first, CatBoost the second.
LEAF, AT_MOST, ABOVE = b"LEAF", b"BRANCH_LEQ", b"BRANCH_GT"
PASS_ON = ("Identity",)

Link = Literal["none", "logistic", "logistic_pair"]
Leaf = tuple[int, int]  # tree and node, as the graph numbers them
Weights = dict[int, dict[Leaf, float]]  # by output


@dataclass(frozen=True)
class Node:
    """A comparison of one tree, and the leaves below each of its sides, as bits.

    `low_leaves` are below `x <= threshold`, `high_leaves` below `x > threshold`.
    """

    tree: int
    feature: int
    threshold: float
    missing_is_low: bool
    low_leaves: int
    high_leaves: int


@dataclass(frozen=True)
class Trees:
    """An ensemble whose score is `base` and one leaf value of each tree, added in their order.

    `link` says what becomes of the score s: "none" the value itself, "logistic" the pair
    (1 - p, p) with p = logistic(s), "logistic_pair" (logistic(-s), logistic(s)): the same but for
    the last bit.
    """

    nodes: tuple[Node, ...]
    leaves: tuple[tuple[float, ...], ...]
    base: float
    link: Link


def read_trees(graph: bytes) -> Trees | None:
    """The ensemble of a graph; None where there is more in the graph, or trees of another kind.

    Taken are sums of one score (binary or regression) over trees of at most 64 leaves each: what
    LightGBM, histogram gradient boosting and CatBoost up to depth 6 become. Forests, whose trees
    have more leaves, and several classes are not.
    """
    import onnx  # half a second, and not in the serving image

    model = onnx.load_model_from_string(graph)
    ensemble, *rest = model.graph.node
    if not ensemble.op_type.startswith("TreeEnsemble") or ensemble.input[0] != "X":
        return None
    if any(node.op_type not in PASS_ON for node in rest):
        return None
    given = {a.name: onnx.helper.get_attribute_value(a) for a in ensemble.attribute}
    if not _is_one_sum(given):
        return None
    weights = _weights(given)
    link = _link(given, weights)
    return None if link is None else _read(given, link, weights)


def _is_one_sum(given: dict[str, Any]) -> bool:
    is_binary = len(given.get("classlabels_int64s", ())) == 2
    wanted = b"LOGISTIC" if is_binary else b"NONE"
    return (
        (is_binary or given.get("n_targets") == 1)
        and given.get("post_transform", b"NONE") == wanted
        and given.get("aggregate_function", b"SUM") == b"SUM"
        and set(given["nodes_modes"]) <= {LEAF, AT_MOST, ABOVE}
        and len(given.get("base_values", ())) <= 1
        and _most_leaves(given) <= MAX_LEAVES
    )


def _most_leaves(given: dict[str, Any]) -> int:
    nodes = zip(given["nodes_treeids"], given["nodes_modes"], strict=True)
    return max(Counter(tree for tree, mode in nodes if mode == LEAF).values())


def _weights(given: dict[str, Any]) -> Weights:
    """Leaf values by output, tree and node."""
    kind = "class" if "classlabels_int64s" in given else "target"
    names = ("ids", "treeids", "nodeids", "weights")
    weights: Weights = {}
    for output, tree, node, weight in zip(*(given[f"{kind}_{n}"] for n in names), strict=True):
        weights.setdefault(output, {})[tree, node] = weight
    return weights


def _link(given: dict[str, Any], weights: Weights) -> Link | None:
    if set(weights) == {0}:
        return "logistic" if "classlabels_int64s" in given else "none"
    if set(weights) != {0, 1} or given.get("base_values"):
        return None
    is_mirrored = {leaf: -weight for leaf, weight in weights[0].items()} == weights[1]
    return "logistic_pair" if is_mirrored else None


def _read(given: dict[str, Any], link: Link, weights: Weights) -> Trees:
    by_tree: dict[int, dict[int, int]] = {}
    for place, key in enumerate(given["nodes_treeids"]):
        by_tree.setdefault(key, {})[given["nodes_nodeids"][place]] = place
    of_leaf = weights[max(weights)]
    trees = [
        _Tree(number, key, places, given, of_leaf)
        for number, (key, places) in enumerate(by_tree.items())
    ]
    return Trees(
        nodes=tuple(node for tree in trees for node in tree.nodes),
        leaves=tuple(tuple(tree.leaves) for tree in trees),
        base=sum(given.get("base_values", ())),
        link=link,
    )


class _Tree:
    """Walks one tree from its root and numbers the leaves as they come."""

    def __init__(
        self,
        number: int,
        key: int,
        places: dict[int, int],
        given: dict[str, Any],
        weights: dict[Leaf, float],
    ) -> None:
        self.nodes: list[Node] = []
        self.leaves: list[float] = []
        self._number, self._key, self._places = number, key, places
        self._given, self._weights = given, weights
        children = {
            given[side][place]
            for side in ("nodes_truenodeids", "nodes_falsenodeids")
            for place in places.values()
            if given["nodes_modes"][place] != LEAF
        }
        self._walk(next(node for node in places if node not in children))

    def _walk(self, node: int) -> int:
        """The leaves below a node, as bits."""
        place, given = self._places[node], self._given
        mode = given["nodes_modes"][place]
        if mode == LEAF:
            self.leaves.append(self._weights.get((self._key, node), 0.0))
            return 1 << (len(self.leaves) - 1)
        if_true = self._walk(given["nodes_truenodeids"][place])
        if_false = self._walk(given["nodes_falsenodeids"][place])
        tracks = given.get("nodes_missing_value_tracks_true")
        missing_is_true = bool(tracks and tracks[place])
        self.nodes.append(
            Node(
                tree=self._number,
                feature=given["nodes_featureids"][place],
                threshold=given["nodes_values"][place],
                missing_is_low=missing_is_true == (mode == AT_MOST),
                low_leaves=if_true if mode == AT_MOST else if_false,
                high_leaves=if_false if mode == AT_MOST else if_true,
            )
        )
        return if_true | if_false
