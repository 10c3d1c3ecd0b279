"""The outcome of an action as JSON, for programs: `--report FILE`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabular.bundle import plain_json
from tabular.errors import ConfigError
from tabular.files import whole_file


def check_report(file: Path | None) -> None:
    """Refuse a `--report` that cannot be written, before anything is done.

    Raises:
        ConfigError: There is no such folder.
    """
    if file is not None and not file.resolve().parent.is_dir():
        raise ConfigError(f"--report: there is no folder {file.parent}; make it first.")


def write_report(file: Path | None, outcome: Mapping[str, Any]) -> None:
    """Write the outcome, whole or not at all."""
    if file is not None:
        with whole_file(file.resolve()) as unfinished:
            unfinished.write_text(as_json(outcome), encoding="utf-8")


def as_json(outcome: Mapping[str, Any]) -> str:
    """The outcome for programs; what is no finite number is null."""
    return json.dumps(plain_json(outcome), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
