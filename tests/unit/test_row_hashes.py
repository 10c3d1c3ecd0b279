"""Row hashes tell rows apart by content, and by nothing else."""

import numpy as np
import pandas as pd
import pytest

from tabular.row_hashes import hash_rows, packed, unpacked

NAMES = ("age", "city")
COLUMNS = {
    "age": np.array([30, 31, np.nan, 30], dtype=np.float32),
    "city": np.array(["Delhi", "Delhi", "", "Pune"], dtype=object),
}
Y = np.array([0, 1, 1, 0])
EXPECTED = ["779f7074fd8e8d4b", "abfcb8d7b15dca0d", "6cffaf5b4e5dd0b2", "b1ef93637a91a975"]


def test_hash_is_that_of_format_1_for_ever():
    """Bundles of today must be read in years: a change of the hash is a change of the format."""
    assert [f"{one:016x}" for one in hash_rows(COLUMNS, NAMES, Y)] == EXPECTED


def test_hash_does_not_rest_on_place_types_or_column_order():
    order = np.array([2, 0, 3, 1])
    moved = {
        "row": np.arange(4),
        "city": COLUMNS["city"][order].astype(str),
        "age": COLUMNS["age"][order].astype(np.float64),
    }
    expected = hash_rows(COLUMNS, NAMES, Y)[order]
    assert (hash_rows(moved, NAMES[::-1], Y[order].astype(float)) == expected).all()


@pytest.mark.parametrize(
    "change",
    [
        {"age": np.array([31, 31, np.nan, 30])},
        {"age": np.array([np.nan, 31, np.nan, 30])},
        {"city": np.array(["delhi", "Delhi", "", "Pune"], dtype=object)},
    ],
)
def test_hash_changes_with_one_value_in_its_row_only(change):
    changed = hash_rows({**COLUMNS, **change}, NAMES, Y) != hash_rows(COLUMNS, NAMES, Y)
    assert changed.tolist() == [True, False, False, False]


def test_hash_changes_with_the_target():
    changed = hash_rows(COLUMNS, NAMES, 1 - Y) != hash_rows(COLUMNS, NAMES, Y)
    assert changed.all()


def test_hash_tells_swapped_columns_apart():
    swapped = {"a": COLUMNS["age"], "b": -COLUMNS["age"]}
    other = {"a": swapped["b"], "b": swapped["a"]}
    differ = hash_rows(swapped, "ab", Y) != hash_rows(other, "ab", Y)
    assert differ.tolist() == [True, True, False, True]  # missing in both is the same row


def test_minus_zero_is_zero():
    zeros = hash_rows({"a": np.array([0.0, -0.0])}, "a", np.zeros(2))
    assert zeros[0] == zeros[1]


def test_hashes_of_200_000_small_integers_do_not_meet():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(rng.integers(-1, 2, (200_000, 30))).drop_duplicates()
    columns = {str(name): rows[name].to_numpy() for name in rows}
    hashes = hash_rows(columns, list(columns), np.zeros(len(rows)))
    assert len(np.unique(hashes)) == len(rows)


def test_packed_is_sorted_little_endian_and_comes_back():
    hashes = np.array([2**63 + 1, 5, 5], dtype=np.uint64)
    assert packed(hashes) == bytes([5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 128])
    assert unpacked(packed(hashes)).tolist() == [5, 2**63 + 1]
