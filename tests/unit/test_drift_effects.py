"""Effects agree with scipy and hand-made numbers; chance exceeds its limit as seldom as said."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from tabular.drift.counts import Counts
from tabular.drift.effects import chance_limits, group_cells, share_limit, stability_index
from tabular.drift.profile import Profile, core, profile_of_quantiles

RNG = np.random.default_rng(7)


def number_profile(values):
    return Profile.of_values(np.asarray(values, dtype=np.float32), "feature")


def text_profile(**counts):
    values = np.array([name for name, n in counts.items() for _ in range(n)], dtype=object)
    return Profile.of_values(values, "feature")


def counted(profile, values):
    counts = Counts(profile)
    counts.add(values)
    return counts


def test_stability_index_is_the_sum_by_hand():
    # Shares with one half added: 30.5/101 and 70.5/101 against 50.5/101 twice.
    p, q = np.array([30.5, 70.5]) / 101, np.array([50.5, 50.5]) / 101
    by_hand = (p[0] - q[0]) * np.log(p[0] / q[0]) + (p[1] - q[1]) * np.log(p[1] / q[1])
    index = stability_index(np.array([30.0, 70.0]), np.array([50.0, 50.0]))
    assert index == pytest.approx(by_hand)
    assert stability_index(np.array([5.0, 5.0]), np.array([50.0, 50.0])) < 1e-9


@pytest.mark.parametrize("moved", [0.0, 0.3, -1.5])
def test_shift_is_the_wasserstein_distance_of_the_core(moved):
    before = RNG.normal(10, 3, 20_000).astype(np.float32)
    now = (RNG.normal(10, 3, 20_000) + moved * 3).astype(np.float32)
    profile = number_profile(before)
    low, high = core(profile.grid, profile.cells)
    within = before.clip(low, high)
    expected = wasserstein_distance(within, now.clip(low, high)) / within.std()
    assert counted(profile, now).shift() == pytest.approx(expected, abs=0.02)


def test_a_few_wild_values_are_no_shift_but_outside_the_range():
    profile = number_profile(RNG.normal(0, 1, 5_000))
    wild = RNG.normal(0, 1, 2_000).astype(np.float32)
    wild[:10] = 1e9
    counts = counted(profile, wild)
    assert counts.shift() < 0.1
    assert 10 <= counts.n_outside <= 20


def test_shift_of_a_rare_flag_is_seen():
    profile = number_profile(np.repeat([0.0, 1.0], [995, 5]))
    assert counted(profile, np.repeat([0.0, 1.0], [70, 30]).astype(np.float32)).shift() > 1


def test_constant_column_that_moves_is_measured_in_its_own_size():
    profile = number_profile(np.full(500, 4.0))
    assert counted(profile, np.full(100, 4.0, dtype=np.float32)).shift() == 0
    assert counted(profile, np.full(100, 5.0, dtype=np.float32)).n_outside == 100


def test_groups_join_small_neighbours_and_rare_categories():
    number = number_profile(np.repeat([1.0, 2.0, 3.0, 4.0], [500, 20, 20, 460]))
    groups = group_cells(number)
    shares = np.bincount(groups, number.cells)
    assert (np.diff(groups) >= 0).all()
    assert (shares >= 0.05).all()
    text = text_profile(a=600, b=395, c=3, d=2)
    assert group_cells(text).tolist() == [0, 1, 2, 2]


@pytest.mark.parametrize("n_rows", [300, 3_000])
def test_chance_exceeds_its_limit_about_as_seldom_as_said(n_rows):
    tail, population = 0.05, RNG.gamma(2.0, 3.0, 100_000).astype(np.float32)
    limits = chance_limits(number_profile(population[:4_000]), n_rows, tail, seed=0)
    exceeded = {"shift": 0, "distribution": 0}
    for _ in range(400):
        profile = number_profile(RNG.choice(population, 4_000))
        counts, groups = counted(profile, RNG.choice(population, n_rows)), group_cells(profile)
        reference = np.bincount(groups, profile.cells * 4_000)
        index = stability_index(np.bincount(groups, counts.cells), reference)
        exceeded["shift"] += counts.shift() > limits["shift"]
        exceeded["distribution"] += index > limits["distribution"]
    assert all(0 <= n <= 0.11 * 400 for n in exceeded.values()), exceeded
    assert sum(exceeded.values()) > 0  # a limit that nothing ever reaches would hide drift


def test_share_limit_grows_as_rows_get_fewer():
    limits = [share_limit(0.02, n, 10_000, 1e-3) for n in (100, 1_000, 100_000)]
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] < 0.01 < limits[0]


def test_profile_of_an_old_bundle_is_near_the_new_one():
    values = RNG.gamma(2.0, 3.0, 10_000).astype(np.float32)
    values[:500] = np.nan
    new = number_profile(values)
    grid = np.quantile(values[500:], np.linspace(0, 1, 101)).tolist()
    old = profile_of_quantiles({"quantiles": grid, "missing_share": 0.05}, "feature", 10_000)
    assert old.missing_share == pytest.approx(new.missing_share)
    assert np.abs(np.cumsum(old.cells) - np.cumsum(new.cells)).max() < 0.011
    assert old.deviation == pytest.approx(new.deviation, rel=0.05)


def test_profile_of_an_old_bundle_keeps_ties_and_categories():
    old = profile_of_quantiles({"quantiles": [0, 0, 0, 1, 1], "missing_share": 0.0}, "feature", 100)
    assert old.edges == (0, 1)
    assert old.shares == pytest.approx((0.5, 0.5, 0.0))
    text = profile_of_quantiles({"shares": {"a": 0.6, "": 0.2, "b": 0.2}}, "feature", 100)
    assert (text.categories, text.missing_share) == (("a", "b"), 0.2)
    assert text.shares == pytest.approx((0.75, 0.25))


def test_column_without_a_value_in_training_has_no_effects_but_gaps():
    profile = number_profile(np.full(100, np.nan))
    counts = counted(profile, np.ones(50, dtype=np.float32))
    assert counts.shift() == 0
    assert profile.missing_share == 1
