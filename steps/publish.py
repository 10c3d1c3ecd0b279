"""Publish the judged bundle as a version, under the names that its verdict carries."""

from pathlib import Path
from typing import Annotated, Any

from zenml import get_step_context, log_metadata, step

from steps.model_version import mirror_problem
from tabular import publishing
from tabular.bundle import Bundle
from tabular.gates import Verdict
from tabular.problem import Problem
from tabular.registry import open_registry


@step(enable_cache=False)  # a version is made by every run, cached or not
def publish(
    bundle: Bundle,
    verdict: Verdict,
    report: dict[str, Any],
    problem: Problem,
    registry: str,
    public_key: str,
    signing_key: str,
) -> Annotated[dict[str, str], "published_version"]:
    """Seal the bundle with its report; the version is visible only when whole."""
    report = {**report, "run": str(get_step_context().pipeline_run.id)}
    parts = {"serving": problem.serving, "log": problem.log}
    published = publishing.publish(
        bundle,
        report,
        verdict,
        parts,
        registry,
        public_key=Path(public_key) if public_key else None,
        signing_key=Path(signing_key) if signing_key else None,
    )
    mirror_problem(open_registry(registry), problem.name)
    log_metadata({"version": published["version"], "accepted": verdict.accepted})
    return published
