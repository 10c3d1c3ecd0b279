"""The file that docker-compose.yml is filled from: written once, its secrets drawn."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from string import Template

from tabular.errors import ConfigError

EXAMPLE = ".env.example"
NAME = ".env"
SECRET_BYTES = 24

_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")


def write_environment(root: Path) -> bool:
    """Write `.env` from `.env.example`, readable by its owner alone; False where there is one.

    A value that is empty in the example becomes a secret. Hex digits: they mean the same in a
    shell, in a URL and to Compose.
    """
    drawn = re.sub(
        r"^([A-Z][A-Z0-9_]*)=$",
        lambda line: f"{line[1]}={secrets.token_hex(SECRET_BYTES)}",
        (root / EXAMPLE).read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    try:
        file = os.open(root / NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        stream.write(drawn)
    return True


def read_environment(root: Path) -> dict[str, str]:
    """The values of `.env` by name, those that name others filled in.

    Raises:
        ConfigError: A name of the example is missing or empty.
    """
    values = _values(root / NAME)
    missing = [name for name in _values(root / EXAMPLE) if not values.get(name)]
    if missing:
        raise ConfigError(
            f"{NAME}: {', '.join(missing)} must have a value; copy the line from {EXAMPLE} and "
            f"fill it, or move {NAME} away and run `make up` for a new one (stores that are filled "
            "already keep their old passwords)."
        )
    return values


def port_of(name: str, values: dict[str, str]) -> int:
    """A port by the name of its variable.

    Raises:
        ConfigError: It is none.
    """
    text = values[name]
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise ConfigError(f"{NAME}: {name} must be a port from 1 to 65535, got '{text}'.")
    return int(text)


def _values(path: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := _LINE.fullmatch(line.strip()):
            values[found[1]] = Template(found[2]).safe_substitute(values)
    return values
