"""Where answers are handed over to be logged: quick, bounded, and never in the way of an answer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from service.live import public_reason
from service.log_rows import Entry
from service.metrics import Metrics
from service.shadow import Shadow
from tabular.errors import StoreError
from tabular.prediction_log.outcomes import Label

MAX_WAITING_ROWS = 20_000
DRAIN_S = 0.5
# Python's lock is held for 1 ms by a batch of this size.
BATCH_ROWS = 4_096

log = logging.getLogger("bentoline.service")


class Sink(Protocol):
    """What keeps entries; called from one thread at a time."""

    @property
    def trouble(self) -> str:
        """What people should know of it, or nothing."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Keep entries of one model, all or none.

        Raises:
            StoreError: They cannot be kept now.
        """

    def write_labels(self, labels: Sequence[Label]) -> None:
        """Keep outcomes, all or none; any thread may call it.

        Raises:
            StoreError: They cannot be kept now.
        """

    def tend(self) -> None:
        """Whatever has to be done now and then."""

    def close(self) -> None:
        """The worker stops."""


class PredictionLog:
    """Takes entries from the event loop and gives them to a sink in a thread, a batch at a time.

    At most `MAX_WAITING_ROWS` wait; what is more is dropped and counted. What the sink cannot keep
    waits for its next chance; `trouble` is then the reason. The shadow sees what was kept.
    """

    def __init__(self, sink: Sink | None, shadow: Shadow, metrics: Metrics) -> None:
        self._sink = sink
        self.shadow = shadow
        self.metrics = metrics
        self._waiting: deque[Entry] = deque()
        self.n_waiting = self.n_dropped = 0
        self.trouble = ""

    @property
    def is_on(self) -> bool:
        """Whether answers are kept."""
        return self._sink is not None

    def put(self, entry: Entry) -> None:
        """Hand over an entry, or drop it where too much waits."""
        if self._sink is None and self.shadow.model is None:
            return
        n_rows = len(entry.answers)
        if self.n_waiting + n_rows > MAX_WAITING_ROWS:
            self._drop(n_rows)
            return
        self.n_waiting += n_rows
        self._waiting.append(entry)

    def write_labels(self, labels: Sequence[Label]) -> None:
        """Keep outcomes, all or none; not for the event loop.

        Raises:
            StoreError: They cannot be kept now.
        """
        assert self._sink is not None  # noqa: S101  # there is no route where nothing is logged
        self._sink.write_labels(labels)

    async def drain(self) -> None:
        """Give what waits to the sink, for ever; on cancellation, what is left."""
        writing: asyncio.Future[Written] | None = None
        try:
            while True:
                await asyncio.sleep(DRAIN_S)
                writing = asyncio.ensure_future(asyncio.to_thread(self._write, self._take()))
                self._settle(await asyncio.shield(writing))
                writing = None
        finally:
            if writing is not None:
                self._settle(await writing)
            self._settle(self._write(self._take()))
            self._drop(self.n_waiting)
            if self._sink is not None:
                self._sink.close()

    def _take(self) -> list[Entry]:
        batch = list(self._waiting)
        self._waiting.clear()
        return batch

    def _write(self, entries: list[Entry]) -> Written:
        """Runs in the thread."""
        n_done, n_lost, trouble = 0, 0, ""
        batches = list(_batches(entries))
        while batches:
            try:
                self._keep(batches[0])
            except StoreError as error:
                trouble = public_reason(error)
                break
            except Exception:  # a defect: the same rows would meet it for ever
                log.exception("rows could not be logged")
                n_lost += _n_rows(batches[0])
                trouble = "rows could not be logged; an error of the service, see its output"
            n_done += _n_rows(batches.pop(0))
        if self._sink is not None:
            self._sink.tend()
            trouble = trouble or self._sink.trouble
        rest = [entry for batch in batches for entry in batch]
        return Written(rest, n_done, n_lost, trouble)

    def _keep(self, batch: Sequence[Entry]) -> None:
        if self._sink is not None:
            self._sink.write(batch)
        answered = self.shadow.answer(batch)
        if self._sink is not None and answered:
            try:
                self._sink.write(answered)
            except StoreError:  # the batch itself is kept, and must not be kept twice
                self.metrics.shadow_dropped.inc(_n_rows(answered))

    def _settle(self, written: Written) -> None:
        """Back on the event loop: what was not kept waits again, before what came since."""
        self._waiting.extendleft(reversed(written.rest))
        if written.n_lost:
            self._drop(written.n_lost)
        self.n_waiting -= written.n_done
        self.metrics.log_waiting.set(self.n_waiting)
        if written.trouble and written.trouble != self.trouble:
            log.error("prediction log: %s", written.trouble)
        self.trouble = written.trouble

    def _drop(self, n_rows: int) -> None:
        self.n_dropped += n_rows
        self.metrics.log_dropped.inc(n_rows)


class Written(NamedTuple):
    """What one turn of the thread left: entries to try again; rows kept or lost, lost, and why."""

    rest: list[Entry]
    n_done: int
    n_lost: int
    trouble: str


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Runs of entries of one model, in their order, of about `BATCH_ROWS` rows."""
    batch: list[Entry] = []
    n_rows = 0
    for entry in entries:
        if batch and (entry.model is not batch[0].model or n_rows >= BATCH_ROWS):
            yield batch
            batch, n_rows = [], 0
        batch.append(entry)
        n_rows += len(entry.answers)
    if batch:
        yield batch


def _n_rows(entries: Sequence[Entry]) -> int:
    return sum(len(entry.answers) for entry in entries)
