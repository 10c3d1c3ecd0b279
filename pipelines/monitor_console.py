"""What a look at the prediction log says on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from pipelines.console import console, show_note

MAX_SHOWN = 12


def show_look(outcome: Mapping[str, Any]) -> None:
    """Rows, live metrics, alarms, what is due, and where everything lies."""
    drift, live, due = outcome["drift"], outcome["live"], outcome["due"]
    window = drift["window"]
    console.print(
        f"{outcome['problem']} {outcome['version']}: {window['n_rows']:,} rows since "
        f"{window['since'][:16]} UTC, mean drift {drift['score']:.2f} (above 1 a column alarms)"
    )
    for note in drift["notes"]:
        show_note(note)
    if live["metrics"]:
        console.print(_metrics(live))
    for alarm in outcome["alarms"][:MAX_SHOWN]:
        console.print(Text(f" ! {alarm}", style="yellow"))
    if len(outcome["alarms"]) > MAX_SHOWN:
        show_note(f"{len(outcome['alarms']) - MAX_SHOWN} more alarms are on the page.")
    console.print(Text(due["sentence"], style="bold red" if due["is_due"] else "bold green"))
    for name in ("page", "evidently", "gauges"):
        if outcome[name]:
            console.print(f"{name:>9}  {outcome[name]}")


def _metrics(live: Mapping[str, Any]) -> Table:
    table = Table(f"metric on {live['n_labels']:,} outcomes", box=None, pad_edge=False)
    for name in ("live", "95 % interval", "test part"):
        table.add_column(name, justify="right")
    for one in live["metrics"]:
        now, test = one["live"], one["test"]
        style = {"missed": "red", "worse": "yellow"}.get(one["state"], "")
        table.add_row(
            Text(one["metric"], style=style),
            f"{now['value']:.4f}",
            f"{now['low']:.4f} to {now['high']:.4f}",
            f"{test['value']:.4f}" if test else "",
        )
    return table
