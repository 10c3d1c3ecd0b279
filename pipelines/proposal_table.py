"""What `--init` has decided, as a table, and the questions about what it is not sure of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from pipelines.console import console, show_note

if TYPE_CHECKING:
    from tabular.proposal.draft import Proposal
    from tabular.proposal.sample import Sample

MAX_SHOWN = 60  # columns that the table lists
STYLES = {"sure": "green", "likely": "yellow", "unsure": "bold red"}
# What a number or a category is, its keys say; the rest would only make lines long.
QUIET = ("type", "feature", "categories", "aliases", "missing_values")


@dataclass(frozen=True)
class Question:
    """Something unsure: in `part` of the proposal, what is proposed, what it may be instead."""

    part: str
    about: str
    why: str
    proposed: str
    choices: tuple[str, ...]


def questions_of(proposal: Proposal) -> list[Question]:
    """What the user is asked."""
    target, split = proposal.target, proposal.split
    found = []
    if target.sureness == "unsure" and target.choices:
        found.append(Question("task", "task", target.why, target.task, target.choices))
    found += [
        Question("columns", one.name, one.why, one.keys["type"], one.choices)
        for one in proposal.columns
        if one.sureness == "unsure" and one.choices
    ]
    if split.sureness == "unsure" and split.choices:
        found.append(Question("split", "split", split.why, split.keys["kind"], split.choices))
    return found


def ask(question: Question) -> str:
    """Ask until the answer is one of the choices; an empty line takes what is proposed."""
    choices = "/".join(question.choices)
    while True:
        console.print(Text(f"{question.about}: {question.why}.", "bold"))
        word = input(f"  {choices} [{question.proposed}]: ").strip().casefold()
        if not word:
            return question.proposed
        near = [choice for choice in question.choices if choice.startswith(word)]
        if len(near) == 1:
            return near[0]
        show_note(f"'{word}' is none of {choices}.")


def show_proposal(proposal: Proposal, sample: Sample) -> None:
    """One line a decision: what, how sure, why."""
    rows = f"{sample.n_rows:,}" if sample.is_whole else f"about {sample.n_rows:,}"
    console.print(f"[bold]{proposal.name}[/]: {rows} rows of {len(proposal.columns) + 1} columns")
    for note in (sample.note, *sample.asides):
        if note:
            show_note(f"{note[0].upper()}{note[1:]}.")
    table = Table("", "decided", "how sure", "why", box=None, pad_edge=False)
    target, split = proposal.target, proposal.split
    _add(table, f"target {target.keys['column']}", target.task, target.sureness, target.why)
    for column in proposal.columns[:MAX_SHOWN]:
        _add(table, column.name, _words(column.keys), column.sureness, column.why)
    _add(table, "split", split.keys["kind"], split.sureness, split.why)
    names = ", ".join(proposal.keys["candidates"])
    _add(table, "candidates", names, "sure", f"for {rows} rows")
    metric, value = proposal.reached
    gate = f"{metric} at least {proposal.keys['gates'][0]['min']:g}"
    _add(table, "gates", gate, "likely", f"a quick model reached {value:.3f} on the sample")
    console.print(table)
    if len(proposal.columns) > MAX_SHOWN:
        show_note(f"{len(proposal.columns) - MAX_SHOWN:,} more columns stand in the YAML.")


def _add(table: Table, what: str, decided: str, sureness: str, why: str) -> None:
    shown = Text(sureness, STYLES[sureness])
    table.add_row(*(Text(t, overflow="fold") for t in (what, decided)), shown, Text(why))


def _words(keys: Mapping[str, Any]) -> str:
    parts = [keys["type"] if keys["type"] != "ignore" else "left out"]
    if "min" in keys and "max" in keys:
        parts.append(f"{keys['min']:g} to {keys['max']:g}")
    rest = {k: v for k, v in keys.items() if k not in (*QUIET, "min", "max", "max_missing_share")}
    parts += [name if value is True else f"{name} {value}" for name, value in rest.items()]
    return ", ".join(parts)


def outcome_of(proposal: Proposal, sample: Sample, file: Path) -> dict[str, Any]:
    """The proposal for programs."""
    target, split = proposal.target, proposal.split
    return {
        "problem": proposal.name,
        "file": str(file),
        "rows": {
            "table": sample.n_rows,
            "sample": sample.rows.num_rows,
            "is_whole": sample.is_whole,
            "bytes_read": sample.bytes_read,
            "note": sample.note,
        },
        "task": {"decided": target.task, "why": target.why, "sureness": target.sureness},
        "columns": {
            c.name: {"kind": c.kind, **c.keys, "why": c.why, "sureness": c.sureness}
            for c in proposal.columns
        },
        "split": {**split.keys, "why": split.why, "sureness": split.sureness},
        "leaks": {one.name: one.why for one in proposal.left_out},
        "reached": dict([proposal.reached]),
    }
