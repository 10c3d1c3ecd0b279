"""Which step runs and for how long, as one line on the terminal; nothing where nobody looks on."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

# ZenML says so before each step that it runs; of one taken from the cache it says nothing.
SPEAKER = "zenml.orchestrators.step_launcher"
OWN_LINE = "load_rows"  # it counts its rows on the terminal itself
STARTED = re.compile(r"Step `(\w+)` has started")


class _StepNames(logging.Handler):
    """Hands on the name of each step that starts."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        if found := STARTED.match(record.getMessage()):
            self._tell(found[1])


@contextmanager
def showing_steps(console: Console | None = None) -> Iterator[None]:
    """Name the running step until the block ends."""
    console = console or Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as line:
        task = line.add_task("starting")

        def tell(name: str) -> None:
            line.update(task, description=name.replace("_", " "), visible=name != OWN_LINE)

        with _listening(tell):
            yield


@contextmanager
def _listening(tell: Callable[[str], None]) -> Iterator[None]:
    """Hear ZenML's words without letting them reach the terminal."""
    speaker, handler = logging.getLogger(SPEAKER), _StepNames(tell)
    level, propagates = speaker.level, speaker.propagate
    speaker.addHandler(handler)
    speaker.setLevel(logging.INFO)
    speaker.propagate = False
    try:
        yield
    finally:
        speaker.removeHandler(handler)
        speaker.setLevel(level)
        speaker.propagate = propagates
