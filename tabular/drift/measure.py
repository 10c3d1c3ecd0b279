"""One look at the log of a problem: the window of the version in production, and its outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tabular.bundle import Bundle, load_bundle
from tabular.contract import Contract, Frozen
from tabular.decision import Decision
from tabular.drift.compare import ColumnDrift, compare_columns
from tabular.drift.counting import Counting, count_log
from tabular.drift.live import Live, hold_live
from tabular.drift.outcomes import count_outcomes, live_metrics
from tabular.drift.reference import Reference, read_reference
from tabular.drift.window import Drift, WindowFacts
from tabular.engines import open_engine
from tabular.errors import DataError, listed
from tabular.prediction_log.names import PRODUCTION
from tabular.prediction_log.performance import by_version
from tabular.prediction_log.reading import ANSWER_SCHEMA, joined_labels, read_labels
from tabular.problem import Problem
from tabular.registry import Registry, open_registry


class LookAt(Frozen):
    """What is looked at, by names alone, as the steps of a pipeline pass it on."""

    problem: str
    version: str
    log: str
    since: datetime
    now: datetime
    registry: str
    public_key: str = ""
    engine: str = ""
    scheduler: str = ""


@dataclass(frozen=True)
class Look:
    """What is looked at, opened; `unreadable` are the log's files that were left out, and why."""

    at: LookAt
    bundle: Bundle
    registry: Registry
    unreadable: list[str] = field(default_factory=list)

    @cached_property
    def known(self) -> frozenset[str]:
        """Every published version."""
        return frozenset(self.registry.versions(self.at.problem))

    @property
    def report(self) -> dict[str, Any]:
        """What training said of the version."""
        return dict(self.bundle.manifest.get("report", {}))

    @property
    def trained_at(self) -> datetime:
        """When the version was made; the start of the window where nobody wrote it down."""
        at = self.report.get("created_at")
        return datetime.fromisoformat(at) if at else self.at.since


def open_look(at: LookAt) -> Look:
    """Fetch the version that is looked at.

    Raises:
        BundleError: A file of it is missing or changed, or it is not signed as asked.
    """
    key = Path(at.public_key) if at.public_key else None
    registry = open_registry(at.registry, public_key=key)
    return Look(at, load_bundle(registry.fetch(at.problem, at.version)), registry)


def measure_drift(look: Look, problem: Problem) -> tuple[Drift, pa.Table | None]:
    """Hold the window against the version's training rows, and keep a few rows of it.

    Raises:
        DataError: There is no log, or nothing was answered in this time.
        StoreError: The log's store or the scheduler does not answer, or a worker does not see the
            log.
    """
    contract, monitor = look.bundle.contract.contract, problem.monitor
    reference = read_reference(look.bundle)
    counting = _counting(look, reference, problem)
    with open_engine(look.at.engine, look.at.scheduler) as engine:
        counted = count_log(counting, engine)
    look.unreadable.extend(counted.unreadable)
    window = counted.window
    facts = window.facts()
    if not facts.n_rows and not facts.n_future:
        raise DataError(
            f"{look.at.log}: no answers of {look.at.problem} were logged since "
            f"{look.at.since:%Y-%m-%d %H:%M} UTC; look further back with --since, or see that the "
            "service logs here (BENTOLINE_PREDICTION_LOG)."
        )
    importances = {
        name: max(0.0, float(rise or 0))
        for name, rise in look.report.get("importances", {}).items()
    }
    drift = window.compare(importances, monitor)
    outcomes = _outcome_drift(look, reference, problem) if not drift.obstacle else ()
    notes = tuple(dict.fromkeys((*_notes(look, facts, contract), *look.unreadable)))
    columns = (*outcomes, *drift.columns)
    return drift.model_copy(update={"notes": notes, "columns": columns}), counted.sample.table()


def measure_live(look: Look, problem: Problem) -> Live:
    """Hold what the outcomes of the window say against gates and test metrics."""
    joined = _joined(look, look.at.since)
    own = _own(look, joined)
    metrics = {}
    if own.num_rows >= problem.monitor.min_labels:
        decision = look.bundle.decision
        metrics = live_metrics(own, decision, problem.target, problem.evaluation, seed=problem.seed)
    new = own
    if problem.retrain.min_new_rows is not None:
        new = _own(look, _joined(look, look.trained_at))
    live = hold_live(
        look.at.version,
        metrics,
        look.report.get("metrics", {}),
        problem.gates,
        n_labels=own.num_rows,
        n_new=new.num_rows,
        min_labels=problem.monitor.min_labels,
    )
    versions = by_version(joined, problem, lambda one: _decision(look, one))
    return live.model_copy(update={"versions": tuple(versions)})


def _decision(look: Look, version: str) -> Decision:
    return load_bundle(look.registry.fetch(look.at.problem, version)).decision


def _counting(look: Look, reference: Reference, problem: Problem) -> Counting:
    return Counting(
        log=look.at.log,
        problem=look.at.problem,
        contract=look.bundle.contract.contract,
        reference=reference,
        version=look.at.version,
        since=look.at.since,
        now=look.at.now,
        n_kept=problem.monitor.evidently_rows,
        seed=problem.seed,
    )


def _joined(look: Look, since: datetime) -> pa.Table:
    """Answers of published versions since then whose outcome is known."""
    labels = read_labels(look.at.log, look.at.problem, since, on_unreadable=look.unreadable.append)
    if not labels.num_rows:  # joining reads all answers
        return ANSWER_SCHEMA.append(pa.field("outcome", pa.string())).empty_table()
    joined = joined_labels(
        look.at.log, look.at.problem, since, look.at.now, on_unreadable=look.unreadable.append
    )
    return joined.filter(pc.is_in(joined["version"], pa.array(sorted(look.known))))


def _own(look: Look, joined: pa.Table) -> pa.Table:
    """What the version that is looked at answered in production."""
    is_own = (pc.field("version") == look.at.version) & (pc.field("role") == PRODUCTION)
    return joined.filter(is_own)


def _outcome_drift(look: Look, reference: Reference, problem: Problem) -> tuple[ColumnDrift, ...]:
    joined = _own(look, _joined(look, look.at.since))
    if reference.outcome is None or joined.num_rows < problem.monitor.min_rows:
        return ()
    counts = count_outcomes(joined, reference.outcome, look.bundle.decision, problem.target)
    return compare_columns({problem.target.column: counts}, {}, problem.monitor)


def _notes(look: Look, facts: WindowFacts, contract: Contract) -> Iterator[str]:
    """What a reader of the findings must know, a sentence each."""
    if facts.n_future:
        yield (
            f"{facts.n_future:,} rows are dated after now ({facts.until:%Y-%m-%d %H:%M} UTC): the "
            "clocks of this machine and the service differ; set them. They were not counted."
        )
    gone = {version: n for version, n in facts.versions.items() if version not in look.known}
    if gone:
        yield (
            f"{sum(gone.values()):,} rows were answered by {listed(gone)}, which the registry does "
            "not have; they count for the inputs, not for the answers."
        )
    hashed = [name for name, column in contract.inputs().items() if column.sensitive]
    if hashed:
        yield f"{listed(hashed)} are sensitive and logged as hashes: only their gaps are watched."
    version = look.at.version
    if not facts.versions.get(version):
        yield f"{version} answered none of these rows, so that its answers were not looked at."
