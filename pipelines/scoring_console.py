"""What a scoring run says on the terminal."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.text import Text

from pipelines.console import console
from tabular.scoring.input import ReadInput, ScoringInput
from tabular.scoring.parts import PartResult


class _Rows(ProgressColumn):
    """Rows so far, and rows a second of this process."""

    def render(self, task: Task) -> Text:
        speed = f", {task.speed:,.0f} rows/s" if task.speed else ""
        return Text(f"{task.completed:,.0f} rows{speed}")


class Meter:
    """Rows, rows a second, and the share where the total is known."""

    def __init__(self, title: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), _Rows(),
            console=console,
        )  # fmt: skip
        self._task = self._progress.add_task(title, total=None)
        self.n_kept_parts = 0

    def __enter__(self) -> Meter:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def opened(self, read_input: ReadInput, work: Path) -> ScoringInput:
        """Open the input, and show its rows as the total."""
        table = read_input(work)
        self._progress.update(self._task, total=table.n_rows)
        return table

    def add(self, result: PartResult, was_done: bool) -> None:
        """One more part; the first that an earlier run had done is told."""
        if was_done and not self.n_kept_parts:
            console.print("An earlier run was cut off here; its finished parts are kept.")
        self.n_kept_parts += was_done
        self._progress.advance(self._task, result.n_rows)


def show_scored(outcome: dict[str, Any]) -> None:
    """Rows, refused rows and why, and where everything lies."""
    speed = outcome["rows"] / max(outcome["seconds"], 1e-3)
    console.print(
        f"{outcome['rows']:,} rows scored by {outcome['problem']} {outcome['version']} in "
        f"{outcome['seconds']:.1f} s ({speed:,.0f} rows/s)"
    )
    if outcome["refused"]:
        worst = sorted(outcome["by_rule"].items(), key=lambda item: -item[1])[:3]
        reasons = "; ".join(f"{rule} ({n:,})" for rule, n in worst)
        console.print(
            f"{outcome['refused']:,} of them broke the contract and have no answer: {reasons}",
            style="yellow",
        )
    console.print(f"    out  {outcome['out']}")
