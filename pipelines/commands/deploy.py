"""`run.py --deploy`: all that can be known beforehand is checked, then the pipeline runs."""

from __future__ import annotations

import argparse
import os
import shutil
import time
import warnings
from typing import Any

from deploy import apprunner, ec2, ecr, kubernetes, local
from deploy.engine import find_engine
from deploy.image import BUILDS, DIRTY, Release, release_of
from deploy.sbom import find_syft, write_sbom
from deploy.settings import Settings
from pipelines.console import show_deployment
from pipelines.outcome import check_report, write_report
from pipelines.place import Place
from pipelines.promotion import PRODUCTION, published_problem
from pipelines.store import open_client, reap_dead_runs, zenml_store
from tabular.errors import ConfigError, StoreError, did_you_mean
from tabular.registry import Registry
from tabular.serving import Serving

DONE = 0
LOCAL, ECR, EC2, APPRUNNER = "local", "ecr", "ec2", "apprunner"
KUBERNETES = "kubernetes"
TARGETS = (LOCAL, ECR, EC2, APPRUNNER, KUBERNETES)


def run(options: argparse.Namespace, place: Place) -> int:
    """Build, test and deliver the image of the production version; a failing test is raised."""
    begun = time.monotonic()
    check_report(options.report)
    target = options.target or LOCAL
    if target not in TARGETS:
        raise ConfigError(
            f"--target: '{target}' is no place to deliver to{did_you_mean(target, TARGETS)}; "
            f"there are {', '.join(TARGETS)}."
        )
    syft = find_syft(options.sbom) if options.sbom else ""
    registry = place.open_registry()
    problem = published_problem(registry, options.problem)
    version = registry.resolve(problem, PRODUCTION)
    release = release_of(registry, problem, version, place.root)
    settings = Settings.of(os.environ)
    check_target(target, release, settings, registry)
    with zenml_store(place.home):
        outcome = deliver(target, release, settings, place)
    if syft:
        outcome["sbom_sha256"] = write_sbom(syft, outcome["image_id"], options.sbom)
        registry.record_fact(problem, version, "sbom_sha256", outcome["sbom_sha256"])
    outcome["seconds"] = round(time.monotonic() - begun, 1)
    show_deployment(outcome)
    write_report(options.report, outcome)
    return DONE


def check_target(target: str, release: Release, settings: Settings, registry: Registry) -> None:
    """Refuse what could not be delivered, before anything is built.

    Raises:
        ConfigError: No engine answers, the port or the tag is taken, AWS does not let us deliver,
            the code is not as committed, or the name is too long for a cluster.
    """
    engine = find_engine(os.environ)
    if target == LOCAL:
        manifest = registry.manifest(release.problem, release.version)
        serving = Serving.model_validate(manifest.get("serving") or {})
        local.check_port(engine, release.problem, serving.port)
        return
    if release.commit.endswith(DIRTY):
        raise ConfigError(
            f"--deploy: the code is not as commit {release.commit.removesuffix(DIRTY)} has it, and "
            "the image's tag would name that; commit what you changed, or use --target local."
        )
    ecr.pushed(ecr.open_repository(settings), release)
    if target == EC2:
        ec2.check(settings)
    if target == APPRUNNER:
        apprunner.check(settings)
    if target == KUBERNETES:
        kubernetes.object_name(release.problem)


def deliver(target: str, release: Release, settings: Settings, place: Place) -> dict[str, Any]:
    """Run the target's pipeline in this process and gather what its steps gave.

    Raises:
        RefusedError: The image did not pass its test.
    """
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    reap_dead_runs(open_client())
    from pipelines import deployment

    pipeline = {
        LOCAL: deployment.deployment_to_local,
        ECR: deployment.deployment_to_ecr,
        EC2: deployment.deployment_to_ec2,
        APPRUNNER: deployment.deployment_to_apprunner,
        KUBERNETES: deployment.deployment_to_kubernetes,
    }[target]
    key = str(place.public_key or "")
    try:
        run = pipeline(release, settings, place.registry, str(place.root), str(place.home), key)
    finally:  # the Bentos of runs that failed, and of those that were killed before
        shutil.rmtree(place.home / BUILDS, ignore_errors=True)
    if run is None:
        raise StoreError("ZenML gave no run back; run the command again.")
    steps = run.steps
    given = {name: many[0].load() for step in steps.values() for name, many in step.outputs.items()}
    given.pop("bento")
    built = steps["containerize"].run_metadata
    return {
        "problem": release.problem,
        "version": release.version,
        "target": target,
        "tag": release.tag,
        "size_mb": built["size_mb"],
        "run": str(run.id),
        **given,
    }
