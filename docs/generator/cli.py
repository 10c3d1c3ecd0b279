"""The command line, from `run.py`'s own parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import run
from docs.generator.tables import table

INTRODUCTION = """`python run.py` takes one action and its flags; `python run.py --help` lists them
on one screen."""


def cli_page() -> str:
    """The actions, each with its flags, and what each flag takes."""
    parser = run.parser()
    options = [one for one in parser._actions if one.dest != "help"]
    actions = [one for one in options if one.dest in run.ACTIONS]
    flags = [one for one in options if one.dest not in run.ACTIONS]
    codes = run.EXIT_CODES.removeprefix("exit codes: ")
    return "\n\n".join(
        [
            "# Command line",
            INTRODUCTION,
            "## Actions",
            table(
                ("action", "what it does", "flags of its own"),
                [(_usage(a), a.help, _flags(run.ACTIONS[a.dest][1])) for a in actions],
            ),
            "## Flags",
            table(
                ("flag", "what it says", "goes with"),
                [(_usage(flag), flag.help, _homes(flag.dest)) for flag in flags],
            ),
            "## Exit codes",
            table(("code", "meaning"), [one.split(maxsplit=1) for one in codes.split(", ")]),
        ]
    )


def _usage(option: argparse.Action) -> str:
    takes = "|".join(map(str, option.choices)) if option.choices else option.metavar
    n_values = option.nargs if isinstance(option.nargs, int) else 1
    return f"`{' '.join([option.option_strings[-1], *[str(takes)] * n_values])}`"


def _homes(flag: str) -> str:
    homes = [action for action, (_, names) in run.ACTIONS.items() if flag in names]
    return _flags(homes) or "every action"


def _flags(names: Iterable[str]) -> str:
    return ", ".join(f"`--{name}`" for name in names)
