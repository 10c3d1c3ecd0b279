"""A loop cannot run wild: cool-down, budget, and one winner of monitors that run at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tabular.stores.folder import FolderStore
from tabular.versions.retraining import Pace, Retrainings

NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)
PACE = Pace(cooldown=timedelta(hours=24), max_runs=2, window=timedelta(days=30))


@pytest.fixture
def record(tmp_path):
    return Retrainings(FolderStore(tmp_path), "iris")


def claim(record, at=NOW, pace=PACE):
    return record.claim(pace, actor="me@here", why="drift", version="v1", now=at)


def test_start_and_end_are_read_back(record):
    seq, held = claim(record)
    assert (seq, held) == (1, "")
    assert record.records()[0]["outcome"] == ""
    record.close(seq, outcome="refused", version="v2", sentence="no better")
    (one,) = record.records()
    assert (one["actor"], one["why"], one["trained_from"]) == ("me@here", "drift", "v1")
    assert (one["outcome"], one["version"], one["sentence"]) == ("refused", "v2", "no better")


def test_end_once_written_stays(record):
    seq, _ = claim(record)
    record.close(seq, outcome="accepted", version="v2", sentence="")
    record.close(seq, outcome="failed", version="", sentence="")
    assert record.records()[0]["outcome"] == "accepted"


def test_next_start_waits_for_the_cooldown(record):
    claim(record)
    seq, held = claim(record, NOW + timedelta(hours=23))
    assert seq == 0
    assert "the next may be at 2026-03-09 12:00 UTC" in held
    assert claim(record, NOW + timedelta(hours=24)) == (2, "")


def test_start_that_was_killed_counts_like_any_other(record):
    claim(record)  # never closed
    assert claim(record, NOW + timedelta(minutes=1))[0] == 0


def test_budget_is_kept_and_comes_free_again(record):
    for day in (0, 5):
        assert claim(record, NOW + timedelta(days=day))[0]
    seq, held = claim(record, NOW + timedelta(days=20))
    assert seq == 0
    assert "2 trainings were started within 30 days" in held
    assert "2026-04-07 12:00" in held
    assert claim(record, NOW + timedelta(days=30))[0] == 3


def test_clock_that_runs_behind_starts_nothing(record):
    claim(record)
    assert claim(record, NOW - timedelta(days=3))[0] == 0


def test_of_monitors_at_once_one_wins(record):
    free = Pace(cooldown=timedelta(seconds=1), max_runs=99, window=timedelta(days=1))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: claim(record, NOW, free), range(8)))
    assert sorted(seq for seq, _ in found) == [0] * 7 + [1]
    assert len(record.records()) == 1
