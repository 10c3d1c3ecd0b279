"""The trees of an ONNX graph, where it is nothing but one ensemble of small trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_LEAVES = 64
MODES = {b"LEAF", b"BRANCH_LEQ"}
PASS_ON = ("Identity",)


@dataclass(frozen=True)
class Node:
    """A comparison `x <= threshold` of one tree, and the leaves below each of its sides, as bits.

    Leaves are numbered from 0, those below "true" first.
    """

    tree: int
    feature: int
    threshold: float
    missing_is_true: bool
    true_leaves: int
    false_leaves: int


@dataclass(frozen=True)
class Trees:
    """An ensemble whose score is `base` and one leaf value of each tree, added in their order."""

    nodes: tuple[Node, ...]
    leaves: tuple[tuple[float, ...], ...]
    base: float
    is_logistic: bool


def read_trees(graph: bytes) -> Trees | None:
    """The ensemble of a graph; None where there is more in the graph, or trees of another kind.

    Taken are sums of one score (binary or regression) over trees of at most 64 leaves each: what
    LightGBM and histogram gradient boosting become. Forests and several classes are not.
    """
    import onnx  # half a second

    model = onnx.load_model_from_string(graph)
    ensemble, *rest = model.graph.node
    if not ensemble.op_type.startswith("TreeEnsemble") or ensemble.input[0] != "X":
        return None
    if any(node.op_type not in PASS_ON for node in rest):
        return None
    given = {a.name: onnx.helper.get_attribute_value(a) for a in ensemble.attribute}
    return _read(given) if _is_one_sum(given) else None


def _is_one_sum(given: dict[str, Any]) -> bool:
    kind = "class" if "classlabels_int64s" in given else "target"
    is_binary = kind == "class" and len(given["classlabels_int64s"]) == 2
    wanted = b"LOGISTIC" if is_binary else b"NONE"
    return (
        (is_binary or given.get("n_targets") == 1)
        and given.get("post_transform", b"NONE") == wanted
        and given.get("aggregate_function", b"SUM") == b"SUM"
        and set(given[f"{kind}_ids"]) == {0}
        and set(given["nodes_modes"]) <= MODES
        and len(given.get("base_values", ())) <= 1
    )


def _read(given: dict[str, Any]) -> Trees | None:
    kind = "class" if "classlabels_int64s" in given else "target"
    keys = zip(given[f"{kind}_treeids"], given[f"{kind}_nodeids"], strict=True)
    weights = dict(zip(keys, given[f"{kind}_weights"], strict=True))
    by_tree: dict[int, dict[int, int]] = {}
    for place, key in enumerate(given["nodes_treeids"]):
        by_tree.setdefault(key, {})[given["nodes_nodeids"][place]] = place
    trees = [
        _Tree(number, places, given, {n: w for (tree, n), w in weights.items() if tree == key})
        for number, (key, places) in enumerate(by_tree.items())
    ]
    if max(len(tree.leaves) for tree in trees) > MAX_LEAVES:
        return None
    return Trees(
        nodes=tuple(node for tree in trees for node in tree.nodes),
        leaves=tuple(tuple(tree.leaves) for tree in trees),
        base=sum(given.get("base_values", ())),
        is_logistic=kind == "class",
    )


class _Tree:
    """Walks one tree from its root and numbers the leaves as they come."""

    def __init__(
        self, number: int, places: dict[int, int], given: dict[str, Any], weights: dict[int, float]
    ) -> None:
        self.nodes: list[Node] = []
        self.leaves: list[float] = []
        self._number, self._places, self._given, self._weights = number, places, given, weights
        children = {
            given[side][place]
            for side in ("nodes_truenodeids", "nodes_falsenodeids")
            for place in places.values()
            if given["nodes_modes"][place] != b"LEAF"
        }
        self._walk(next(node for node in places if node not in children))

    def _walk(self, node: int) -> int:
        """The leaves below a node, as bits."""
        place, given = self._places[node], self._given
        if given["nodes_modes"][place] == b"LEAF":
            self.leaves.append(self._weights.get(node, 0.0))
            return 1 << (len(self.leaves) - 1)
        true_leaves = self._walk(given["nodes_truenodeids"][place])
        false_leaves = self._walk(given["nodes_falsenodeids"][place])
        tracks = given.get("nodes_missing_value_tracks_true")
        self.nodes.append(
            Node(
                tree=self._number,
                feature=given["nodes_featureids"][place],
                threshold=given["nodes_values"][place],
                missing_is_true=bool(tracks and tracks[place]),
                true_leaves=true_leaves,
                false_leaves=false_leaves,
            )
        )
        return true_leaves | false_leaves
