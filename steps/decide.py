"""Hold the bundle's measurements against the gates."""

from typing import Annotated

from zenml import log_metadata, step

from tabular import judging
from tabular.gates import Verdict
from tabular.judging import BundleEvaluation
from tabular.problem import Problem


@step
def decide(evaluation: BundleEvaluation, problem: Problem) -> Annotated[Verdict, "verdict"]:
    """Accept or refuse, gate by gate, in words."""
    verdict = judging.judge(evaluation, problem)
    log_metadata({"accepted": verdict.accepted, "verdict": verdict.sentence})
    return verdict
