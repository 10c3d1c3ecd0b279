"""What is looked at before anything is built or started."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Mapping

from deploy.engine import Engine
from deploy.system.environment import NAME, port_of
from tabular.errors import ConfigError

OLDEST = (1, 29)  # the first that waits for a service and knows one that only runs once
PROJECT = "com.docker.compose.project"


def find_compose(engine: Engine) -> list[str]:
    """The command line of Compose: the engine's plugin, else the program of version 1.

    Raises:
        ConfigError: There is neither.
    """
    if engine.tries("compose", "version"):
        return [str(engine.cli), "compose"]
    program = shutil.which("docker-compose")
    found = "neither `docker compose` nor docker-compose is here"
    if program:
        version = _version(program)
        if version >= OLDEST:
            return [program]
        found = f"{program} is version {'.'.join(map(str, version)) or 'unknown'}"
    raise ConfigError(
        f"make up: {found}, and 1.29 or newer is needed; install Debian's package docker-compose, "
        "or Docker's docker-compose-plugin."
    )


def _version(program: str) -> tuple[int, ...]:
    done = subprocess.run(  # noqa: S603  # found on PATH, as a user's shell finds it
        [program, "version", "--short"], capture_output=True, text=True, check=False
    )
    found = re.match(r"v?(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else ()


def check_ports(engine: Engine, values: Mapping[str, str]) -> None:
    """Refuse ports that somebody else than this system listens on.

    Raises:
        ConfigError: Some are taken, or two are the same.
    """
    named = {name: port_of(name, dict(values)) for name in values if name.endswith("_PORT")}
    if twice := sorted({port for port in named.values() if list(named.values()).count(port) > 1}):
        names = ", ".join(name for name, port in named.items() if port in twice)
        raise ConfigError(f"{NAME}: {names} must be different ports, got {twice[0]} twice.")
    own = own_ports(engine, values["COMPOSE_PROJECT_NAME"])
    taken = [f"{port} ({name})" for name, port in named.items()
             if port not in own and not _is_free(port)]  # fmt: skip
    if taken:
        raise ConfigError(
            f"make up: taken on this machine: port {', '.join(taken)}; end what listens there, or "
            f"change the variable in {NAME}."
        )


def own_ports(engine: Engine, project: str) -> set[int]:
    """Ports that this system listens on already."""
    listed = engine.call(
        "ps", "--filter", f"label={PROJECT}={project}", "--format", "{{.Ports}}",
        what="listing containers",
    )  # fmt: skip
    return {int(port) for port in re.findall(r":(\d+)->", listed)}


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
