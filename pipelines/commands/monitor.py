"""`run.py --monitor`: a look at the prediction log, and with `--retrain` what follows from it."""

from __future__ import annotations

import argparse
import re
import time
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.commands import train
from pipelines.console import show_note
from pipelines.monitor_console import show_look
from pipelines.outcome import check_report, write_report
from pipelines.place import Place
from pipelines.promotion import PRODUCTION, actor, published_problem
from pipelines.store import open_client, reap_dead_runs, zenml_store
from tabular.drift.due import Due
from tabular.drift.measure import LookAt
from tabular.engines import open_engine
from tabular.errors import BentolineError, ConfigError, StoreError
from tabular.files import whole_file
from tabular.problem import Problem
from tabular.versions.retraining import Pace

DONE, DUE = 0, 1
DEFAULT_SINCE = "7d"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([mhdw])")


def run(options: argparse.Namespace, place: Place) -> int:
    """Return 0 where nothing is due or the challenger was accepted, 1 where action is still due."""
    begun = time.monotonic()
    check_report(options.report)
    now = datetime.now(UTC)
    since = parse_since(options.since or DEFAULT_SINCE, now)
    if options.scheduler:
        with open_engine(options.engine or "", options.scheduler):
            pass  # what is wrong with it is said before ZenML starts
    if not place.prediction_log:
        raise ConfigError(
            "--monitor: BENTOLINE_PREDICTION_LOG is off here; name the log that the service writes."
        )
    if options.data and not options.retrain:
        raise ConfigError("--data: with --monitor it is what --retrain trains on; add --retrain.")
    registry = place.open_registry()
    name = published_problem(registry, options.problem)
    problem = train.find_problem(options.problem, place)
    at = LookAt(
        problem=name,
        version=registry.resolve(name, PRODUCTION),
        log=place.prediction_log,
        since=since,
        now=now,
        registry=place.registry,
        public_key=str(place.public_key or ""),
        engine=options.engine or "",
        scheduler=options.scheduler or "",
    )
    with zenml_store(place.home):
        outcome = look(at, problem, place)
    due = Due.model_validate(outcome["due"])
    show_look(outcome)
    code = DUE if due.is_due else DONE
    if due.is_due and options.retrain:
        outcome["retraining"] = retrain(due, at, problem, options.data or "", place)
        code = DONE if outcome["retraining"]["outcome"] == "accepted" else DUE
    outcome["seconds"] = round(time.monotonic() - begun, 1)
    write_report(options.report, outcome)
    return code


def parse_since(text: str, now: datetime) -> datetime:
    """The moment that `--since` names: a time back from now, or a date.

    Raises:
        ConfigError: It is neither, or lies ahead.
    """
    if span := _SPAN.fullmatch(text):
        try:
            return now - timedelta(**{_UNITS[span[2]]: float(span[1])})
        except OverflowError as error:
            raise ConfigError(f"--since: {text} is before all calendars; write 7d.") from error
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"--since: got '{text}', neither a time back from now nor a date; write 90m, 12h, 7d, "
            "2w or 2026-03-01."
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment >= now:
        raise ConfigError(f"--since: {text} lies ahead; write a moment that has passed.")
    return moment


def look(at: LookAt, problem: Problem, place: Place) -> dict[str, Any]:
    """Run the pipeline in this process and gather what its steps gave, as JSON values."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    reap_dead_runs(open_client())
    from pipelines.monitoring import monitoring

    run = monitoring(at, problem, str(place.home))
    if run is None:
        raise StoreError("ZenML gave no run back; run the command again.")
    given = {name: many[0] for step in run.steps.values() for name, many in step.outputs.items()}
    page = place.home / "monitor" / f"{at.problem}.html"
    with whole_file(page) as unfinished:
        unfinished.write_text(str(given["monitoring_page"].load()), encoding="utf-8")
    found = {name: given[name].load() for name in ("drift", "live", "due")}
    return {
        "problem": at.problem,
        "version": at.version,
        "log": at.log,
        **{name: one.model_dump(mode="json") for name, one in found.items()},
        "alarms": list(found["drift"].alarms),
        "page": str(page),
        "evidently": given["evidently_file"].load(),
        "gauges": given["gauges_file"].load(),
        "run": str(run.id),
    }


def retrain(due: Due, at: LookAt, problem: Problem, data: str, place: Place) -> dict[str, Any]:
    """Train once, if the YAML's pace allows it and no other monitor does, and record it."""
    record = place.open_registry().retrainings(at.problem)
    seq, held = record.claim(
        pace_of(problem), actor=actor(), why="; ".join(due.reasons), version=at.version, now=at.now
    )
    if held:
        show_note(f"No training was started: {held}.")
        return {"outcome": "held back", "sentence": held}
    end = {"outcome": "failed", "version": "", "sentence": ""}
    try:
        where = {"engine": at.engine, "scheduler": at.scheduler}
        end |= _verdict_on(train.train(problem, data, place, **where))  # as `--train`, with gates
    except BentolineError as error:
        end["sentence"] = str(error)
        raise
    finally:
        record.close(seq, **end)
    return {"seq": seq, **end}


def pace_of(problem: Problem) -> Pace:
    """How often the YAML lets a training start."""
    rules = problem.retrain
    return Pace(
        cooldown=timedelta(hours=rules.cooldown_hours),
        max_runs=rules.max_runs,
        window=timedelta(days=rules.per_days),
    )


def _verdict_on(outcome: dict[str, Any]) -> dict[str, str]:
    """What became of the challenger."""
    verdict = outcome["verdict"]
    return {
        "outcome": "accepted" if verdict["accepted"] else "refused",
        "version": outcome["version"],
        "sentence": verdict["sentence"],
    }
