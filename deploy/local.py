"""Target local: the image serves on this machine, in place of the one before it."""

from __future__ import annotations

import socket

from deploy.container import STOP_S, start, wait_ready
from deploy.engine import Engine
from deploy.host.checks import Connection
from deploy.image import NAME
from deploy.smoke import check_golden
from tabular.bundle import Bundle
from tabular.errors import BentolineError, ConfigError


def container_of(problem: str) -> str:
    """The name of the container that serves a problem."""
    return f"{NAME}-{problem}"


def check_port(engine: Engine, problem: str, port: int) -> None:
    """Refuse a port that somebody else than the problem's own container listens on.

    Raises:
        ConfigError: It is taken.
    """
    own = engine.inspect("container", container_of(problem))
    bindings = (own or {}).get("HostConfig", {}).get("PortBindings", {}).values()
    if any(binding["HostPort"] == str(port) for many in bindings for binding in many):
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(
                f"--deploy: port {port} of this machine is taken; end what listens on it, or set "
                f"serving.port of {problem} and train it again."
            ) from error


def replace(engine: Engine, image: str, bundle: Bundle, *, problem: str, port: int) -> str:
    """Let a container of the image serve the problem, and return its name.

    The one before it is stopped first, since there is one port; it serves again where the new one
    is not ready or answers a golden row otherwise.

    Raises:
        RefusedError: The new one is not ready, or answers otherwise.
        EngineError: It could not be started.
    """
    name = container_of(problem)
    before = f"{name}-before"
    _put_back(engine, name, before)  # where a replacement was killed midway
    if engine.inspect("container", name):
        engine.call("rename", name, before, what=f"renaming {name}")
        engine.call("stop", f"--time={STOP_S}", before, what=f"stopping {name}")
    try:
        start(engine, image, name, port=port, keep=True)
        wait_ready(engine, name)
        connection = Connection(port)
        check_golden(connection, bundle)
        connection.close()
    except (BentolineError, KeyboardInterrupt):
        engine.tries("rm", "--force", "--volumes", name)
        _put_back(engine, name, before)
        raise
    engine.tries("rm", "--force", "--volumes", before)
    return name


def _put_back(engine: Engine, name: str, before: str) -> None:
    """Let the container that was set aside serve again, if there is one."""
    if engine.inspect("container", before):
        engine.tries("rm", "--force", "--volumes", name)
        engine.call("rename", before, name, what=f"renaming {before}")
        engine.call("start", name, what=f"starting {name}")
