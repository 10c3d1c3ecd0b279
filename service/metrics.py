"""What Prometheus reads: names of ours beside BentoML's own, right with several workers.

BentoML serves them all at /metrics: its multi-process registry adds up what every worker counts.
Routes are counted by their own names, never by the path that a client sent.
"""

from __future__ import annotations

import asyncio
from collections import Counter as Counts
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from service.live import Model
from service.many_answers import Answers

# From a tenth of a millisecond, where one row is, to the longest time-out.
BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 60,
)  # fmt: skip

# Six a decade: fine enough for a quantile, whatever the target's unit.
VALUE_BUCKETS = (
    0.0, *(step * 10.0**power for power in range(-3, 7) for step in (1, 1.5, 2, 3, 5, 7))
)  # fmt: skip

FLUSH_S = 0.5


class Values(Histogram):
    """A histogram that takes many values at once: one at a time costs 4 us in a shared file."""

    def observe_all(self, values: Sequence[float]) -> None:
        """Count n values."""
        bounds = np.array(self._upper_bounds)
        places = np.bincount(np.searchsorted(bounds, values), minlength=len(bounds))
        for place in np.flatnonzero(places).tolist():
            self._buckets[place].inc(int(places[place]))
        self._sum.inc(float(np.sum(values)))


class Metrics:
    """Counts one worker's requests, from its event loop."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        by_route = ("route", "status")
        self._requests = Counter(
            "bentoline_requests", "Requests answered", by_route, registry=registry
        )
        self._seconds = Histogram(
            "bentoline_request_seconds",
            "From the first byte of a request to the last of its answer",
            by_route,
            buckets=BUCKETS,
            registry=registry,
        )
        self._rows = Counter("bentoline_rows", "Rows answered", registry=registry)
        self._predictions = Counter(
            "bentoline_predictions", "Rows answered, by class", ("prediction",), registry=registry
        )
        self._unseen = Counter(
            "bentoline_unseen_categories",
            "Rows with a category that training did not see",
            ("column",),
            registry=registry,
        )
        self.reloads = Counter(
            "bentoline_reloads", "Tries to load a version", ("outcome",), registry=registry
        )
        self.log_dropped = Counter(
            "bentoline_prediction_log_dropped", "Rows the full log dropped", registry=registry
        )
        self.log_waiting = Gauge(
            "bentoline_prediction_log_waiting_rows",
            "Rows that are not on the disk yet",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.labels = Counter(
            "bentoline_labels", "Outcomes sent by POST /labels", ("outcome",), registry=registry
        )
        self.shadow_rows = Counter(
            "bentoline_shadow_rows", "Rows that the shadow answered too", registry=registry
        )
        self.shadow_dropped = Counter(
            "bentoline_shadow_dropped", "Rows that the shadow had no time for", registry=registry
        )
        self.shadow_disagreements = Counter(
            "bentoline_shadow_disagreements", "Rows that it answered otherwise", registry=registry
        )
        self.shadow_seconds = Counter(
            "bentoline_shadow_seconds", "Time that it took, in all", registry=registry
        )
        self._values = Values(
            "bentoline_values", "Numbers predicted", buckets=VALUE_BUCKETS, registry=registry
        )
        self._missing = Counter(
            "bentoline_missing_values",
            "Rows in which the model missed a value",
            ("column",),
            registry=registry,
        )
        self._info = Gauge(
            "bentoline_model_info",
            "1 for each version that a worker serves",
            ("problem", "version"),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._observe = cache(self._bind)
        self._tally: dict[tuple[Counter, tuple[str, ...]], int] = {}
        self._predicted: list[float] = []
        self._served: tuple[str, str] | None = None

    def _bind(self, route: str, status: int) -> Callable[[float], None]:
        return self._seconds.labels(route, str(status)).observe

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._observe(route, status)(seconds)
        self._add(self._requests, route, str(status))

    def rows(self, answers: Sequence[dict[str, Any]]) -> None:
        """Count n answered rows; one that was refused is not counted."""
        if isinstance(answers, Answers):
            self._many(answers)
            return
        good = [answer for answer in answers if "error" not in answer]
        self._add(self._rows, n=len(good))
        for label, n in Counts([a["prediction"] for a in good if "confidence" in a]).items():
            self._add(self._predictions, label, n=n)
        self._predicted += [a["prediction"] for a in good if "confidence" not in a]
        for answer in good:
            for warning in answer["warnings"]:
                self._add(self._unseen, warning["column"])

    def _many(self, answers: Answers) -> None:
        self._add(self._rows, n=len(answers))
        for label, n in Counts(answers.labels).items():
            self._add(self._predictions, label, n=n)
        self._predicted += answers.values
        for column, n in answers.unseen.items():
            self._add(self._unseen, column, n=n)

    def missing(self, rows_by_column: Mapping[str, int]) -> None:
        """Count the rows in which the model missed a value, by its column."""
        for column, n in rows_by_column.items():
            self._add(self._missing, column, n=n)

    def _add(self, counter: Counter, *labels: str, n: int = 1) -> None:
        key = (counter, labels)
        self._tally[key] = self._tally.get(key, 0) + n

    def flush(self) -> None:
        """Write down what was tallied: a counter in a shared file is too dear for each request."""
        tally, self._tally = self._tally, {}
        for (counter, labels), n in tally.items():
            (counter.labels(*labels) if labels else counter).inc(n)
        predicted, self._predicted = self._predicted, []
        if predicted:
            self._values.observe_all(predicted)

    async def keep_flushing(self) -> None:
        """Flush for ever, and once more at the end."""
        try:
            while True:
                await asyncio.sleep(FLUSH_S)
                self.flush()
        finally:
            self.flush()

    def model(self, model: Model | None) -> None:
        """Say which version serves."""
        if self._served:
            self._info.labels(*self._served).set(0)
        if model:
            self._served = (model.problem, model.version)
            self._info.labels(*self._served).set(1)
