"""A log counted in stretches, here or on a cluster, and added up in the order of its files."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice

from tabular.contract import Contract
from tabular.drift.reference import Reference
from tabular.drift.sample import RowSample
from tabular.drift.window import LogWindow, log_columns
from tabular.engines import Engine, Threads
from tabular.errors import StoreError
from tabular.prediction_log.files import Span, Stretch
from tabular.prediction_log.layout import utc
from tabular.prediction_log.reading import find_log, log_at

# Stretches for each worker that are counted before they are added up: no more are held.
WAVE = 16


@dataclass(frozen=True)
class Counting:
    """What all stretches are counted by; small enough to be sent with each of them."""

    log: str
    problem: str
    contract: Contract
    reference: Reference
    version: str
    since: datetime
    now: datetime
    n_kept: int
    seed: int


class Counted:
    """What was counted of a stretch, its place in the log, and what could not be read."""

    def __init__(self, counting: Counting, place: int = 0) -> None:
        one = counting
        self.place = place
        self.window = LogWindow(one.reference, one.contract, one.version, one.since, one.now)
        self.sample = RowSample(one.n_kept, seed=one.seed)
        self.unreadable: list[str] = []

    def merge(self, later: Counted) -> None:
        """Add the next stretch."""
        self.window.merge(later.window)
        self.sample.merge(later.sample)
        self.unreadable += later.unreadable


def count_log(counting: Counting, engine: Engine) -> Counted:
    """Count every answered row from then on, those that are dated after now too.

    The stretches are the same wherever they are counted, and so is what they add up to.

    Raises:
        DataError: There is no log of this problem.
        StoreError: The log's store does not answer, or a worker does not see it.
    """
    log = find_log(counting.log, counting.problem)
    stretches = enumerate(log.stretches(Span(utc(counting.since), None)))
    total = Counted(counting)
    if isinstance(engine, Threads):  # on threads it takes as long, and 80 MB more for each
        for one in map(partial(count_stretch, counting), stretches):
            total.merge(one)
        return total
    while wave := list(islice(stretches, WAVE * engine.n_workers)):
        for one in sorted(engine.run(partial(count_there, counting), wave), key=_place):
            total.merge(one)
    return total


def count_there(counting: Counting, numbered: tuple[int, Stretch]) -> Counted:
    """Count one stretch on a worker.

    Raises:
        StoreError: The log is not there: files that cannot be read would be left out.
    """
    if not log_at(counting.log, counting.problem).sees(numbered[1]):
        raise StoreError(
            f"{counting.log}: the worker on {platform.node()} does not see this log; put it on a "
            "disk that all workers share, or into S3 or MongoDB."
        )
    return count_stretch(counting, numbered)


def count_stretch(counting: Counting, numbered: tuple[int, Stretch]) -> Counted:
    """Count the rows of one stretch, by its place in the log."""
    place, stretch = numbered
    log, counted = log_at(counting.log, counting.problem), Counted(counting, place)
    span, columns = Span(utc(counting.since), None), log_columns(counting.contract)
    for part in stretch:
        rows = log.rows_of(part, span, columns, counted.unreadable.append)
        counted.window.add_all(counted.sample.passing(rows, part.stem))
    return counted


def _place(counted: Counted) -> int:
    return counted.place
