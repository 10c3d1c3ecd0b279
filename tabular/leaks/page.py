"""The leak audit's page: findings with their fixes, splits side by side, each column alone."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from tabular import charts
from tabular.card import metric_name, number, percent, template
from tabular.leaks.audit import ColumnScore, LeakAudit
from tabular.leaks.findings import RULE_WORDS
from tabular.leaks.splits import SplitScore

MAX_FINDINGS, MAX_COLUMNS = 40, 30
MARK = {"block": "failed", "warn": "warning", "note": "passed"}
WEIGHT = {"block": "blocks", "warn": "warns", "note": "dealt with"}


def render_audit(audit: LeakAudit) -> str:
    """Render an audit as one HTML page under 100 KB: no script, no outside file."""
    return template("leaks.html").render(
        audit=audit,
        tone="failed" if audit.of("block") else "warning" if audit.of("warn") else "passed",
        findings=[_finding(finding) for finding in audit.findings[:MAX_FINDINGS]],
        n_more_findings=max(0, len(audit.findings) - MAX_FINDINGS),
        metric=metric_name(audit.metric),
        splits=[_split(score, audit) for score in audit.splits],
        columns=[_column(column, audit) for column in audit.columns[:MAX_COLUMNS]],
        n_more_columns=max(0, len(audit.columns) - MAX_COLUMNS),
        rules=[
            {"name": words, "action": audit.actions[rule]} for rule, words in RULE_WORDS.items()
        ],
        percent=percent,
    )


def _finding(finding: Any) -> dict[str, Any]:
    return {
        "mark": MARK[finding.severity],
        "name": RULE_WORDS[finding.rule],
        "columns": finding.columns,
        "score": finding.score,
        "limit": finding.limit,
        "weight": WEIGHT[finding.severity],
        "sentence": finding.sentence[0].upper() + finding.sentence[1:],
    }


def _split(score: SplitScore, audit: LeakAudit) -> dict[str, Any]:
    return {
        "name": score.split.capitalize(),
        "by": score.by,
        "n_rows": score.n_rows or None,
        "score": score.score,
        "random": score.random_score,
        "noise": score.noise if score.random_score is not None else None,
        "reason": score.reason,
        "strip": _split_strip(score, audit),
    }


def _split_strip(score: SplitScore, audit: LeakAudit) -> Markup:
    if score.score is None:
        return Markup("")
    shown = [s for one in audit.splits for s in (one.score, one.random_score) if s is not None]
    pad = (max(shown) - min(shown)) * 0.35 + 2 * max(one.noise for one in audit.splits) + 0.002
    return charts.strip(
        f"{score.split}: {number(score.score)}, random on the same rows "
        f"{number(score.random_score)}",
        score.score,
        (min(shown) - pad, max(shown) + pad),
        interval=(score.score - 2 * score.noise, score.score + 2 * score.noise),
        limit=score.random_score,
    )


def _column(column: ColumnScore, audit: LeakAudit) -> dict[str, Any]:
    is_over = column.score >= audit.max_single_score and not column.is_expected
    return {
        **column.model_dump(),
        "strip": charts.strip(
            f"{charts.clip(column.name)}: {number(column.score)}",
            column.score,
            (0.0, 1.0) if audit.metric == "r2" else (0.5, 1.0),
            limit=audit.max_single_score,
            allowed="below",
            tone="failed" if is_over else "s0",
        ),
    }
