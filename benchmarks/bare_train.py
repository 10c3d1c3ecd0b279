"""The pipeline's work without ZenML: the same calls in the same order, in one plain script.

    python benchmarks/bare_train.py PROBLEM [DATA]

It is what `run.py --train` is compared with, to say what ZenML costs.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def main(name: str, data: Path | None) -> None:
    """Train one problem; nothing is published."""
    from tabular import exporting, fitting, judging
    from tabular.card import render_card
    from tabular.challenge import Comparison
    from tabular.checks.quarantine import check_table
    from tabular.leaks import audit as leaks
    from tabular.leaks.page import render_audit
    from tabular.onnx_export import probe_export
    from tabular.problem import load_problem
    from tabular.report import build_report
    from tabular.sources import open_rows
    from tabular.split import split_table
    from tabular.tables.snapshot import save_snapshot

    problem = load_problem(name, ROOT / "configs" / "problems")
    probe_export(problem)
    source = open_rows(problem, data=str(data or ""), root=ROOT, mongodb_uri="", needs_target=True)
    with tempfile.TemporaryDirectory() as folder:
        snapshot = save_snapshot(
            source.batches, Path(folder), source=source.source, synthetic=source.synthetic
        )
        rows, _, quarantine = check_table(snapshot, problem, home=Path(folder))
        parts = split_table(rows, problem)
    test_inputs = parts.test.drop(columns=problem.target.column)
    audit = leaks.audit_leaks(parts.train, test_inputs, problem)
    render_audit(audit)
    board = fitting.compare_candidates(parts.train, problem)
    fitted = fitting.fit_model(parts.train, parts.test, board.trials[0], problem)
    decision = fitting.calibrate(fitted.graph, fitted.contract, parts.validation, problem)
    bundle = exporting.export_bundle(
        fitted.graph, fitted.contract, decision, parts.train, parts.validation, snapshot, problem
    )
    evaluation = judging.evaluate_bundle(
        bundle, parts.test, fitted.test_answers, parts.validation, problem
    )
    resampling = judging.measure_resampling(parts.train, parts.validation, board, problem)
    report = build_report(
        problem=problem,
        snapshot=snapshot,
        quarantine=quarantine,
        rows={
            "train": len(parts.train),
            "validation": len(parts.validation),
            "test": len(parts.test),
        },
        leaderboard=board,
        resampling=resampling,
        bundle=bundle,
        evaluation=evaluation,
        verdict=judging.judge(evaluation, Comparison(metric=problem.search.metric), problem),
        leaks=audit,
    )
    render_card(report)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None)
