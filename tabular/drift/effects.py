"""How far a window is from the training rows, and how far chance alone would take it.

Distribution: population stability index over groups of at least 5 % of the training rows (1 % for
categories), each count raised by one half so that an empty group is no infinity. Shift: Wasserstein
distance between the two distribution functions, in standard deviations of the training rows, all
values outside the training rows' 1st and 99th percentile moved there: a few wild ones, which occur
in most tables, are no shift.
Chance: windows drawn from the training shares, against training shares drawn anew too; their mean
and variance give a gamma distribution, and its tail the limit (a stability index of such draws is a
chi-squared variable times a number, which is such a distribution). docs/adr/0021 says more.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammainccinv
from scipy.stats import binom

from tabular.decision import Floats
from tabular.drift.profile import Profile

Groups = npt.NDArray[np.intp]

MIN_GROUP_SHARE = {"number": 0.05, "category": 0.01}
N_DRAWS = 300
HALF = 0.5


def group_cells(profile: Profile) -> Groups:
    """The group of each cell: a number's neighbours are joined, and rare categories in the last."""
    shares, least = profile.cells, MIN_GROUP_SHARE[profile.kind]
    if profile.kind == "category":
        rank = np.cumsum(shares >= least) - 1
        n_groups = rank[-1] + 1 if len(rank) else 0
        return np.where(shares >= least, rank, n_groups)
    groups = np.zeros(len(shares), dtype=np.intp)
    group, gathered = 0, 0.0
    for cell, share in enumerate(shares):
        groups[cell] = group
        gathered += share
        if gathered >= least and shares[cell + 1 :].sum() >= least:
            group, gathered = group + 1, 0.0
    return groups


def stability_index(window: Floats, reference: Floats) -> Floats:
    """Population stability index of counts (..., k) against counts (..., k)."""
    p, q = (
        (counts + HALF) / (counts + HALF).sum(axis=-1, keepdims=True)
        for counts in (window, reference)
    )
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1))


def wasserstein(window: Floats, reference: Floats, profile: Profile) -> Floats:
    """Area between two distribution functions, from shares (..., k + 1) of a profile's cells.

    In standard deviations of the training rows. Both are taken within the profile's core.
    """
    apart = np.abs(np.cumsum(window, axis=-1) - np.cumsum(reference, axis=-1))
    return np.asarray((apart[..., : len(profile.widths)] * profile.widths).sum(axis=-1)) / spread(
        profile
    )


def spread(profile: Profile) -> float:
    """What a shift is measured in; a constant column's is its value, or 1."""
    usual = abs(profile.edges[0]) if profile.edges else 0.0
    return profile.deviation or usual or 1.0


def grouped(counts: Floats, groups: Groups) -> Floats:
    """Sum counts (..., k) by group."""
    n_groups = int(groups.max()) + 1 if len(groups) else 0
    return np.stack([counts[..., groups == g].sum(axis=-1) for g in range(n_groups)], axis=-1)


def chance_limits(profile: Profile, n_known: int, tail: float, *, seed: int) -> dict[str, float]:
    """What chance alone exceeds in a share `tail` of windows of n known values, by measure."""
    n_reference = max(1, round(profile.n_rows * (1 - profile.missing_share)))
    shares = profile.cells / max(profile.cells.sum(), np.finfo(float).tiny)
    if not len(shares) or not n_known:
        return {}
    rng = np.random.default_rng(seed)
    window = rng.multinomial(n_known, shares, N_DRAWS).astype(np.float64)
    reference = rng.multinomial(n_reference, shares, N_DRAWS).astype(np.float64)
    groups = group_cells(profile)
    draws = {"distribution": stability_index(grouped(window, groups), grouped(reference, groups))}
    if profile.kind == "number":
        draws["shift"] = wasserstein(window / n_known, reference / n_reference, profile)
    return {name: _tail(values, tail) for name, values in draws.items()}


def share_limit(share: float, n_rows: int, n_reference: int, tail: float) -> float:
    """By how much a share of n rows exceeds the reference's in `tail` of windows, by chance."""
    likely = min(1.0, share + 1 / max(1, n_reference))
    rise = float(binom.isf(tail, n_rows, likely)) / n_rows - share
    unsure = float(np.sqrt(likely * (1 - likely) / max(1, n_reference)))
    return rise + 2 * unsure


def _tail(draws: Floats, tail: float) -> float:
    mean, variance = float(draws.mean()), float(draws.var())
    if mean <= 0 or variance <= 0:
        return 0.0
    return float(gammainccinv(mean**2 / variance, tail) * variance / mean)
