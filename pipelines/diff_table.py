"""The table of `--diff`, readable at 100 columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from pipelines.status_table import shown_metric, wide_console

HASH_LETTERS = 12
_ALWAYS = ("facts", "rows", "model")
# Of these, what is the same in both is left out; --json has it.
_WHERE_DIFFERENT = ("decision", "gates", "packages")


def show_diff(diff: Mapping[str, Any]) -> None:
    """Metrics, data and model, and of the rest what differs."""
    console = wide_console()
    one, two = diff["versions"]
    console.print(Text(f"{diff['problem']}  {one} and {two}", "bold"))
    if diff["same_test_rows"] is not True:
        console.print(Text("They were measured on other test rows, or it is not known.", "yellow"))
    console.print(_metrics(diff))
    table = Table("", "", one, two, box=None, pad_edge=False)
    for section in (*_ALWAYS, *_WHERE_DIFFERENT):
        for name, pair in diff[section].items():
            if section in _ALWAYS or pair[0] != pair[1]:
                table.add_row(section, name, *(Text(_shown(value)) for value in pair))
    for change in diff["contract"]:
        pair = (Text(_shown(value)) for value in change["values"])
        table.add_row("contract", f"{change['column']}: {change['key']}", *pair)
    console.print()
    console.print(table)
    if not diff["contract"]:
        console.print("The contracts are the same.")


def _metrics(diff: Mapping[str, Any]) -> Table:
    table = Table("metric", box=None, pad_edge=False)
    for name in (*diff["versions"], "difference", "better"):
        table.add_column(name, justify="right")
    for name, row in diff["metrics"].items():
        difference, better = row["difference"], row["better"]
        table.add_row(
            name,
            *(shown_metric(metric) for metric in row["values"]),
            "" if difference is None else f"{difference:+.4g}",
            "" if better is None else diff["versions"][better],
        )
    return table


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict) and "passed" in value:
        return f"{'held' if value['passed'] else 'failed'} at {_shown(value['value'])}"
    if isinstance(value, dict) and "sha256" in value:
        return f"{value['sha256'][:HASH_LETTERS]}, {value.get('n_rows', 0):,} rows"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        is_hash = len(value) >= 40 and value.isalnum()
        return value[:HASH_LETTERS] if is_hash else value
    return json.dumps(value, ensure_ascii=False)
