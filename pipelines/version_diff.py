"""Two versions side by side: what was measured, on what, by which model, under which contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.registry_state import version_state
from tabular.bundle import Bundle, ServedContract
from tabular.decision import Decision
from tabular.settings import LOWER_IS_BETTER

# The knots of an isotonic calibration are hundreds of numbers that say nothing to a reader.
_DECISION = ("calibration", "threshold", "interval_level", "interval_half_width", "unit", "classes")

Pair = list[Any]


def diff_versions(names: tuple[str, str], bundles: tuple[Bundle, Bundle]) -> dict[str, Any]:
    """Everything that a reader compares, each as a pair in the order of `names`."""
    one, two = (
        version_state(name, bundle.manifest) for name, bundle in zip(names, bundles, strict=True)
    )
    sets = [state["evaluation_set"] for state in (one, two)]
    return {
        "versions": list(names),
        "same_test_rows": sets[0] == sets[1] if all(sets) else None,
        "metrics": diff_metrics(one["metrics"], two["metrics"]),
        "facts": {
            name: [one[name], two[name]]
            for name in ("created_at", "data_sha256", "evaluation_set", "git_commit", "verdict")
        },
        "rows": _pairs(one["rows"], two["rows"]),
        "model": _pairs(_model(one["chosen"]), _model(two["chosen"])),
        "decision": _pairs(_decision(bundles[0].decision), _decision(bundles[1].decision)),
        "contract": diff_contracts(bundles[0].contract, bundles[1].contract),
        "gates": _pairs(_gates(bundles[0].manifest), _gates(bundles[1].manifest)),
        "packages": _pairs(one["packages"], two["packages"]),
    }


def diff_metrics(
    one: Mapping[str, dict[str, float]], two: Mapping[str, dict[str, float]]
) -> dict[str, dict[str, Any]]:
    """By metric: both with their intervals, the difference (second less first), and who is better.

    `better` is 0 or 1, the place of the better one; None where they are equal or one is missing.
    """
    rows: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys([*one, *two]):
        first, second = one.get(name), two.get(name)
        difference = second["value"] - first["value"] if first and second else None
        better = None
        if difference:
            better = int((difference > 0) != (name in LOWER_IS_BETTER))
        rows[name] = {"values": [first, second], "difference": difference, "better": better}
    return rows


def diff_contracts(one: ServedContract, two: ServedContract) -> list[dict[str, Any]]:
    """Each change as column, key, and what the two say of it; columns by their name.

    The key `column` is for a column that only one of them has, and `known categories` for those
    that training saw: it names only what the other lacks.
    """
    before, after = _columns(one), _columns(two)
    changes: list[dict[str, Any]] = []
    for column in dict.fromkeys([*before, *after]):
        first, second = before.get(column), after.get(column)
        if first is None or second is None:
            pair = [first and "is there", second and "is there"]
            changes.append({"column": column, "key": "column", "values": pair})
            continue
        for key in dict.fromkeys([*first, *second]):
            pair = [first.get(key), second.get(key)]
            if pair[0] != pair[1]:
                changes.append({"column": column, "key": key, "values": _only(pair)})
    return changes


def _columns(contract: ServedContract) -> dict[str, dict[str, Any]]:
    """By column, derived ones too, what the contract says of it that can change an answer."""
    silent = {"description", "example"}
    columns = {
        name: column.model_dump(mode="json", exclude=silent)
        for name, column in contract.contract.columns.items()
    }
    for name, derivation in contract.contract.derive.items():
        columns[name] = derivation.model_dump(mode="json")
    for feature in contract.features:
        if feature.categories:
            columns.setdefault(feature.name, {})["known categories"] = set(feature.categories)
    return columns


def _only(pair: Pair) -> Pair:
    if not all(isinstance(value, set) for value in pair):
        return pair
    return [sorted(pair[0] - pair[1]), sorted(pair[1] - pair[0])]


def _pairs(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Pair]:
    return {name: [one.get(name), two.get(name)] for name in dict.fromkeys([*one, *two])}


def _model(chosen: Mapping[str, Any] | None) -> dict[str, Any]:
    """The chosen candidate and its parameters, flat."""
    if not chosen:
        return {}
    named = {name: chosen.get(name) for name in ("candidate", "resample")}
    return {**named, **chosen.get("params", {})}


def _decision(decision: Decision) -> dict[str, Any]:
    return decision.model_dump(mode="json", include=set(_DECISION), exclude_defaults=True)


def _gates(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """By gate, with its limit: the value and whether it held."""
    results = manifest.get("report", {}).get("verdict", {}).get("results", ())
    return {
        f"{result['metric']} {result['limit']}": {
            "value": result["value"],
            "passed": result["passed"],
        }
        for result in results
    }
