"""`run.py --init PATH --target COLUMN`: a problem's YAML for a table that nobody has described."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.console import console, show_note
from pipelines.outcome import check_report, write_report
from pipelines.place import Place
from pipelines.proposal_table import Question, ask, outcome_of, questions_of, show_proposal
from tabular.errors import ConfigError
from tabular.files import whole_file

if TYPE_CHECKING:
    from tabular.proposal.draft import Answers, Proposal
    from tabular.proposal.sample import Sample

DONE = 0
MONGODB = ("mongodb://", "mongodb+srv://")
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def run(options: argparse.Namespace, place: Place) -> int:
    """Look at the table, say what it is taken for, ask what is unsure, write the YAML.

    Raises:
        ConfigError: A flag is missing or wrong, the YAML is there already, or there is something
            to ask and nobody to answer.
        DataError: Nothing can be learned from the table, and why.
    """
    check_report(options.report)
    if not options.target:
        raise ConfigError("--init: --target COLUMN is missing; name the column to predict.")
    if options.has_problem:
        raise ConfigError("--init: the new problem is named by --name, not by --problem.")
    file = _file(options.init, options.name, place)
    sample, server = _sample(options.init, place)
    proposal = _agreed(sample, options, file.stem)
    _write(file, proposal, sample)
    write_report(options.report, outcome_of(proposal, sample, file))
    _show_next(file, place, server=server)
    return DONE


def _file(source: str, named: str | None, place: Place) -> Path:
    """Where the YAML goes: `--name` is a name under configs/problems/, or a .yaml file."""
    from tabular.proposal.names import slug

    if named and Path(named).suffix in (".yaml", ".yml"):
        file = Path(named).resolve().with_suffix(".yaml")
        if not file.parent.is_dir():
            raise ConfigError(f"--name: there is no folder {file.parent}; make it first.")
    else:
        found = source.partition("?")[0].rstrip("/").rpartition("/")[2]
        last = found.rpartition(".")[2] if source.startswith(MONGODB) else found.partition(".")[0]
        file = place.problems / f"{named or slug(last) or 'table'}.yaml"
    if not NAME.fullmatch(file.stem):
        raise ConfigError(
            f"--name: '{file.stem}' must be of small letters, digits and _, and begin with a "
            f"letter, as it goes into addresses and images; write --name {slug(file.stem) or 'x'}."
        )
    if file.exists():
        raise ConfigError(
            f"--init: {file} is there already and is not overwritten; choose another name, "
            f"--name {file.stem}_2, or take the file away."
        )
    return file


def _sample(source: str, place: Place) -> tuple[Sample, bool]:
    """The table's sample, and whether a server must be named to read it again."""
    if source.startswith(MONGODB):
        from tabular.proposal.collection import read_collection

        return read_collection(source), True
    from tabular.proposal.sample import read_file

    return read_file(source, place.root), False


def _agreed(sample: Sample, options: argparse.Namespace, name: str) -> Proposal:
    """The proposal once nothing that is unsure has been left unasked."""
    from tabular.proposal.draft import NO_ANSWERS, propose

    answers, asked = NO_ANSWERS, set[str]()
    while True:
        proposal = propose(sample, options.target, name, answers)
        open_questions = [q for q in questions_of(proposal) if q.about not in asked]
        if not asked:
            show_proposal(proposal, sample)
        if options.yes or not open_questions:
            return proposal
        if not sys.stdin.isatty():
            names = ", ".join(question.about for question in open_questions[:5])
            raise ConfigError(
                f"--init: {len(open_questions)} decisions are unsure ({names}), and nobody is "
                "there to ask; take them as proposed with --yes, or run it in a terminal."
            )
        asked |= {question.about for question in open_questions}
        changed = _answered(answers, open_questions)
        if changed == answers:
            return proposal
        answers = changed


def _answered(answers: Answers, questions: list[Question]) -> Answers:
    columns, parts = dict(answers.columns), {}
    for question in questions:
        word = ask(question)
        if word == question.proposed:
            continue
        if question.part == "columns":
            columns[question.about] = word
        else:
            parts[question.part] = word
    return replace(answers, columns=columns, **parts)


def _write(file: Path, proposal: Proposal, sample: Sample) -> None:
    """Write the YAML, whole or not at all."""
    from tabular.proposal.yaml_text import yaml_text

    text = yaml_text(proposal, sample)
    with whole_file(file) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _show_next(file: Path, place: Place, *, server: bool) -> None:
    name = file.stem if file.parent == place.problems else str(file)
    if server:
        show_note("Set MONGODB_URI to the server's address first; it is not written down.")
    console.print(f"wrote  {file}")
    console.print(f" next  python run.py --train --problem {name}")
