"""A window against the training rows: by how much each column moved, and which of it alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tabular.contract import Frozen
from tabular.drift.counts import Counts
from tabular.drift.effects import (
    chance_limits,
    group_cells,
    grouped,
    share_limit,
    stability_index,
)
from tabular.drift.profile import Profile
from tabular.drift.settings import Effects, Monitor
from tabular.drift.words import describe

# A window in live traffic is not one of those that the natural movement was taken from.
NATURAL_MARGIN = 1.5
SEED = 0
# Of the budget of false alarms, this part is spread evenly and the rest by importance.
EVEN_PART = 0.5


class Measure(Frozen):
    """One kind of movement: how large it is, and from where on it alarms."""

    kind: str
    effect: float
    limit: float

    @property
    def alarms(self) -> bool:
        """Whether it is beyond its limit."""
        return self.effect > self.limit


class ColumnDrift(Frozen):
    """One column of a window. `drift` is its largest effect by its limit: above 1 it alarms."""

    column: str
    role: str
    importance: float
    n_rows: int
    measures: tuple[Measure, ...]
    alarms: tuple[str, ...] = ()

    @property
    def drift(self) -> float:
        """The largest effect in units of its limit."""
        return max((m.effect / m.limit for m in self.measures), default=0.0)


def effects_of(counts: Counts) -> dict[str, float]:
    """The effect of each kind that says something of this column."""
    profile, n_rows = counts.profile, max(1, counts.n_rows)
    effects = {"missing": abs(counts.n_missing / n_rows - profile.missing_share)}
    if counts.is_hashed:
        return effects
    effects["unreadable"] = counts.n_unreadable / n_rows
    if profile.role == "moment" or not counts.n_known:
        return effects
    if profile.kind == "number":
        effects["range"] = counts.n_outside / n_rows
        effects["shift"] = counts.shift()
    else:
        effects["unseen"] = counts.n_unseen / n_rows
    if profile.role != "raw":
        groups = group_cells(profile)
        n_reference = profile.n_rows * (1 - profile.missing_share)
        reference = grouped(profile.cells * n_reference, groups)
        effects["distribution"] = float(stability_index(grouped(counts.cells, groups), reference))
    return effects


def compare_column(
    name: str, counts: Counts, monitor: Monitor, *, importance: float, tail: float
) -> ColumnDrift:
    """Hold a column's effects against their limits.

    Args:
        tail: The share of stable windows in which this column may alarm.
    """
    effects = effects_of(counts)
    limits = _limits(counts, effects, monitor.effects, tail / max(1, len(effects)))
    measures = tuple(Measure(kind=k, effect=e, limit=limits[k]) for k, e in effects.items())
    alarms = tuple(describe(name, m.kind, m.limit, counts) for m in measures if m.alarms)
    return ColumnDrift(
        column=name,
        role=counts.profile.role,
        importance=importance,
        n_rows=counts.n_rows,
        measures=measures,
        alarms=alarms,
    )


def _limits(
    counts: Counts, effects: Mapping[str, float], least: Effects, tail: float
) -> dict[str, float]:
    """The largest of: what is worth a word, what chance does, what the column does by itself."""
    profile = counts.profile
    chance = chance_limits(profile, counts.n_known, tail, seed=SEED)
    for kind in ("missing", "unseen", "range", "unreadable"):
        share = profile.missing_share if kind == "missing" else 0.0
        chance[kind] = share_limit(share, max(1, counts.n_rows), profile.n_rows, tail)
    worth = least.model_dump()
    if profile.role == "raw":
        worth["shift"] = worth["raw_shift"]
    natural = {kind: NATURAL_MARGIN * effect for kind, effect in profile.natural.items()}
    return {
        kind: max(worth[kind], chance.get(kind, 0.0), natural.get(kind, 0.0)) for kind in effects
    }


def compare_columns(
    counts: Mapping[str, Counts], importances: Mapping[str, float], monitor: Monitor
) -> tuple[ColumnDrift, ...]:
    """Every column of a window, the most important first.

    Args:
        counts: By name; the columns of the contract, derived ones and answers.
        importances: By input column, not negative; what has none counts as unimportant. Where all
            are zero, every column is as important as the next.
    """
    weights = {name: _importance(name, one.profile, importances) for name, one in counts.items()}
    total = sum(importances.values())
    shares = {n: w / total if total else 1 / max(1, len(counts)) for n, w in weights.items()}
    sum_shares = sum(shares.values()) or 1.0
    found = [
        compare_column(
            name,
            one,
            monitor,
            importance=shares[name],
            tail=monitor.false_alarm_share
            * (EVEN_PART / len(counts) + (1 - EVEN_PART) * shares[name] / sum_shares),
        )
        for name, one in counts.items()
        if one.n_rows
    ]
    return tuple(sorted(found, key=lambda one: -one.importance))


def _importance(name: str, profile: Profile, importances: Mapping[str, float]) -> float:
    """A derived column is as important as the most important column that it is made of.

    The answers and outcomes are all that the model is for.
    """
    if profile.role in ("prediction", "outcome"):
        return sum(importances.values()) or 1.0
    return max((importances.get(one, 0.0) for one in (name, *profile.inputs)), default=0.0)


def drift_score(columns: Sequence[ColumnDrift]) -> float:
    """Mean drift of what the model reads, weighted by importance."""
    read = [one for one in columns if one.role == "feature"]
    weight = sum(one.importance for one in read)
    return sum(one.importance * one.drift for one in read) / weight if weight else 0.0
