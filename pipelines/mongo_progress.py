"""Rows on their way from or to MongoDB, as one line on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from pipelines.console import console

if TYPE_CHECKING:
    from tabular.mongo import Progress as HowFar


@contextmanager
def showing_progress(what: str) -> Iterator[Callable[[HowFar], None]]:
    """Give a function that draws rows, rows a second and the share; nothing where no one looks."""
    words = TextColumn("{task.description} {task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s")
    columns = (words, BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None, rows=0, rate=0.0)

        def draw(how_far: HowFar) -> None:
            total = how_far.n_rows / how_far.share if how_far.share else None
            bar.update(
                task,
                completed=how_far.n_rows,
                total=total,
                rows=how_far.n_rows,
                rate=how_far.rows_per_s,
            )

        yield draw
