"""The tables of `--status`, readable at 100 columns."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

SHOWN_VERSIONS = 10
SHOWN_MOVES = 10
WIDTH = 100


def wide_console() -> Console:
    """A console for tables: as wide as the terminal, and 100 columns into a file or pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH
    return console


def show_problem(state: dict[str, Any]) -> None:
    """A problem's versions, the metrics of those that have an alias, and the last moves."""
    console = wide_console()
    aliases = ", ".join(f"{name} {version}" for name, version in state["aliases"].items())
    heading = Text(state["problem"], "bold")
    heading.append(f"  {state['title']}  ", "not bold")
    heading.append(aliases or "no alias is set", "bold green" if aliases else "yellow")
    console.print(heading)
    for table in (_versions(state), _metrics(state), _moves(state)):
        console.print(table)
        console.print()
    for version in state["versions"]:
        if version["damaged"]:
            console.print(Text(f"{version['version']} is damaged: {version['damaged']}", "red"))


def _versions(state: dict[str, Any]) -> Table:
    table = _table("version", "alias", "good enough for", "model", "data", "rows", "trained (UTC)")
    for version in _newest(state):
        name, aliases = version["version"], "\n".join(version["aliases"])
        if version["damaged"]:
            table.add_row(name, aliases, Text("damaged", "red"))
            continue
        rows = version["rows"].get("fitted", version["rows"].get("train"))
        table.add_row(
            name,
            Text(aliases, "bold green"),
            version["may_be"][-1] if version["may_be"] else Text("refused", "red"),
            (version["chosen"] or {}).get("candidate", ""),
            (version["data_sha256"] or "")[:8],
            "" if rows is None else f"{rows:,}",
            _minute(version["created_at"]),
        )
    hidden = len(state["versions"]) - SHOWN_VERSIONS
    if hidden > 0:
        table.caption = f"and {hidden} older; --json has all"
    return table


def _metrics(state: dict[str, Any]) -> Table:
    """One column for each version that has an alias, and for the newest."""
    whole = [version for version in reversed(state["versions"]) if not version["damaged"]]
    shown = [one for i, one in enumerate(whole) if i == 0 or one["aliases"]]
    table = _table("metric")
    for version in shown:
        label = ", ".join(version["aliases"]) or "newest"
        table.add_column(f"{version['version']} ({label})", justify="right")
    for name in dict.fromkeys(name for version in shown for name in version["metrics"]):
        table.add_row(name, *(shown_metric(version["metrics"].get(name)) for version in shown))
    return table


def _moves(state: dict[str, Any]) -> Table:
    table = _table("moved (UTC)", "alias", "from", "to", "who", "why")
    for move in state["moves"][: -SHOWN_MOVES - 1 : -1]:
        why = Text(move["why"])
        if move.get("override"):
            why.append(f"\noverride: {move['override']}", "yellow")
        if move.get("refused"):
            why.append(f"\nnot moved: {move['refused']}", "red")
        table.add_row(
            _minute(move["at"]), move["alias"], move["from"] or "", move["to"], move["actor"], why
        )
    hidden = len(state["moves"]) - SHOWN_MOVES
    if hidden > 0:
        table.caption = f"and {hidden} earlier; --json has all"
    return table


def shown_metric(metric: dict[str, float] | None) -> str:
    """A metric with its 95 % interval."""
    if metric is None:
        return ""
    return f"{metric['value']:.4g} ({metric['low']:.4g} to {metric['high']:.4g})"


def _newest(state: dict[str, Any]) -> list[dict[str, Any]]:
    return list(state["versions"][: -SHOWN_VERSIONS - 1 : -1])


def _minute(moment: str | None) -> str:
    return (moment or "")[:16].replace("T", " ")


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False, caption_justify="left")
