"""A log counted in stretches says what it says when it is read from end to end."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tabular.drift import counting as drift_counting
from tabular.drift.counting import Counted, Counting, count_log, count_stretch, count_there
from tabular.drift.counts import MAX_UNSEEN_TEXTS
from tabular.drift.sample import RowSample
from tabular.drift.settings import Monitor
from tabular.drift.window import LogWindow, log_columns
from tabular.engines import Threads
from tabular.errors import DataError, StoreError
from tabular.prediction_log import files
from tabular.prediction_log.files import Part, Span
from tabular.prediction_log.names import file_stem, sealed_key, start_of
from tabular.prediction_log.reading import find_log, read_log
from tests.unit.test_drift_window import CONTRACT, NOW, REFERENCE, batch, cities

SINCE = NOW - timedelta(days=7)
PROBLEM = "fees"
N_FILES = 7


class Backwards:
    """An engine that gives the last result first, sent as a cluster sends it."""

    name, n_workers = "backwards", 2

    def run(self, call, items):
        yield from reversed([sent(sent(call)(item)) for item in items])


def sent(one):
    return pickle.loads(pickle.dumps(one))  # noqa: S301  # its own bytes


def rows_of_file(number):
    """Rows that have something of everything, other in each file."""
    n = 150 + 10 * number
    rng = np.random.default_rng(number)
    texts = np.where(rng.random(n) < 0.1, f"City {number % 3}", cities(n, number))
    ago = [NOW - timedelta(minutes=int(m)) for m in rng.integers(-30, 8_000, n)]
    changes = {
        "at": ago,
        "version": rng.choice(["v1", "v2"], n, p=[0.8, 0.2]).tolist(),
        "role": rng.choice(["production", "shadow"], n, p=[0.9, 0.1]).tolist(),
        "in.city": texts.tolist(),
        "in.opened": ["noon" if late else "09:00" for late in rng.random(n) < 0.02],
    }
    return batch(n, seed=number, **changes)


def write_file(log, number, rows):
    stem = file_stem(NOW - timedelta(days=1, hours=-number), "0", number)
    path = log / f"problem={PROBLEM}" / sealed_key(stem)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_batches([rows]), path)
    return path


@pytest.fixture
def log(tmp_path):
    """A log of seven files, of two days."""
    for number in range(N_FILES):
        write_file(tmp_path / "log", number, rows_of_file(number))
    return tmp_path / "log"


def task(log, **changes):
    whole = Counting(
        log=str(log),
        problem=PROBLEM,
        contract=CONTRACT,
        reference=REFERENCE,
        version="v1",
        since=SINCE,
        now=NOW,
        n_kept=100,
        seed=1,
    )
    return replace(whole, **changes)


def said(counted):
    """All that is said of a window, and the rows that are kept of it."""
    drift = counted.window.compare({}, Monitor())
    return drift, counted.sample.table(), counted.unreadable


@pytest.mark.parametrize("together", [1, 2, 3, N_FILES])
def test_any_stretches_in_any_order_say_what_one_reading_says(log, monkeypatch, together):
    window = LogWindow(REFERENCE, CONTRACT, "v1", SINCE, NOW)
    window.add_all(read_log(str(log), PROBLEM, SINCE, None, log_columns(CONTRACT)))
    monkeypatch.setattr(files, "STRETCH_FILES", together)
    monkeypatch.setattr(drift_counting, "WAVE", 1)
    here, there = (said(count_log(task(log), engine)) for engine in (Threads(1), Backwards()))
    assert here[0] == there[0] == window.compare({}, Monitor())
    assert here[0].alarms
    assert here[0].window.n_future > 0 < here[0].window.n_shadow
    monkeypatch.setattr(files, "STRETCH_FILES", 64)
    assert there[1] == here[1] == said(count_log(task(log), Threads(1)))[1]
    assert there[1].num_rows == 100


@pytest.mark.parametrize("cuts", [(1, 2, 3, 4, 5, 6), (3,), (2, 6), (6,)])
def test_what_is_merged_already_can_be_merged_again(log, cuts):
    """Neighbours first or one after the other: sums of whole numbers do not mind."""
    (stretch,) = find_log(str(log), PROBLEM).stretches(Span(SINCE, None))
    assert len(stretch) == N_FILES
    total = Counted(task(log))
    for start, end in pairwise((0, *cuts, N_FILES)):
        group = Counted(task(log))
        for place in range(start, end):
            group.merge(count_stretch(task(log), (place, stretch[place : place + 1])))
        total.merge(group)
    assert said(total) == said(count_stretch(task(log), (0, stretch)))


def test_text_that_is_met_often_is_named_the_same_wherever_there_are_too_many(log, monkeypatch):
    """Of more unseen texts than are kept, the same are kept on each engine."""
    n = 2 * MAX_UNSEEN_TEXTS
    for number in range(N_FILES, N_FILES + 3):
        typed = [text for place in range(n) for text in ("Foggy", f"{number} {place}")]
        write_file(log, number, batch(2 * n, **{"in.city": typed}))
    monkeypatch.setattr(files, "STRETCH_FILES", 2)
    drifts = [said(count_log(task(log), engine))[0] for engine in (Threads(1), Backwards())]
    assert drifts[0] == drifts[1]
    assert any("'Foggy'" in alarm for alarm in drifts[0].alarms)


def test_files_that_cannot_be_read_are_told_in_the_same_words(log, monkeypatch):
    """In the order of the files; what is whole of them is counted."""
    monkeypatch.setattr(files, "STRETCH_FILES", 1)
    broken = [write_file(log, number, rows_of_file(number)) for number in (2, 5)]
    for path in broken:
        path.write_bytes(path.read_bytes()[:1_000])
    here, there = (said(count_log(task(log), engine)) for engine in (Threads(1), Backwards()))
    assert here == there
    assert [str(path) in note for path, note in zip(broken, here[2], strict=True)] == [True] * 2
    sentences: list[str] = []
    rows = read_log(str(log), PROBLEM, SINCE, None, on_unreadable=sentences.append)
    assert sum(one.num_rows for one in rows) > 0
    assert here[2] == sentences


def test_journal_that_is_sealed_since_it_was_listed_is_counted_once(log):
    path = write_file(log, 3, rows_of_file(3))
    stem = path.name.removesuffix(".parquet")
    as_journal, as_sealed = (
        count_stretch(task(log), (0, (Part(stem, is_open=is_open),))) for is_open in (True, False)
    )
    assert said(as_journal) == said(as_sealed)
    assert as_journal.window.facts().n_rows > 0


def test_file_that_is_taken_away_since_it_was_listed_is_told_here(log):
    path = write_file(log, 3, rows_of_file(3))
    path.unlink()
    stem = path.name.removesuffix(".parquet")
    (note,) = count_stretch(task(log), (0, (Part(stem),))).unreadable
    assert str(path) in note


@pytest.mark.parametrize("has_another", [False, True])
def test_worker_that_does_not_see_the_log_says_so(log, tmp_path, has_another):
    """One that has a log of its own under that name would count other rows, or none."""
    stretches = list(find_log(str(log), PROBLEM).stretches(Span(SINCE, None)))
    if has_another:
        write_file(tmp_path / "own", N_FILES + 1, rows_of_file(1))
    with pytest.raises(StoreError, match=r"own: the worker on .* does not see this log; put it"):
        count_there(task(tmp_path / "own"), (0, stretches[0]))


def test_no_log_is_said_before_anything_is_counted(tmp_path):
    with pytest.raises(DataError, match="there is no prediction log of fees here"):
        count_log(task(tmp_path), Backwards())


def test_small_files_are_counted_together_and_large_ones_alone(log, monkeypatch):
    sizes = sorted(path.stat().st_size for path in log.rglob("*.parquet"))
    monkeypatch.setattr(files, "STRETCH_BYTES", sizes[0] + 1)
    found = list(find_log(str(log), PROBLEM).stretches(Span(SINCE, None)))
    assert {len(stretch) for stretch in found} == {1, 2}
    stems = [part.stem for stretch in found for part in stretch]
    assert stems == sorted(stems, key=start_of)
    assert len(stems) == N_FILES


def test_sample_takes_a_column_whose_type_differs_from_file_to_file():
    """A column that is missing in a file, or that a contract turned from number to category."""
    kinds = (pa.nulls(2), pa.array(["a", None]), pa.array([1.0, 2.5]), pa.nulls(2))
    sample = RowSample(10, seed=1)
    for place, values in enumerate(kinds):
        list(sample.passing([pa.record_batch({"in.x": values})], str(place)))
    kept = sample.table()
    assert kept is not None
    assert kept["in.x"].to_pylist() == [None, None, "a", None, "1", "2.5", None, None]
