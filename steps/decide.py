"""Hold the bundle's measurements, and what it gains over the champion, against the gates."""

from typing import Annotated

from zenml import log_metadata, step
from zenml.types import HTMLString

from tabular import judging
from tabular.challenge import Comparison
from tabular.gates import Verdict
from tabular.judging import BundleEvaluation
from tabular.problem import Problem
from tabular.verdict_page import render_verdict


@step
def decide(
    evaluation: BundleEvaluation, comparison: Comparison, problem: Problem
) -> tuple[Annotated[Verdict, "verdict"], Annotated[HTMLString, "verdict_page"]]:
    """Say gate by gate, in words, how far the version goes; the same as a page."""
    verdict = judging.judge(evaluation, comparison, problem)
    log_metadata({"accepted": verdict.accepted, "verdict": verdict.sentence})
    return verdict, HTMLString(render_verdict(verdict, evaluation.evaluation_set, problem))
