"""Repeated values are found among more rows than are looked at, and colliding hashes are none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular.checks import repeats
from tabular.checks.repeats import repeated_rows


def read_in(values, size):
    return lambda: iter([values[start : start + size] for start in range(0, len(values), size)])


def naive(values):
    seen, answer = set(), []
    for value in values:
        is_missing = value == "" or value != value
        answer.append(not is_missing and value in seen)
        seen.add(value)
    return answer


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([0.0, -0.0, 1.5, 2.0, float("nan")]), max_size=30),
    st.integers(1, 7),
)
def test_repeated_numbers_are_those_a_naive_look_finds(values, size):
    column = np.array(values, dtype=np.float32)
    assert repeated_rows(read_in(column, size)).tolist() == naive(column.tolist())


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["", "a", "b", "bb", "ä"]), max_size=30), st.integers(1, 7))
def test_repeated_texts_are_those_a_naive_look_finds(values, size):
    column = np.array(values, dtype=object)
    assert repeated_rows(read_in(column, size)).tolist() == naive(values)


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_colliding_hashes_are_told_apart(monkeypatch, limit):
    def poor_hashes(values):
        return np.array([value != "" for value in values]).astype(np.uint64) * np.uint64(7)

    monkeypatch.setattr(repeats, "_hashes", poor_hashes)
    monkeypatch.setattr(repeats, "MAX_LOOKED_AT", limit)
    column = np.array(["a", "b", "", "a", "", "c", "b", "a"], dtype=object)
    assert repeated_rows(read_in(column, 3)).tolist() == naive(column.tolist())


@pytest.mark.parametrize("limit", [7, 10_000_000])
def test_many_repeats_are_looked_at_in_several_passes(monkeypatch, limit):
    monkeypatch.setattr(repeats, "MAX_LOOKED_AT", limit)
    column = np.random.default_rng(0).integers(0, 40, 200).astype(np.float32)
    assert repeated_rows(read_in(column, 30)).tolist() == naive(column.tolist())
