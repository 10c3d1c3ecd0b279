"""The host's nginx: which of two containers answers is one file, asked for at every request.

A reload of nginx closes idle connections, and a client that writes to one at that moment loses its
request; a file that appears or goes loses none (docs/adr/0019).
"""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import HostError
from .settings import Host

BLUE, GREEN = "blue", "green"
SLOT_HEADER = "X-Bentoline-Slot"
SITE = """\
# Written by a release of {name}. {marker} says which of both answers.
upstream {name}-blue {{ server 127.0.0.1:{blue}; }}
upstream {name}-green {{ server 127.0.0.1:{green}; }}
server {{
    listen {address}:{port};
    set $slot blue;
    if (-f {marker}) {{ set $slot green; }}
    location / {{
        proxy_pass http://{name}-$slot;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        # Sizes and times are limited by the service, which knows its problem's.
        client_max_body_size 0;
        proxy_request_buffering off;
        proxy_read_timeout 75s;
        add_header {header} $slot always;
    }}
}}
"""


@dataclass(frozen=True)
class Proxy:
    """One problem's site. `state` is the problem's folder on this host."""

    host: Host
    name: str
    state: Path
    port: int

    @property
    def marker(self) -> Path:
        """There while green answers."""
        return self.state / GREEN

    @property
    def active(self) -> str:
        """The slot that answers."""
        return GREEN if self.marker.exists() else BLUE

    @property
    def idle(self) -> str:
        """The other one."""
        return BLUE if self.active == GREEN else GREEN

    def port_of(self, slot: str) -> int:
        """Where the slot's container listens on the loopback."""
        return self.port + (1 if slot == BLUE else 2)

    def check(self) -> None:
        """Refuse a host whose proxy does not run, or whose port somebody else has.

        Raises:
            HostError: It is so.
        """
        if not self._nginx("-s", "reopen"):
            raise HostError("the proxy does not run; start it (systemctl enable --now nginx).")
        if not self._site.exists() or self._text() != self._site.read_text(encoding="utf-8"):
            check_free(self.host.address, self.port)

    def configure(self) -> None:
        """Write the site where it is new or changed; the one before it stays where nginx refuses.

        Raises:
            HostError: nginx does not take it.
        """
        before = self._site.read_text(encoding="utf-8") if self._site.exists() else None
        if before == self._text():
            return
        _write(self._site, self._text())
        if self._nginx("-t") and self._nginx("-s", "reload"):
            return
        if before is None:
            self._site.unlink()
        else:
            _write(self._site, before)
        raise HostError(f"nginx does not take {self._site}; see what `nginx -t` says there.")

    def answer_by(self, slot: str) -> None:
        """Let the slot answer from the next request on: one rename, or one unlink."""
        if slot == GREEN:
            _write(self.marker, "")
        else:
            self.marker.unlink(missing_ok=True)
            _sync(self.state)

    @property
    def _site(self) -> Path:
        return Path(self.host.sites) / f"{self.name}.conf"

    def _text(self) -> str:
        return SITE.format(
            name=self.name,
            marker=self.marker,
            address=self.host.address,
            port=self.port,
            blue=self.port_of(BLUE),
            green=self.port_of(GREEN),
            header=SLOT_HEADER,
        )

    def _nginx(self, *arguments: str) -> bool:
        try:
            done = subprocess.run(  # noqa: S603  # the host's proxy, with words of ours
                [*self.host.nginx, *arguments], capture_output=True, check=False, timeout=30
            )
        except FileNotFoundError as error:
            raise HostError("there is no nginx on this host's PATH; install it.") from error
        return done.returncode == 0


def check_free(address: str, port: int) -> None:
    """Refuse a port that somebody listens on.

    Raises:
        HostError: It is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise HostError(
                f"port {port} of this host is taken; end what listens on it, or give another port "
                "in the host's file."
            ) from error


def _write(file: Path, text: str) -> None:
    """Let a file appear whole or not at all."""
    new = file.with_name(f".{file.name}.new")
    with new.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(new, file)
    _sync(file.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
