"""Publish the judged bundle as a version; make it production where the verdict accepts it."""

from typing import Annotated, Any

from zenml import log_metadata, step

from steps.model_version import mirror_version
from tabular import publishing
from tabular.bundle import Bundle
from tabular.gates import Verdict
from tabular.problem import Problem


@step(enable_cache=False)  # a version is made by every run, cached or not
def publish(
    bundle: Bundle,
    verdict: Verdict,
    report: dict[str, Any],
    problem: Problem,
    registry: str,
) -> Annotated[dict[str, str], "published_version"]:
    """Seal the bundle with its report; the version is visible only when whole."""
    published = publishing.publish(bundle, report, accepted=verdict.accepted, registry=registry)
    metrics = {name: metric["value"] for name, metric in report["metrics"].items()}
    mirror_version(problem, published, metrics, accepted=verdict.accepted)
    log_metadata({"version": published["version"], "accepted": verdict.accepted})
    return published
