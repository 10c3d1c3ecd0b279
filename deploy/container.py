"""A container of the serving image, run as in production."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from deploy.engine import Engine, reason
from deploy.host.checks import readiness
from deploy.host.docker import HARDENED, PORT
from tabular.errors import ConfigError, RefusedError

READY_S = 60.0
POLL_S = 0.05
STOP_S = 10


@contextmanager
def running(engine: Engine, image: str) -> Iterator[str]:
    """Run a container on a free port of the loopback and give its name; it is removed at the end.

    Raises:
        EngineError: It could not be started.
    """
    name = f"bentoline-test-{uuid4().hex[:12]}"
    try:
        start(engine, image, name, port=0)
        yield name
    finally:
        engine.tries("rm", "--force", "--volumes", name)


def start(engine: Engine, image: str, name: str, *, port: int, keep: bool = False) -> None:
    """Start a container that answers on a port of the loopback; 0 takes a free one.

    Args:
        engine: Where it runs.
        image: A name or id that is there; nothing is pulled.
        name: Its name.
        port: Of the loopback.
        keep: Start it again when it ends or the machine does.

    Raises:
        ConfigError: The image is of another architecture.
        EngineError: The port is taken.
    """
    check_architecture(engine, image)
    lasting = ("--restart=unless-stopped", "--log-opt=max-size=10m") if keep else ()
    published = f"--publish=127.0.0.1:{port or ''}:{PORT}"
    engine.call(
        "run", "--detach", f"--name={name}", "--pull=never", *HARDENED, *lasting, published, image,
        what=f"starting {image}",
    )  # fmt: skip


def check_architecture(engine: Engine, image: str) -> None:
    """Refuse an image that this engine's processor cannot run.

    Raises:
        ConfigError: It is of another architecture.
    """
    found = (engine.inspect("image", image) or {}).get("Architecture")
    own = engine.call("version", "--format={{.Server.Arch}}", what="asking the engine")
    if found not in (None, own):
        raise ConfigError(
            f"{image} is made for {found} and this engine runs {own}; name a base image of {own} "
            "by BENTOLINE_BASE_IMAGE, and unset DOCKER_DEFAULT_PLATFORM."
        )


def wait_ready(engine: Engine, name: str, timeout_s: float = READY_S) -> tuple[int, float]:
    """Wait until /readyz answers 200; return the port of the loopback, and the seconds it took.

    Raises:
        RefusedError: The container ended, or was not ready in time; with what it says of it.
    """
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < timeout_s:
        state: dict[str, Any] = engine.inspect("container", name) or {}
        if not state or not state["State"]["Running"]:
            raise RefusedError(f"the container ended before it was ready: {_last(engine, name)}.")
        bound = state["NetworkSettings"]["Ports"].get(f"{PORT}/tcp")
        status, answer = readiness(int(bound[0]["HostPort"])) if bound else (0, {})
        if bound and status == 200:
            return int(bound[0]["HostPort"]), waited
        if status:  # it listens, so it has tried to load its one bundle: that does not change
            raise RefusedError(f"the container is not ready: {answer.get('reason', status)}")
        time.sleep(POLL_S)
    raise RefusedError(f"the container was not ready after {timeout_s:g} s: {_last(engine, name)}.")


def _last(engine: Engine, name: str) -> str:
    return reason(engine.log(name))
