"""Rows on their way from or to a server, as one line on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

if TYPE_CHECKING:
    from tabular.mongo.reading import Progress as HowFar


@contextmanager
def showing_progress(what: str) -> Iterator[Callable[[HowFar], None]]:
    """Give a function that draws rows, rows a second and the share, where a terminal looks on."""
    console = Console(stderr=True)
    words = TextColumn("{task.description} {task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s")
    columns = (words, BarColumn(), TaskProgressColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task(what, total=None, visible=False, rows=0, rate=0.0)

        def draw(how_far: HowFar) -> None:
            bar.update(
                task,
                visible=True,
                completed=how_far.n_rows,
                total=how_far.n_rows / how_far.share if how_far.share else None,
                rows=how_far.n_rows,
                rate=how_far.rows_per_s,
            )

        yield draw
