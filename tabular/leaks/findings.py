"""What the leak audit says: a finding per leak, with its fix in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from tabular.contract import Frozen
from tabular.errors import listed
from tabular.problem import Problem

Rule = Literal[
    "equals_target",
    "determines_target",
    "sums_to_target",
    "single_column",
    "id_like",
    "duplicates_across_split",
    "known_after_outcome",
    "missing_follows_target",
    "time_order",
]


# In the order of the page.
RULE_WORDS: dict[Rule, str] = {
    "known_after_outcome": "Known only after the outcome",
    "equals_target": "Equals the target",
    "determines_target": "Determines the target",
    "single_column": "One column answers alone",
    "sums_to_target": "Sums to the target",
    "id_like": "Like an identifier",
    "missing_follows_target": "Gaps follow the target",
    "duplicates_across_split": "Copies across the split",
    "time_order": "Time order",
}


class Finding(Frozen):
    """One leak, or for severity `note` one that the YAML has dealt with already."""

    rule: Rule
    columns: tuple[str, ...] = ()
    score: float
    limit: float
    severity: Literal["block", "warn", "note"]
    sentence: str


def found(
    problem: Problem, rule: Rule, columns: Iterable[str], values: tuple[float, float], sentence: str
) -> Finding:
    """A finding of the severity that the YAML gives the rule; `values` are score and limit."""
    severity = getattr(problem.leaks, rule)
    score, limit = values
    return Finding(
        rule=rule,
        columns=tuple(columns),
        score=round(score, 6),
        limit=limit,
        severity=severity,
        sentence=sentence,
    )


def as_note(finding: Finding) -> Finding:
    """The same finding where the YAML has dealt with it."""
    return finding.model_copy(update={"severity": "note"})


def take_out(names: Sequence[str], problem: Problem) -> str:
    """The fix: how the columns leave the model, or how they are said to be right."""
    derived = [name for name in names if name in problem.derive]
    raw = [name for name in names if name not in problem.derive]
    ways = []
    if raw:
        ways.append(f"write type: ignore for {listed(raw)} in columns")
    if derived:
        ways.append(f"take {listed(derived)} out of derive")
    one_of = "one of them out: " if len(names) > 1 else "it out: "
    return (
        f"take {one_of}{' or '.join(ways)}; if the value is known when the model answers, write "
        f"leaks.expected: {list(names)}"
    )
