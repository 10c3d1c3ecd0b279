"""The host's engine by its command line, and how a container runs in production."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .errors import HostError

TMP_MB = 64
# The image writes under /tmp only, needs no capability, and starts some 40 threads. --init, since
# a process with number 1 ignores SIGTERM until it has set its handlers.
HARDENED = (
    "--init",
    "--read-only",
    f"--tmpfs=/tmp:rw,noexec,nosuid,size={TMP_MB}m,mode=1777",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--pids-limit=256",
)  # fmt: skip
PORT = 8000  # inside; the Dockerfile says so too
STOP_S = 30  # a container that was asked to end drains its requests first
TIMEOUT_S = 300


@dataclass(frozen=True)
class Docker:
    """The engine's client. `config` is the folder of its credentials, None the user's.

    `lock` is an open file that every command inherits: while a command lives on whose release was
    killed, the lock is not free.
    """

    lock: int
    config: Path | None = None

    def call(self, *arguments: str, what: str) -> str:
        """Run one command to its end and return what it printed.

        Raises:
            HostError: It failed, or did not end in time.
        """
        done = self._run(*arguments)
        if done.returncode:
            raise HostError(f"docker: {what} failed: {_reason(done.stderr or done.stdout)}.")
        return done.stdout.strip()

    def tries(self, *arguments: str) -> bool:
        """Whether a command went well, where it may as well not."""
        return self._run(*arguments).returncode == 0

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """What the engine knows of a container or an image; empty where there is none."""
        done = self._run(kind, "inspect", name)
        found: list[dict[str, Any]] = [] if done.returncode else json.loads(done.stdout)
        return found[0] if found else {}

    def log(self, container: str) -> str:
        """The line of a container's last ones that says what was wrong."""
        done = self._run("logs", "--tail", "20", container)
        return _reason(done.stdout + done.stderr)

    def remove(self, container: str) -> None:
        """Let a container end its requests, then remove it; it need not be there."""
        self._run("stop", f"--time={STOP_S}", container)
        self._run("rm", "--force", "--volumes", container)

    def with_config(self, folder: Path) -> Docker:
        """The same client with credentials of another folder."""
        return replace(self, config=folder)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        own = {"DOCKER_CONFIG": str(self.config)} if self.config else {}
        try:
            return subprocess.run(  # noqa: S603  # the engine's client, with words of ours
                ["docker", *arguments],  # noqa: S607  # where the host's PATH has it
                env={**os.environ, **own},
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                pass_fds=(self.lock,),
                timeout=TIMEOUT_S,
            )
        except FileNotFoundError as error:
            raise HostError("there is no docker on this host's PATH; install it.") from error
        except subprocess.TimeoutExpired as error:
            words = " ".join(arguments[:2])
            raise HostError(f"docker {words} did not end within {TIMEOUT_S} s.") from error


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marked = [line for line in lines if "error" in line.lower()]
    return ((marked or lines or ["it said nothing"])[-1]).rstrip(".")[:300]
