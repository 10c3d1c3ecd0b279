"""`run.py --diff V1 V2`: two versions of a problem side by side."""

from __future__ import annotations

import argparse
import sys

from pipelines.diff_table import show_diff
from pipelines.outcome import as_json, check_report, write_report
from pipelines.place import Place
from pipelines.promotion import published_problem
from pipelines.version_diff import diff_versions
from tabular.bundle import load_bundle

DONE = 0


def run(options: argparse.Namespace, place: Place) -> int:
    """Show what differs; a version may be named by an alias."""
    check_report(options.report)
    registry = place.open_registry()
    problem = published_problem(registry, options.problem)
    one, two = (registry.resolve(problem, name) for name in options.diff)
    bundles = (
        load_bundle(registry.fetch(problem, one)),
        load_bundle(registry.fetch(problem, two)),
    )
    outcome = {"problem": problem, **diff_versions((one, two), bundles)}
    if options.json:
        sys.stdout.write(as_json(outcome))
    else:
        show_diff(outcome)
    write_report(options.report, outcome)
    return DONE
