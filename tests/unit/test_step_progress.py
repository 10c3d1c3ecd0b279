"""The line that names the running step: on a terminal, and nowhere else."""

from __future__ import annotations

import logging
from io import StringIO

from rich.console import Console

from pipelines.step_progress import SPEAKER, showing_steps


def said_while(*messages: str, is_terminal: bool) -> str:
    out = StringIO()
    console = Console(file=out, force_terminal=is_terminal, width=60)
    with showing_steps(console):
        for message in messages:
            logging.getLogger(SPEAKER).info(message)
    return out.getvalue()


def test_running_step_is_named_on_a_terminal() -> None:
    said = said_while("Step `fit_candidates` has started.", is_terminal=True)
    assert "fit candidates" in said


def test_nothing_is_said_where_nobody_looks_on() -> None:
    assert said_while("Step `fit_candidates` has started.", is_terminal=False) == ""


def test_other_words_of_zenml_do_not_reach_the_terminal() -> None:
    assert "launched" not in said_while("Step `fit_model` launched.", is_terminal=True)


def test_loggers_are_left_as_they_were() -> None:
    speaker = logging.getLogger(SPEAKER)
    before = (speaker.level, speaker.propagate, list(speaker.handlers))
    said_while("Step `decide` has started.", is_terminal=True)
    assert (speaker.level, speaker.propagate, list(speaker.handlers)) == before
