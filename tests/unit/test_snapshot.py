"""A snapshot's hash is that of its content, and its file is whole or not there."""

import itertools
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tabular.errors import DataError, StoreError
from tabular.tables.readers import open_table
from tabular.tables.snapshot import equal_batches, save_snapshot, table_sha256

TABLE = pa.table(
    {
        "x": pa.array([1.5, None, 3.0, 4.0, 5.0]),
        "s": ["a", None, "", "dd", "e" * 40],
        "n": [1, 2, 3, 4, 5],
        "b": [True, None, False, True, True],
    }
)
BIG = pa.table({"x": np.arange(200_000), "s": [str(i % 999) for i in range(200_000)]})


def saved(table, folder, **keys):
    words = {"source": "a", "synthetic": False} | keys
    return save_snapshot(table.to_batches(), folder, **words)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 5), max_size=5))
def test_hash_does_not_depend_on_chunks_or_slices(cuts):
    cuts = [0, *sorted(cuts), 5]
    pieces = [TABLE.slice(a, b - a) for a, b in itertools.pairwise(cuts)]
    assert table_sha256(pa.concat_tables(pieces)) == table_sha256(TABLE)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 200_000), max_size=6))
def test_hash_of_a_large_table_does_not_depend_on_its_batches(cuts):
    cuts = [0, *sorted(cuts), 200_000]
    pieces = [BIG.slice(a, b - a) for a, b in itertools.pairwise(cuts)]
    assert table_sha256(pa.concat_tables(pieces)) == table_sha256(BIG)


def test_hash_does_not_depend_on_the_files_layout(tmp_path):
    hashes = set()
    for i, keys in enumerate(
        [{"row_group_size": 2}, {"compression": "zstd"}, {"use_dictionary": False}]
    ):
        pq.write_table(TABLE, tmp_path / f"{i}.parquet", **keys)
        stored = open_table(str(tmp_path / f"{i}.parquet"))
        hashes.add(table_sha256(pa.Table.from_batches(stored.batches(stored.names))))
    assert hashes == {table_sha256(TABLE)}


@pytest.mark.parametrize(
    "column",
    [
        TABLE["s"].dictionary_encode(),
        TABLE["s"].cast(pa.large_string()),
        TABLE["s"].cast(pa.string_view()),
        pa.chunked_array(
            [
                TABLE["s"].chunk(0)[:2].dictionary_encode(),
                TABLE["s"].chunk(0)[2:].dictionary_encode(),
            ]
        ),
    ],
    ids=["dictionary", "large", "view", "two-dictionaries"],
)
def test_hash_does_not_depend_on_how_texts_are_encoded(column):
    assert table_sha256(TABLE.set_column(1, "s", column)) == table_sha256(TABLE)


@pytest.mark.parametrize(
    "other",
    [
        TABLE.take([1, 0, 2, 3, 4]),
        TABLE.slice(0, 4),
        TABLE.rename_columns(["x", "s", "m", "b"]),
        TABLE.select(["s", "x", "n", "b"]),
        TABLE.set_column(2, "n", pa.array([1.0, 2, 3, 4, 5])),
        TABLE.set_column(1, "s", pa.array(["a", "", "", "dd", "e" * 40])),
        TABLE.set_column(3, "b", pa.array([None, True, False, True, True])),
    ],
    ids=["order", "rows", "name", "columns", "type", "missing", "place-of-missing"],
)
def test_hash_depends_on(other):
    assert table_sha256(other) != table_sha256(TABLE)


def test_hash_of_values_moved_between_columns_differs():
    a = pa.table({"x": ["a", "bc"], "y": ["d", "e"]})
    b = pa.table({"x": ["ab", "c"], "y": ["d", "e"]})
    assert table_sha256(a) != table_sha256(b)


def test_snapshot_is_named_by_its_content_and_written_once(tmp_path):
    first = saved(TABLE, tmp_path)
    written = Path(first.path).stat().st_mtime_ns
    again = saved(TABLE, tmp_path, source="b", synthetic=True)
    assert first.path == again.path == str(tmp_path / f"{table_sha256(TABLE)[:16]}.parquet")
    assert Path(first.path).stat().st_mtime_ns == written
    assert (again.source, again.synthetic, again.n_rows) == ("b", True, 5)
    assert table_sha256(pq.read_table(first.path)) == first.sha256
    assert [path.name for path in tmp_path.iterdir()] == [Path(first.path).name]


def test_snapshot_holds_the_rows_in_order(tmp_path):
    snapshot = saved(BIG, tmp_path)
    assert pa.Table.from_batches(snapshot.batches()).equals(BIG)
    assert [batch.num_rows for batch in snapshot.batches(["x"])] == [65_536] * 3 + [3_392]


def test_equal_batches_are_of_one_size_whatever_came():
    batches = BIG.to_batches(max_chunksize=30_001)
    sizes = [batch.num_rows for batch in equal_batches(batches, BIG.schema)]
    assert sizes == [65_536] * 3 + [3_392]


def test_snapshot_in_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        saved(TABLE, tmp_path / "file")


def test_snapshot_without_a_row_is_refused(tmp_path):
    with pytest.raises(DataError, match="a: there is no row to read; take other rows"):
        save_snapshot([], tmp_path, source="a", synthetic=False)


def test_source_that_breaks_off_leaves_no_file(tmp_path):
    def breaking():
        yield from BIG.to_batches(max_chunksize=65_536)
        raise DataError("the cable was pulled")

    with pytest.raises(DataError, match="cable"):
        save_snapshot(breaking(), tmp_path, source="a", synthetic=False)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_taken_away(tmp_path):
    def batches():
        yield BIG.to_batches()[0]
        os.kill(os.getpid(), signal.SIGKILL)

    writer = multiprocessing.get_context("fork").Process(
        target=save_snapshot, args=(batches(), tmp_path), kwargs={"source": "a", "synthetic": False}
    )
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    whole = saved(TABLE, tmp_path)
    assert list(tmp_path.iterdir()) == [Path(whole.path)]
