"""A window of the prediction log, counted against a reference as it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tabular.contract import MISSING, Array, Contract, Frozen
from tabular.drift.compare import ColumnDrift, compare_columns, drift_score
from tabular.drift.counts import Counts, WindowCounter
from tabular.drift.reference import Reference
from tabular.drift.settings import Monitor
from tabular.prediction_log.names import ANSWER_COLUMNS, INPUT, PRODUCTION
from tabular.tables.arrow_columns import Texts

# Clocks of two machines may differ by so much before it is worth a word.
CLOCK_SLACK = timedelta(minutes=2)
READ = tuple(name for name in ANSWER_COLUMNS if name not in ("request_id", "row", "low", "high"))


class WindowFacts(Frozen):
    """Which rows a window held. `n_future` rows are dated after now, and are not counted."""

    since: datetime
    until: datetime
    n_rows: int
    first: datetime | None = None
    last: datetime | None = None
    versions: dict[str, int] = Field(default_factory=dict)
    n_shadow: int = 0
    n_future: int = 0


class Drift(Frozen):
    """A window against the training rows of one version.

    `columns` are the inputs and what is derived from them, `answers` what the version said.
    `score` is the mean drift by importance. `obstacle` says why there is no verdict.
    """

    version: str
    window: WindowFacts
    columns: tuple[ColumnDrift, ...] = ()
    answers: tuple[ColumnDrift, ...] = ()
    score: float = 0.0
    notes: tuple[str, ...] = ()
    obstacle: str = ""

    @property
    def alarms(self) -> tuple[str, ...]:
        """Every alarm in words, the most important column first."""
        return tuple(a for one in (*self.answers, *self.columns) for a in one.alarms)


def log_columns(contract: Contract) -> list[str]:
    """The columns of the log that a window reads."""
    return [*READ, *(INPUT + name for name in contract.inputs())]


class LogWindow:
    """Counts batches of the log: inputs of every answered row, answers of one version only."""

    def __init__(
        self, reference: Reference, contract: Contract, version: str, since: datetime, now: datetime
    ) -> None:
        self._inputs = WindowCounter(contract, reference.columns)
        self._answers = {name: Counts(profile) for name, profile in reference.answers.items()}
        self._version, self._since, self._now = version, since, now
        self._versions: Counter[str] = Counter()
        self._n_shadow = self._n_future = 0
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add_all(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Count every batch."""
        for batch in batches:
            self._add(batch)

    def _add(self, batch: pa.RecordBatch) -> None:
        rows = _where(batch, pc.equal(batch.column("role"), PRODUCTION))
        self._n_shadow += batch.num_rows - rows.num_rows
        latest = pa.scalar(self._now + CLOCK_SLACK, batch.schema.field("at").type)
        timely = _where(rows, pc.less_equal(rows.column("at"), latest))
        self._n_future += rows.num_rows - timely.num_rows
        if not timely.num_rows:
            return
        ends = pc.min_max(timely.column("at")).as_py()
        self._first = min(self._first or ends["min"], ends["min"])
        self._last = max(self._last or ends["max"], ends["max"])
        for one in pc.value_counts(timely.column("version")).to_pylist():
            self._versions[str(one["values"])] += one["counts"]
        self._inputs.add(inputs_of(timely))
        own = _where(timely, pc.equal(timely.column("version"), self._version))
        for name, counts in self._answers.items():
            if own.num_rows:
                counts.add(_typed(own.column(name)))

    def merge(self, later: LogWindow) -> None:
        """Add what was counted of later files, against the same reference."""
        self._inputs.merge(later._inputs)
        for name, counts in self._answers.items():
            counts.merge(later._answers[name])
        self._versions.update(later._versions)
        self._n_shadow += later._n_shadow
        self._n_future += later._n_future
        firsts, lasts = (self._first, later._first), (self._last, later._last)
        self._first = min((at for at in firsts if at), default=None)
        self._last = max((at for at in lasts if at), default=None)

    def facts(self) -> WindowFacts:
        """What was counted."""
        return WindowFacts(
            since=self._since,
            until=self._now,
            n_rows=sum(self._versions.values()),
            first=self._first,
            last=self._last,
            versions=dict(sorted(self._versions.items())),
            n_shadow=self._n_shadow,
            n_future=self._n_future,
        )

    def compare(self, importances: Mapping[str, float], monitor: Monitor) -> Drift:
        """Hold what was counted against the reference."""
        facts = self.facts()
        if facts.n_rows < monitor.min_rows:
            return Drift(version=self._version, window=facts, obstacle=_too_few(facts, monitor))
        answers = {n: c for n, c in self._answers.items() if c.n_rows >= monitor.min_rows}
        found = compare_columns({**self._inputs.counts, **answers}, importances, monitor)
        columns = tuple(one for one in found if one.role != "prediction")
        return Drift(
            version=self._version,
            window=facts,
            columns=columns,
            answers=tuple(one for one in found if one.role == "prediction"),
            score=drift_score(columns),
        )


def _where(batch: pa.RecordBatch, wanted: pa.BooleanArray) -> pa.RecordBatch:
    """The wanted rows; no copy where that is all of them."""
    return batch if pc.all(wanted, min_count=0).as_py() else batch.filter(wanted)


def inputs_of(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The inputs of logged rows under the contract's names."""
    names = [name for name in batch.schema.names if name.startswith(INPUT)]
    return batch.select(names).rename_columns([name.removeprefix(INPUT) for name in names])


def _typed(values: pa.Array) -> Array | Texts:
    if pa.types.is_floating(values.type):
        numbers: Array = values.to_numpy(zero_copy_only=False)
        return numbers
    coded = values.fill_null(MISSING).dictionary_encode()
    return Texts(
        np.array(coded.dictionary.to_pylist(), dtype=object),
        coded.indices.to_numpy().astype(np.int64),
    )


def _too_few(facts: WindowFacts, monitor: Monitor) -> str:
    return (
        f"{facts.n_rows:,} rows were answered since {facts.since:%Y-%m-%d %H:%M} UTC, too few for "
        f"a verdict: {monitor.min_rows:,} are needed; look further back with --since, or lower "
        "monitor.min_rows"
    )
