"""An alarm in words: the column, what moved, from where to where, and the limit."""

from __future__ import annotations

import numpy as np

from tabular.decision import Floats
from tabular.drift.counts import Counts

# A category of this share in training that is gone may be the one that has a new name.
GONE_SHARE = 0.02


def describe(name: str, kind: str, limit: float, counts: Counts) -> str:
    """One alarm as a sentence without its full stop."""
    made_of = f" (from {', '.join(counts.profile.inputs)})" if counts.profile.inputs else ""
    return f"{name}{made_of}: {_WORDS[kind](counts, limit)}"


def _missing(counts: Counts, limit: float) -> str:
    now, before = counts.n_missing / counts.n_rows, counts.profile.missing_share
    return (
        f"{now:.1%} of the rows have no value, {before:.1%} in training "
        f"(a change of more than {limit:.1%} alarms)"
    )


def _unreadable(counts: Counts, limit: float) -> str:
    share = counts.n_unreadable / counts.n_rows
    return f"{share:.1%} of the values cannot be read (more than {limit:.1%} alarms)"


def _range(counts: Counts, limit: float) -> str:
    edges, share = counts.profile.edges, counts.n_outside / counts.n_rows
    seen = f"{edges[0]:.6g} to {edges[-1]:.6g}" if edges else "nothing"
    return (
        f"{share:.1%} of the values lie outside what training saw, {seen} "
        f"(more than {limit:.1%} alarms); has its unit changed?"
    )


def _shift(counts: Counts, limit: float) -> str:
    return (
        f"the values moved by {counts.shift():.2f} standard deviations, the median from "
        f"{_middle(counts.profile.cells, counts)} to {_middle(counts.cells, counts)} "
        f"(more than {limit:.2f} alarms)"
    )


def _middle(cells: Floats, counts: Counts) -> str:
    """The upper edge of the cell that holds the median, or that it lies beyond all edges."""
    edges, risen = counts.profile.edges, np.cumsum(cells)
    place = int(np.searchsorted(risen, risen[-1] / 2))
    if place == len(edges):
        return f"more than {edges[-1]:.4g}"
    is_lowest = place == 0 and len(edges) > 1
    return f"{'at most ' if is_lowest else ''}{edges[place]:.4g}"


def _unseen(counts: Counts, limit: float) -> str:
    text, _ = counts.unseen.most_common(1)[0]
    share = counts.n_unseen / counts.n_rows
    words = (
        f"{share:.1%} of the rows have a category that training never saw, most often "
        f"'{text[:60]}' (more than {limit:.1%} alarms)"
    )
    gone = (counts.profile.cells >= GONE_SHARE) & (counts.cells == 0)
    if gone.any():
        words += (
            f"; '{counts.profile.categories[int(np.flatnonzero(gone)[0])]}' is gone: a new name?"
        )
    return words


def _distribution(counts: Counts, limit: float) -> str:
    before, now = counts.profile.cells, counts.cells / max(1.0, counts.cells.sum())
    place = int(np.abs(now - before).argmax())
    where = _cell(counts, place)
    return (
        f"the distribution moved, most at {where}: {before[place]:.1%} in training, "
        f"{now[place]:.1%} now (a stability index of more than {limit:.2f} alarms)"
    )


def _cell(counts: Counts, place: int) -> str:
    profile = counts.profile
    if profile.kind == "category":
        return f"'{profile.categories[place][:60]}'"
    if place == 0:
        return f"{profile.edges[0]:.6g}"
    if place == len(profile.edges):
        return f"more than {profile.edges[-1]:.6g}"
    return f"{profile.edges[place - 1]:.6g} to {profile.edges[place]:.6g}"


_WORDS = {
    "missing": _missing,
    "unreadable": _unreadable,
    "range": _range,
    "shift": _shift,
    "unseen": _unseen,
    "distribution": _distribution,
}
