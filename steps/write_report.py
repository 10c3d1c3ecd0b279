"""Gather the run into one report and draw the model card."""

from typing import Annotated, Any

from zenml import step
from zenml.types import HTMLString

from tabular.bundle import Bundle
from tabular.card import render_card
from tabular.checks.quarantine import Quarantine
from tabular.fitting import Leaderboard
from tabular.gates import Verdict
from tabular.judging import BundleEvaluation, ResamplingReport
from tabular.leaks.audit import LeakAudit
from tabular.problem import Problem
from tabular.report import build_report
from tabular.tables.snapshot import Snapshot


@step
def write_report(
    snapshot: Snapshot,
    quarantine: Quarantine,
    part_sizes: dict[str, int],
    leaderboard: Leaderboard,
    resampling: ResamplingReport,
    bundle: Bundle,
    evaluation: BundleEvaluation,
    verdict: Verdict,
    leaks: LeakAudit,
    problem: Problem,
) -> tuple[Annotated[dict[str, Any], "report"], Annotated[HTMLString, "model_card"]]:
    """The outcome as a program reads it, and the same as a person does."""
    report = build_report(
        problem=problem,
        snapshot=snapshot,
        quarantine=quarantine,
        rows=part_sizes,
        leaderboard=leaderboard,
        resampling=resampling,
        bundle=bundle,
        evaluation=evaluation,
        verdict=verdict,
        leaks=leaks,
    )
    return report, HTMLString(render_card(report))
