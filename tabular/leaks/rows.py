"""The leak rules on rows: copies on both sides of the split, and what a random split hides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tabular.contract import Frozen
from tabular.leaks.findings import Finding, Rule, as_note, found
from tabular.leaks.splits import METRIC, SplitScore, input_hashes
from tabular.problem import Problem

MAX_COPIED_SHARE = 0.01
MIN_COPIED_ROWS = 5
# A gap must be thrice its noise, and worth the words. The order of rows without a date may mean
# anything (a file sorted by source, say), so that it takes a larger gap.
GAP_NOISES, MIN_GAP, MIN_ROW_ORDER_GAP = 3.0, 0.01, 0.05


class Copies(Frozen):
    """Rows whose inputs stand twice: shares of all rows, and of test rows that stand in train."""

    copied_share: float
    n_across: int
    across_share: float


def count_copies(train: pd.DataFrame, test: pd.DataFrame, problem: Problem) -> Copies:
    """Compare the inputs of (n, k) training and (m, k) test rows; no target is read."""
    ours, theirs = input_hashes(train, problem), input_hashes(test, problem)
    across = np.isin(theirs, ours)
    n_distinct = len(np.unique(np.concatenate([ours, theirs])))
    return Copies(
        copied_share=1 - n_distinct / (len(ours) + len(theirs)),
        n_across=int(across.sum()),
        across_share=float(across.mean()),
    )


def duplicates_across_split(copies: Copies, n_test: int, problem: Problem) -> list[Finding]:
    """Identical rows on both sides; a note where a group split keeps them on one."""
    copied = f"{copies.copied_share:.1%} of the rows are copies of another (all inputs are equal)"
    values = (copies.across_share, MAX_COPIED_SHARE)
    fix = "write split.kind: group, so that identical rows stay on one side"
    if copies.across_share >= MAX_COPIED_SHARE and copies.n_across >= MIN_COPIED_ROWS:
        sentence = (
            f"{copied}, and {copies.n_across:,} of {n_test:,} test rows "
            f"({copies.across_share:.1%}) stand in the training rows too: {fix}."
        )
        return [found(problem, "duplicates_across_split", (), values, sentence)]
    if copies.copied_share >= MAX_COPIED_SHARE and problem.split.kind == "group":
        sentence = (
            f"{copied}; split.kind group keeps them on one side: {copies.n_across:,} of "
            f"{n_test:,} test rows stand in the training rows."
        )
        finding = found(problem, "duplicates_across_split", (), values, sentence)
        return [as_note(finding)]
    return []


def hidden_by_random_split(scores: Sequence[SplitScore], problem: Problem) -> list[Finding]:
    """Time or group splits that score lower than a random one, by more than noise.

    A note where the YAML splits in that very way, so that its figures are honest already.
    """
    findings = []
    for score in scores:
        rule: Rule = "time_order" if score.split == "time" else "duplicates_across_split"
        limit = max(GAP_NOISES * score.noise, _least_gap(score))
        if getattr(problem.leaks, rule) == "off" or score.gap <= limit:
            continue
        is_handled = problem.split.kind == score.split
        times = f"{score.gap / (score.noise or 1e-9):.0f} times the noise"
        named = [score.by] if score.by in problem.columns else []
        finding = found(
            problem,
            rule,
            named,
            (score.gap, round(limit, 6)),
            f"{METRIC[problem.task]} is {score.random_score:.4f} under a random split and "
            f"{score.score:.4f} under one by {score.by}, {times}: "
            f"{'the YAML splits so already' if is_handled else _fix(score, problem)}.",
        )
        findings.append(as_note(finding) if is_handled else finding)
    return findings


def _least_gap(score: SplitScore) -> float:
    return MIN_ROW_ORDER_GAP if score.by == "row order" else MIN_GAP


def _fix(score: SplitScore, problem: Problem) -> str:
    if score.by == "row order":
        return "find what orders the rows; if it is time, add its column and split.kind: time"
    if score.split == "time":
        return f"write split.kind: time and split.time_column: {score.by}"
    if score.by in problem.columns:
        return f"write split.kind: group and split.group_columns: [{score.by}]"
    return "write split.kind: group"
