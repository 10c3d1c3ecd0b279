"""The leak rules on columns: what was measured, held against a limit, as findings with the fix.

Each rule gives the findings of one kind. A column that one rule has named is not shown to the
rules after it (see `tabular.leaks.audit`), so that one leak is one finding. docs/adr/0013 has the
limits.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from tabular.contract import Array
from tabular.errors import MAX_NAMES, listed
from tabular.leaks.findings import Finding, found, take_out
from tabular.leaks.measures import (
    Inspected,
    TargetValues,
    agreement,
    correlation,
    joint_codes,
    rank_correlation,
    sampled,
)
from tabular.leaks.sums import SUM_R2, WeightedSum
from tabular.problem import Problem

SAME = 0.99999  # correlation of a recoded target; float32 alone costs 1e-7
DETERMINED = 0.999
MIN_KNOWN_ROWS = 30
MIN_PAIRS = 20.0  # differences that chance would have shown, before agreement means anything
MIN_SHARE_ALONE, MIN_SHARE_JOINT = 0.5, 0.9  # of the rows, those whose values stand twice
SCREEN_ROWS, SCREEN_ALPHA, SCREEN_SHARE = 5_000, 0.98, 0.2
MAX_PAIRED, MAX_TRIPLED = 64, 16  # columns with the fewest values: 2,016 pairs, 560 triples
ID_SHARE, ID_DISTANCE, IN_ORDER = 0.95, 0.1, 0.9999
MISSING_EFFECT, MISSING_Z, ONE_SIDED = 0.3, 5.0, 0.99


def known_after_outcome(problem: Problem) -> list[Finding]:
    """Columns that the YAML itself says are known too late, and that a prediction reads."""
    return [
        found(
            problem,
            "known_after_outcome",
            [name],
            (1.0, 0.0),
            f"'{name}' is named in leaks.after_outcome, and the model reads it: write type: ignore "
            f"for it in columns (and take it out of derive), or take it off that list.",
        )
        for name in problem.leaks.after_outcome
        if name in problem.contract.inputs()
    ]


def equals_target(
    columns: Sequence[Inspected], target: TargetValues, problem: Problem
) -> list[Finding]:
    """Columns that are the target itself, or a one-to-one, monotone or affine recoding of it."""
    findings = []
    for column in columns:
        score, how = _sameness(column, target)
        if score:
            n = int(column.known.sum())
            sentence = (
                f"'{column.name}' is {how} of the target in the {n:,} rows where it is known: "
                f"{take_out([column.name], problem)}."
            )
            findings.append(found(problem, "equals_target", [column.name], (score, SAME), sentence))
    return findings


def _sameness(column: Inspected, target: TargetValues) -> tuple[float, str]:
    known = column.known
    if known.sum() < MIN_KNOWN_ROWS:
        return 0.0, ""
    y, codes = target.y[known], column.codes[known]
    if target.task == "regression" and column.numbers is not None:
        numbers = column.numbers[known]
        if (r := abs(correlation(numbers, y))) >= SAME:
            return r, "a copy, or a multiple plus a constant,"
        if (rho := abs(rank_correlation(numbers, y))) >= SAME:
            return rho, "a monotone function"
    if len(np.unique(codes)) == len(np.unique(y)) >= 2:
        seen = agreement(codes, target.take(known))
        if seen.alpha >= SAME and seen.share >= MIN_SHARE_ALONE and seen.n_pairs >= MIN_PAIRS:
            return seen.alpha, "a one-to-one recoding"
    return 0.0, ""


def determines_target(
    columns: Sequence[Inspected], target: TargetValues, problem: Problem
) -> list[Finding]:
    """Columns of which each value goes with one target value, more than chance explains."""
    findings = []
    for column in columns:
        seen = agreement(column.codes, target)
        enough = seen.share >= MIN_SHARE_ALONE and seen.n_pairs >= MIN_PAIRS
        if enough and seen.alpha >= DETERMINED and column.known.sum() >= MIN_KNOWN_ROWS:
            sentence = (
                f"each value of '{column.name}' goes with one value of the target (agreement "
                f"{seen.alpha:.4f}, 0 is chance): {take_out([column.name], problem)}."
            )
            values = (seen.alpha, DETERMINED)
            findings.append(found(problem, "determines_target", [column.name], values, sentence))
    return findings


def determined_jointly(
    columns: Sequence[Inspected], target: TargetValues, problem: Problem
) -> list[Finding]:
    """Pairs, then triples, of columns that determine the target; none by itself does.

    A sample screens them; what passes is measured on all rows.
    """
    few = sorted((c for c in columns if c.n_distinct >= 2), key=lambda c: c.n_distinct)
    few = [c for c in few if c.n_distinct <= len(target.y) / 4]
    places = sampled(len(target.y), SCREEN_ROWS, problem.seed)
    screen, answer = {c.name: c.take(places) for c in few}, target.take(places)
    findings: list[Finding] = []
    named: set[str] = set()
    for size, most in ((2, MAX_PAIRED), (3, MAX_TRIPLED)):
        for some in itertools.combinations(few[:most], size):
            names = tuple(c.name for c in some)
            if named & {*names}:
                continue
            seen = agreement(joint_codes(tuple(screen[name] for name in names)), answer)
            if seen.alpha < SCREEN_ALPHA or seen.share < SCREEN_SHARE:
                continue
            seen = agreement(joint_codes(some), target)
            if seen.alpha < DETERMINED or seen.share < MIN_SHARE_JOINT or seen.n_pairs < MIN_PAIRS:
                continue
            named |= {*names}
            sentence = (
                f"{listed(names)} together determine the target (agreement {seen.alpha:.4f}, 0 is "
                f"chance): {take_out(names, problem)}."
            )
            values = (seen.alpha, DETERMINED)
            findings.append(found(problem, "determines_target", names, values, sentence))
    return findings


def sums_to_target(total: WeightedSum, problem: Problem) -> Finding:
    """The columns of which the target is a weighted sum or a product."""
    parts = [
        f"{name}^{weight:.3g}" if total.is_product else f"{weight:.3g}·{name}"
        for name, weight in zip(total.columns, total.weights, strict=True)
    ]
    formula = (" × " if total.is_product else " + ").join(parts[:MAX_NAMES])
    factor = " factor" if total.is_product else ""
    more = f" and {len(parts) - MAX_NAMES} more" if len(parts) > MAX_NAMES else ""
    sentence = (
        f"the target is {formula}{more}, but for a constant{factor} (R2 "
        f"{total.r2:.5f} on rows not fitted on): {take_out(total.columns, problem)}."
    )
    return found(problem, "sums_to_target", total.columns, (total.r2, SUM_R2), sentence)


def single_column(scores: Mapping[str, float], problem: Problem) -> list[Finding]:
    """Columns that answer all but perfectly alone; `scores` are out of fold, by name."""
    limit = problem.leaks.max_single_score
    what = "R2" if problem.task == "regression" else "ROC AUC"
    return [
        found(
            problem,
            "single_column",
            [name],
            (score, limit),
            f"'{name}' alone reaches {what} {score:.4f} on rows not fitted on (max_single_score is "
            f"{limit:g}): {take_out([name], problem)}.",
        )
        for name, score in scores.items()
        if score >= limit
    ]


def id_like(columns: Sequence[Inspected], problem: Problem) -> list[Finding]:
    """Inputs that tell rows apart and nothing else: nearly unique texts, numbers like a counter."""
    findings = []
    for column in columns:
        share, why = _id_likeness(column)
        if why:
            sentence = (
                f"'{column.name}' {why}, like an identifier, and the model reads it: write "
                f"type: id for it in columns, or, if it means something, leaks.expected: "
                f"['{column.name}']."
            )
            findings.append(found(problem, "id_like", [column.name], (share, ID_SHARE), sentence))
    return findings


def _id_likeness(column: Inspected) -> tuple[float, str]:
    """Share of distinct values, and in words why the column looks like an identifier."""
    n = int(column.known.sum())
    if n < MIN_KNOWN_ROWS:
        return 0.0, ""
    share = column.n_distinct / n
    if column.numbers is None:
        return share, f"has another text in {share:.0%} of the rows" if share >= ID_SHARE else ""
    numbers = column.numbers[column.known]
    if share >= 0.5 and abs(rank_correlation(numbers, np.arange(n))) >= IN_ORDER:
        return share, "rises or falls with the order of the rows"
    if share < ID_SHARE or (numbers % 1 != 0).any():
        return share, ""
    spread = np.sort((numbers - numbers.min()) / np.ptp(numbers))
    is_even = float(np.abs(spread - np.linspace(0, 1, n)).max()) <= ID_DISTANCE
    return share, "is a whole number, another in each row and evenly spread" if is_even else ""


def missing_follows_target(
    masks: Mapping[str, Array], target: TargetValues, problem: Problem
) -> list[Finding]:
    """Columns of which the gaps tell the target, as where a value comes with the outcome."""
    findings = []
    for name, mask in masks.items():
        score = missing_effect(mask, target)
        if score >= MISSING_EFFECT:
            sentence = (
                f"whether '{name}' is missing ({mask.mean():.1%} of the rows) follows the target "
                f"(effect {score:.2f}, up to {MISSING_EFFECT:g} is let pass), as where a value is "
                f"written down with the outcome: name it in leaks.after_outcome and write type: "
                f"ignore for it, or, if it is known before, leaks.expected: ['{name}']."
            )
            values = (score, MISSING_EFFECT)
            findings.append(found(problem, "missing_follows_target", [name], values, sentence))
    return findings


def missing_effect(mask: Array, target: TargetValues) -> float:
    """How strongly gaps go with the target, in [0, 1]; 0 where chance explains it.

    For numbers the correlation. For classes the largest difference of the missing share between a
    class and the rest (Youden's J), or how much purer than all rows one side is, where it is pure.
    """
    n, share = len(mask), float(mask.mean())
    if not MIN_KNOWN_ROWS <= mask.sum() <= n - MIN_KNOWN_ROWS:
        return 0.0
    if target.task == "regression":
        r = abs(correlation(mask.astype(np.float64), target.y))
        return r if r * np.sqrt(n) >= MISSING_Z else 0.0
    effect = 0.0
    for of_class in target.matrix.T:
        base = float(of_class.mean())
        inside, outside = mask[of_class == 1].mean(), mask[of_class == 0].mean()
        noise = np.sqrt(share * (1 - share) / (n * base * (1 - base)))
        if abs(inside - outside) >= MISSING_Z * noise:
            effect = max(effect, float(abs(inside - outside)), _purity(mask, of_class, base))
    return effect


def _purity(mask: Array, of_class: Array, base: float) -> float:
    sides = [float(of_class[side].mean()) for side in (mask, ~mask)]
    purer = max((side - base) / (1 - base) for side in sides)
    return purer if purer >= ONE_SIDED else 0.0
