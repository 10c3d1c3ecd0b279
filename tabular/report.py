"""The run's whole outcome as one JSON document."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tabular.bundle import Bundle, plain_json
from tabular.checks.quarantine import Quarantine
from tabular.fitting import Leaderboard
from tabular.gates import Verdict
from tabular.judging import BundleEvaluation, ResamplingReport
from tabular.leaks.audit import LeakAudit
from tabular.problem import Problem
from tabular.tables.snapshot import Snapshot


def build_report(
    *,
    problem: Problem,
    snapshot: Snapshot,
    quarantine: Quarantine,
    rows: dict[str, int],
    leaderboard: Leaderboard,
    resampling: ResamplingReport,
    bundle: Bundle,
    evaluation: BundleEvaluation,
    verdict: Verdict,
    leaks: LeakAudit,
) -> dict[str, Any]:
    """The whole outcome as JSON values; a gate's value that is not a number is null."""
    measured = evaluation.model_dump(mode="json")
    scores = measured.pop("scores")
    chosen = leaderboard.trials[0]
    return plain_json(
        {
            "problem": problem.name,
            "title": problem.title,
            "task": problem.task,
            "unit": problem.target.unit,
            "synthetic": snapshot.synthetic,
            "source": snapshot.source,
            "snapshot": snapshot.sha256,
            "seed": problem.seed,
            "split": problem.split.kind,
            "search_metric": problem.search.metric,
            "rows": {"read": snapshot.n_rows, "refused": quarantine.n_refused, **rows},
            "quarantine": quarantine.model_dump(mode="json"),
            **scores,
            **measured,
            "trials": [trial.model_dump(mode="json") for trial in leaderboard.trials],
            "chosen": chosen.model_dump(mode="json"),
            "resampling": [row.model_dump(mode="json") for row in resampling.rows],
            "decision": bundle.decision.model_dump(mode="json", exclude={"knots_x", "knots_y"}),
            "verdict": verdict.model_dump(mode="json"),
            "leaks": leaks.facts(),
            "model_sha256": bundle.manifest["files"]["model.onnx"],
            "git_commit": git_commit(),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )


def git_commit() -> str:
    """The commit that this code stands at, or an empty text outside a checkout."""
    if shutil.which("git") is None:
        return ""
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607  # the user's git
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip()
