"""The training pipeline: wiring only. What each step does stands in its own file."""

from __future__ import annotations

from zenml import pipeline
from zenml.config.cache_policy import CachePolicy
from zenml.enums import ExecutionMode

from pipelines.code_fingerprint import code_fingerprint
from steps.audit_leaks import audit_leaks
from steps.calibrate import calibrate
from steps.check_contract import check_contract
from steps.compare_champion import compare_champion
from steps.decide import decide
from steps.evaluate_bundle import evaluate_bundle
from steps.export_bundle import export_bundle
from steps.fit_candidates import fit_candidates
from steps.fit_model import fit_model
from steps.load_rows import load_rows
from steps.measure_resampling import measure_resampling
from steps.publish import publish
from steps.refuse_leaks import refuse_leaks
from steps.split_rows import split_rows
from steps.write_report import write_report
from tabular.problem import Problem


@pipeline(
    execution_mode=ExecutionMode.FAIL_FAST,
    cache_policy=CachePolicy(cache_func=code_fingerprint, include_artifact_ids=True),
    enable_step_logs=False,  # steps print nothing; what they did is in metadata and artifacts
    enable_pipeline_logs=False,  # its handler starts a thread at exit, which 3.12 refuses aloud
)
def training(
    problem: Problem,
    data: str,
    root: str,
    home: str,
    registry: str,
    public_key: str,
    signing_key: str,
) -> None:
    """From a table to a judged, published bundle. Each step gets only the config that it reads."""
    snapshot = load_rows(problem.only("source"), data, root, home)
    rows, _, quarantine = check_contract(
        snapshot, problem.only("max_refused_share", "search"), home
    )
    train, validation, test, part_sizes = split_rows(rows, problem.only("split"))
    leaks, _ = audit_leaks(train, test, problem.only("title", "split", "leaks"))
    refuse_leaks(leaks, home)
    searching = problem.only("split", "search", "candidates")
    leaderboard = fit_candidates(train, searching, after="refuse_leaks")
    fitting = problem.only("split", "search", "candidates")
    graph, contract, answers = fit_model(rows, train, test, leaderboard, fitting)
    decision = calibrate(graph, contract, validation, problem.only("decision"))
    bundle = export_bundle(
        graph, contract, decision, train, validation, snapshot, rows, problem.only("title", "split")
    )
    measuring = problem.only("decision", "evaluation")
    evaluation = evaluate_bundle(bundle, test, answers, validation, measuring)
    resampling = measure_resampling(
        train,
        validation,
        leaderboard,
        problem.only("search", "candidates", "decision", "evaluation"),
    )
    comparing = problem.only("split", "search", "evaluation", "promotion")
    comparison = compare_champion(bundle, test, comparing, registry, public_key)
    judged = problem.only("title", "gates", "evaluation", "promotion")
    verdict, _ = decide(evaluation, comparison, judged)
    report, _ = write_report(
        snapshot,
        quarantine,
        part_sizes,
        leaderboard,
        resampling,
        bundle,
        evaluation,
        verdict,
        leaks,
        problem,
    )
    published = problem.only("title", "promotion", "serving", "log")
    publish(bundle, verdict, report, published, registry, public_key, signing_key)
