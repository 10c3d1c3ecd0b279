"""The container engine, spoken to by its own command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabular.errors import BentolineError, ConfigError

# Where Debian's client lies. It has BuildKit built in; one earlier on PATH may lack its plugin.
DEBIAN = Path("/usr/bin/docker")
FIX = "run `make engine`, or start docker"


class EngineError(BentolineError):
    """The engine did not do what it was asked; the sentence ends with what it said."""


@dataclass(frozen=True)
class Engine:
    """A client whose engine answers. `config` is the folder of its credentials, None the user's."""

    cli: Path
    config: Path | None = field(default=None, repr=False)

    def call(self, *arguments: str, what: str) -> str:
        """Run one command to its end and return what it printed.

        Raises:
            EngineError: It failed; `what` says at what, and the engine's last line why.
        """
        done = _run(self.cli, *arguments, config=self.config)
        if done.returncode:
            raise EngineError(f"engine: {what} failed: {reason(done.stderr or done.stdout)}")
        return done.stdout.strip()

    def tries(self, *arguments: str) -> bool:
        """Whether a command went well, where it may as well not."""
        return _run(self.cli, *arguments, config=self.config).returncode == 0

    def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        """What the engine knows of an `image` or `container`; None where there is none."""
        done = _run(self.cli, kind, "inspect", name, config=self.config)
        found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
        return found[0] if found else None

    def log(self, container: str) -> str:
        """The last lines that a container printed."""
        done = _run(self.cli, "logs", "--tail", "20", container, config=self.config)
        return done.stdout + done.stderr

    def image_id(self, image: str) -> str:
        """The sha256 of an image's configuration, which names all of its content."""
        return self.call(
            "image", "inspect", "--format", "{{.Id}}", image, what=f"looking up {image}"
        )

    def size_mb(self, image: str) -> int:
        """The size of all of an image's layers, in millions of bytes."""
        found = self.inspect("image", image)
        return round(found["Size"] / 1e6) if found else 0

    def with_config(self, folder: Path) -> Engine:
        """The same engine with credentials of another folder."""
        return Engine(self.cli, folder)


def find_engine(environ: Mapping[str, str]) -> Engine:
    """The first client on PATH that can build, once its engine answers.

    Raises:
        ConfigError: There is no such client, or no engine answers it.
    """
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    clients = [Path(cli) for folder in folders if (cli := shutil.which("docker", path=folder))]
    client = next((cli for cli in (*clients, DEBIAN) if _can_build(cli)), None)
    if client is None:
        found = f"{clients[0]} has no BuildKit" if clients else "there is no docker on PATH"
        raise ConfigError(f"--deploy: {found}; {FIX}.")
    answer = _run(client, "version", "--format", "{{.Server.Version}}")
    if answer.returncode:
        raise ConfigError(f"--deploy: no engine answers {client} ({reason(answer.stderr)}); {FIX}.")
    return Engine(client)


def reason(output: str) -> str:
    """The line of an output that says what was wrong, at most 300 characters of it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marked = [line for line in lines if "error" in line.lower()]
    return ((marked or lines or ["it said nothing"])[-1]).rstrip(".")[:300]


def _can_build(cli: Path) -> bool:
    """Clients before 23 have BuildKit built in, later ones need the plugin buildx."""
    if not cli.is_file():
        return False
    version = _run(cli, "--version").stdout.removeprefix("Docker version ")
    major = version.partition(".")[0]
    return (major.isdecimal() and int(major) < 23) or _run(cli, "buildx", "version").returncode == 0


def _run(
    cli: Path, *arguments: str, config: Path | None = None
) -> subprocess.CompletedProcess[str]:
    own = {"DOCKER_CONFIG": str(config)} if config else {}
    return subprocess.run(  # noqa: S603  # the engine's client, with words of ours
        [str(cli), *arguments],
        env={**os.environ, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain", **own},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
