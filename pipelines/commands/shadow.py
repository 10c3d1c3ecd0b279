"""`run.py --shadow VERSION|off|report`: a second version that answers beside production."""

from __future__ import annotations

import argparse
from typing import Any

from pipelines.console import console
from pipelines.outcome import check_report, write_report
from pipelines.place import Place
from pipelines.promotion import PRODUCTION, actor, published_problem
from tabular.errors import ConfigError
from tabular.prediction_log.names import SHADOW
from tabular.registry import Registry

DONE = 0
OFF, REPORT = "off", "report"


def run(options: argparse.Namespace, place: Place) -> int:
    """Move the alias `shadow`, which no gate and no promotion looks at, or compare the answers.

    Raises:
        ConfigError: There is no such version, or it answers already.
    """
    check_report(options.report)
    registry = place.open_registry()
    problem = published_problem(registry, options.problem)
    if options.shadow == REPORT:
        write_report(options.report, _compare(problem, place))
        return DONE
    record = _move(registry, problem, options.shadow, why=options.why or "by hand")
    write_report(options.report, {"problem": problem, "record": record})
    return DONE


def _move(registry: Registry, problem: str, named: str, *, why: str) -> dict[str, Any]:
    if named == OFF:
        record = registry.clear_alias(problem, SHADOW, actor=actor(), why=why)
        console.print(f"{problem}: no version answers in the shadow any more")
        return record
    version = registry.resolve(problem, named)
    if version == registry.alias(problem, PRODUCTION):
        raise ConfigError(
            f"--shadow: {problem} {version} is in production; name another version, or 'off'."
        )
    record = registry.set_alias(problem, SHADOW, version, actor=actor(), why=why)
    console.print(
        f"{problem}: {version} answers in the shadow; --shadow report compares, --promote or "
        "--shadow off ends it"
    )
    return record


def _compare(problem: str, place: Place) -> dict[str, Any]:
    from pipelines.labels_console import show_disagreements  # --shadow VERSION needs no Arrow
    from tabular.prediction_log.disagreement import disagreements
    from tabular.prediction_log.reading import EARLIEST

    if not place.prediction_log:
        raise ConfigError(
            "--shadow report: BENTOLINE_PREDICTION_LOG is off here; name the service's log."
        )
    found = disagreements(place.prediction_log, problem, EARLIEST)
    show_disagreements(found)
    return {"problem": problem, "disagreements": [one.model_dump() for one in found]}
