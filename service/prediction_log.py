"""Where answers are handed over to be logged: quick, bounded, and never in the way of an answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

MAX_WAITING_ROWS = 20_000
DRAIN_S = 0.5


class Entry(NamedTuple):
    """One answered request: its records as they came, and the answers to them."""

    at: float
    request_id: str
    version: str
    records: Sequence[Any]
    answers: Sequence[dict[str, Any]]


Sink = Callable[[Sequence[Entry]], None]


def discard(entries: Sequence[Entry]) -> None:
    """The sink of a service that keeps no log."""


class PredictionLog:
    """Takes entries from the event loop and gives them to a sink in a thread, a batch at a time.

    At most `MAX_WAITING_ROWS` wait for it.
    """

    def __init__(self, sink: Sink = discard) -> None:
        self._sink = sink
        self._waiting: deque[Entry] = deque()
        self.n_waiting = 0

    def put(self, entry: Entry) -> int:
        """Hand over an entry, or drop it where too much waits; return the rows dropped."""
        n_rows = len(entry.answers)
        if self.n_waiting + n_rows > MAX_WAITING_ROWS:
            return n_rows
        self.n_waiting += n_rows
        self._waiting.append(entry)
        return 0

    async def drain(self) -> None:
        """Give what waits to the sink, for ever; on cancellation, what is left."""
        try:
            while True:
                await asyncio.sleep(DRAIN_S)
                batch = self._take()
                if batch:
                    await asyncio.to_thread(self._sink, batch)
        finally:
            if batch := self._take():
                self._sink(batch)

    def _take(self) -> Sequence[Entry]:
        batch, self._waiting = self._waiting, deque()
        self.n_waiting = 0
        return batch
