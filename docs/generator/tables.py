"""Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; a cell may be any value, and a bar in it does not end the cell."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def code(text: object) -> str:
    """Text in the letters of code; nothing where there is none."""
    return f"`{text}`" if str(text) else ""


def json_block(value: object) -> str:
    """A value as indented JSON."""
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return text.replace("\n", " ").replace("|", "\\|")
