"""The leak audit: what makes a score look better than the model will be, found before fitting.

It reads the training rows, and of the test rows the inputs only: the test target stays untouched.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pandas as pd

from tabular.contract import Frozen
from tabular.errors import LeakError
from tabular.leaks import rules
from tabular.leaks.findings import RULE_WORDS, Finding, Rule
from tabular.leaks.measures import (
    Inspected,
    TargetValues,
    agreement,
    inspect_columns,
    missing_masks,
    sampled,
    single_score,
    target_values,
)
from tabular.leaks.rows import Copies, count_copies, duplicates_across_split, hidden_by_random_split
from tabular.leaks.splits import METRIC, SplitScore, split_scores
from tabular.leaks.sums import find_sum
from tabular.problem import Problem
from tabular.settings import LeakAction

SAMPLE_ROWS = 20_000  # for fits of one column and of sums; all that counts rows reads every row
MAX_SUMS = 5
SEVERITIES = ("block", "warn", "note")


class ColumnScore(Frozen):
    """One model input: its score alone, out of fold, and how far its values fix the target."""

    name: str
    score: float
    agreement: float
    n_distinct: int
    is_expected: bool


class LeakAudit(Frozen):
    """The outcome: findings, worst first, and what was measured of columns, copies and splits."""

    problem: str
    title: str
    metric: str
    findings: tuple[Finding, ...]
    columns: tuple[ColumnScore, ...]
    copies: Copies
    splits: tuple[SplitScore, ...]
    actions: dict[Rule, LeakAction]
    max_single_score: float
    n_train: int
    n_test: int
    seconds: float

    def facts(self) -> dict[str, Any]:
        """What the run's report holds, as JSON values."""
        return self.model_dump(mode="json", exclude={"problem", "title"})

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)


def audit_leaks(train: pd.DataFrame, test_inputs: pd.DataFrame, problem: Problem) -> LeakAudit:
    """Look for every kind of leak.

    Args:
        train: (n, k) typed training rows, target included. Not changed.
        test_inputs: (m, k - 1) typed test rows without the target. Not changed.
        problem: Contract, target, `leaks` and `split`.
    """
    started = time.process_time()
    columns = inspect_columns(train, problem)
    target = target_values(train[problem.target.column].to_numpy(), problem.task)
    scores = _single_scores(columns, target, problem)
    findings = _column_findings(train, columns, target, scores, problem)
    copies = count_copies(train, test_inputs, problem)
    splits = split_scores(train, problem)
    if problem.leaks.duplicates_across_split != "off":
        findings += duplicates_across_split(copies, len(test_inputs), problem)
    findings += hidden_by_random_split(splits, problem)
    return LeakAudit(
        problem=problem.name,
        title=problem.title,
        metric=METRIC[problem.task],
        findings=tuple(sorted(findings, key=lambda f: SEVERITIES.index(f.severity))),
        columns=tuple(
            ColumnScore(
                name=column.name,
                score=scores[column.name],
                agreement=agreement(column.codes, target).alpha,
                n_distinct=column.n_distinct,
                is_expected=column.name in problem.leaks.expected,
            )
            for column in sorted(columns, key=lambda column: -scores[column.name])
        ),
        copies=copies,
        splits=splits,
        actions={rule: getattr(problem.leaks, rule) for rule in RULE_WORDS},
        max_single_score=problem.leaks.max_single_score,
        n_train=len(train),
        n_test=len(test_inputs),
        seconds=round(time.process_time() - started, 3),
    )


def column_findings(rows: pd.DataFrame, problem: Problem) -> list[Finding]:
    """What the rules on columns find in (n, k) typed rows, target included; no split is needed."""
    columns = inspect_columns(rows, problem)
    target = target_values(rows[problem.target.column].to_numpy(), problem.task)
    scores = _single_scores(columns, target, problem)
    return _column_findings(rows, columns, target, scores, problem)


def _single_scores(
    columns: Sequence[Inspected], target: TargetValues, problem: Problem
) -> dict[str, float]:
    places = sampled(len(target.y), SAMPLE_ROWS, problem.seed)
    some = target.take(places)
    return {c.name: single_score(c.take(places), some, seed=problem.seed) for c in columns}


def _column_findings(
    train: pd.DataFrame,
    columns: Sequence[Inspected],
    target: TargetValues,
    scores: dict[str, float],
    problem: Problem,
) -> list[Finding]:
    """Go from the surest rule to the least; what is named once, or expected, is not asked again."""
    leaks = problem.leaks
    findings: list[Finding] = []

    def left() -> list[Inspected]:
        named = {name for finding in findings for name in finding.columns} | {*leaks.expected}
        return [column for column in columns if column.name not in named]

    if leaks.known_after_outcome != "off":
        findings += rules.known_after_outcome(problem)
    if leaks.equals_target != "off":
        findings += rules.equals_target(left(), target, problem)
    if leaks.determines_target != "off":
        findings += rules.determines_target(left(), target, problem)
    if leaks.single_column != "off":
        findings += rules.single_column({c.name: scores[c.name] for c in left()}, problem)
    if leaks.sums_to_target != "off":
        findings += _sums(left(), target, problem)
    if leaks.determines_target != "off":
        findings += rules.determined_jointly(left(), target, problem)
    if leaks.id_like != "off":
        findings += rules.id_like(left(), problem)
    if leaks.missing_follows_target != "off":
        named = {name for finding in findings for name in finding.columns} | {*leaks.expected}
        masks = {k: v for k, v in missing_masks(train, problem).items() if k not in named}
        findings += rules.missing_follows_target(masks, target, problem)
    return findings


def _sums(columns: Sequence[Inspected], target: TargetValues, problem: Problem) -> list[Finding]:
    """One sum after the other, each of columns that none before it needs."""
    places = sampled(len(target.y), SAMPLE_ROWS, problem.seed)
    some, answer = [column.take(places) for column in columns], target.take(places)
    findings: list[Finding] = []
    while len(findings) < MAX_SUMS and (total := find_sum(some, answer)):
        findings.append(rules.sums_to_target(total, problem))
        some = [column for column in some if column.name not in total.columns]
    return findings


def refuse_leaks(audit: LeakAudit, page: str) -> None:
    """Stop the run where a finding blocks.

    Raises:
        LeakError: At least one finding of severity block; the sentence has each with its fix.
    """
    blocking = audit.of("block")
    if blocking:
        shown = " ".join(f"({place}) {f.sentence}" for place, f in enumerate(blocking[:3], 1))
        more = f" {len(blocking) - 3} more are on the page." if len(blocking) > 3 else ""
        raise LeakError(
            f"{audit.problem}: refused by the leak audit, {len(blocking)} "
            f"finding{'s' * (len(blocking) > 1)}: {shown}{more} See {page}.",
            audit.facts(),
        )
