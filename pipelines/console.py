"""What a training run says on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # --rollback does not wait for what it does not need
    from tabular.problem import Problem

console = Console(highlight=False, soft_wrap=True)


def show_start(problem: Problem, data: str, *, has_mongodb: bool) -> None:
    """One line: what is trained, on what."""
    named = problem.source
    read = named if has_mongodb or named.otherwise is None else named.otherwise
    words = {
        "sample": f"built-in synthetic sample, {read.rows:,} rows",
        "mongodb": f"collection {read.database}.{read.collection}",
    }
    source = data or words.get(read.kind, read.path)
    console.print(f"[bold]{problem.title}[/] ({problem.task}) on {source}")


def show_note(sentence: str) -> None:
    """One line beside the outcome."""
    console.print(Text(sentence, "yellow"))


def show_outcome(outcome: dict[str, Any]) -> None:
    """Steps, metrics with intervals, gates, verdict, and where everything lies."""
    console.print(_steps(outcome["steps"]))
    console.print(_metrics(outcome["metrics"]))
    from tabular.gates import SLICE_GAIN  # --rollback, which prints too, must not wait for pandas

    _show_champion(outcome["verdict"]["comparison"])
    for gate in outcome["verdict"]["results"]:
        if gate["passed"] and gate["metric"].startswith(SLICE_GAIN):
            continue  # a line for each slice that does not lose would hide the others
        mark, style = ("✓", "green") if gate["passed"] else ("✗", "red")
        console.print(Text(f" {mark} {gate['sentence']}", style=style))
    for finding in outcome["leaks"]["findings"]:
        if finding["severity"] == "warn":
            console.print(Text(f" ! leak audit: {finding['sentence']}", style="yellow"))
    accepted = outcome["verdict"]["accepted"]
    console.print(
        Text(
            f"{outcome['version']}: {outcome['verdict']['sentence']}",
            style="bold green" if accepted else "bold red",
        )
    )
    if outcome["synthetic"]:
        console.print(
            "The rows were synthetic: these figures say nothing about real data.", style="yellow"
        )
    rows = outcome["rows"]
    if rows["refused"]:
        console.print(
            f"{rows['refused']:,} of {rows['read']:,} rows were quarantined: "
            f"{outcome['quarantine']['file']}"
        )
    for name in ("bundle", "card", "report"):
        console.print(f"{name:>7}  {outcome[name]}")


def _show_champion(comparison: dict[str, Any]) -> None:
    """What the new version gains on the champion, on all rows and on each slice."""
    if comparison["note"]:
        show_note(comparison["note"])
    if comparison["whole"] is None:
        return
    champion = comparison["champion"]
    table = Table(f"{comparison['metric']} beside {champion}", box=None, pad_edge=False)
    for name in ("rows", champion, "now", "gain", "95 % interval"):
        table.add_column(name, justify="right")
    for part in (comparison["whole"], *comparison["slices"]):
        gain = part["gain"]
        table.add_row(
            Text(f"{part['column']}: {part['value']}" if "column" in part else "all rows"),
            f"{part['n_rows']:,}",
            f"{part['champion']:.4f}",
            f"{part['challenger']:.4f}",
            f"{gain['value']:+.4f}",
            f"{gain['low']:+.4f} to {gain['high']:+.4f}",
        )
    console.print(table)


def _steps(steps: list[dict[str, Any]]) -> Table:
    table = Table("step", box=None, pad_edge=False)
    table.add_column("rows", justify="right")
    table.add_column("seconds", justify="right")
    for step in steps:
        rows = "" if step["rows"] is None else f"{step['rows']:,}"
        table.add_row(step["name"], rows, "cached" if step["cached"] else f"{step['seconds']:.2f}")
    return table


def _metrics(metrics: dict[str, dict[str, float]]) -> Table:
    table = Table("metric on the test part", box=None, pad_edge=False)
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, metric in metrics.items():
        interval = f"{metric['low']:.4f} to {metric['high']:.4f}"
        table.add_row(name, f"{metric['value']:.4f}", interval)
    return table


def show_move(problem: str, alias: str, version: str | None, record: dict[str, Any] | None) -> None:
    """One line: what an alias names now, and where it came from."""
    if record is None:
        console.print(f"{problem}: {alias} is {version} already; nothing was moved.")
    else:
        console.print(
            Text(f"{problem}: {alias} is {version} now, was {record['from'] or 'not set'}.", "bold")
        )


def show_deployment(outcome: dict[str, Any]) -> None:
    """What was built, how it was tested, and where it is now."""
    smoke = outcome["smoke"]
    console.print(
        f"image {outcome['tag']}: {outcome['size_mb']} MB, ready in {smoke['ready_s']:.1f} s, "
        f"{smoke['golden_rows']} golden rows right, 95 % of rows within {smoke['p95_ms']:.1f} ms"
    )
    where = outcome.get("image") or f"container {outcome.get('container')}"
    console.print(
        Text(f"{outcome['problem']} {outcome['version']}: {where}, {outcome['seconds']} s", "bold")
    )
    if "manifests" in outcome:
        console.print(Text(f"Apply it: kubectl apply --filename {outcome['manifests']}"))
