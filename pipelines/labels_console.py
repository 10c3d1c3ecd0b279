"""What `--labels` and `--shadow` print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from pipelines.console import console, show_note
from tabular.card import number
from tabular.prediction_log.disagreement import Disagreement
from tabular.prediction_log.labels import LabelReport
from tabular.prediction_log.performance import VersionPerformance


def show_labels(
    named: str, taken: LabelReport, file: Path | None, performance: Sequence[VersionPerformance]
) -> None:
    """How many labels were taken, why others were not, and how the versions do."""
    n_refused = taken.given - taken.taken - taken.known
    console.print(
        f"{taken.given:,} labels of {named}: {taken.taken:,} taken, {taken.known:,} known before, "
        f"{n_refused:,} refused"
    )
    for rule, n_rows in taken.refused.items():
        show_note(f"{n_rows:,} refused: {rule}")
    if file:
        console.print(f"refused labels: {file}")
    if performance:
        console.print(_performance(performance))


def _performance(performance: Sequence[VersionPerformance]) -> Table:
    table = Table("version", "role", "outcomes", "metric", "live", "95 % interval", box=None)
    for one in performance:
        for name, metric in one.metrics.items():
            interval = f"{number(metric.low)} to {number(metric.high)}"
            said = (one.version, one.role, f"{one.n_rows:,}")
            table.add_row(*said, name, number(metric.value), interval)
    return table


def show_disagreements(found: Sequence[Disagreement]) -> None:
    """Each shadow against production, in a line or a few."""
    if not found:
        console.print("no row was answered by a shadow and by production")
    for one in found:
        console.print(
            f"{one.shadow} in the shadow of {one.production}: {one.n_other:,} of {one.n_rows:,} "
            f"rows answered otherwise ({one.other_share:.2%})"
        )
        if one.mean_difference is not None:
            console.print(f"  on average {one.mean_difference:+.4g}")
        for pair in one.pairs:
            console.print(f"  {pair.production} -> {pair.shadow}: {pair.n_rows:,}")
