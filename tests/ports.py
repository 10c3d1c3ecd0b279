"""Waiting until a server that a test started answers at its port."""

from __future__ import annotations

import socket
import subprocess
import time


def wait_for_port(port: int, server: subprocess.Popen[bytes], name: str, *, within_s: int) -> None:
    """Return once the port takes connections; fail where the server ends or is too slow."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"{name} did not start")
