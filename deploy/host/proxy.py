"""The host's nginx: which container answers is said by files, asked for at every request.

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

BLUE, GREEN, SPARE = SLOTS = ("blue", "green", "spare")  # a file of a later one's name outranks
SLOT_HEADER = "X-Bentoline-Slot"
SITE = """\
# Written by a release of {name}. Files of {state} say which of them answers.
upstream {name}-blue {{ server 127.0.0.1:{blue}; }}
upstream {name}-green {{ server 127.0.0.1:{green}; }}
upstream {name}-spare {{ server 127.0.0.1:{spare}; }}
server {{
{listen}    set $slot blue;
    if (-f {state}/green) {{ set $slot green; }}
    if (-f {state}/spare) {{ set $slot spare; }}
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
    def active(self) -> str:
        """The slot that answers."""
        return next((slot for slot in (SPARE, GREEN) if (self.state / slot).exists()), BLUE)

    @property
    def idle(self) -> tuple[str, ...]:
        """The others, in the order in which they are taken."""
        return tuple(slot for slot in SLOTS if slot != self.active)

    def port_of(self, slot: str) -> int:
        """Where the slot's container listens on the loopback."""
        return self.port + 1 + SLOTS.index(slot)

    def free_slot(self) -> str:
        """The idle slot for a new container.

        An engine that ended while it started a container keeps that one's port until it is
        restarted, even where the container is removed; hence the third slot.

        Raises:
            HostError: The ports of all idle slots are taken.
        """
        for slot in self.idle:
            if _is_free("127.0.0.1", self.port_of(slot)):
                return slot
        ports = " and ".join(str(self.port_of(slot)) for slot in self.idle)
        raise HostError(
            f"ports {ports} of this host are taken; end what listens on them (if that is dockerd, "
            "restart it), or give another port in the host's file."
        )

    def check(self) -> None:
        """Refuse a host whose proxy does not run, or whose port somebody else has.

        Raises:
            HostError: It is so.
        """
        if not self._nginx("-s", "reopen"):
            raise HostError("the proxy does not run; start it (systemctl enable --now nginx).")
        listens = self._site.exists() and self._listen() in self._site.read_text(encoding="utf-8")
        if not listens and not _is_free(self.host.address, self.port):
            raise HostError(
                f"port {self.port} of this host is taken; end what listens on it, or give another "
                "port in the host's file."
            )

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
        """Let the slot answer from the next request on.

        One rename or one unlink decides it; the others change nothing that is answered.
        """
        if slot != BLUE:
            _write(self.state / slot, "")
        for other in (GREEN, SPARE):
            if other != slot:
                (self.state / other).unlink(missing_ok=True)
                _sync(self.state)

    @property
    def _site(self) -> Path:
        return Path(self.host.sites) / f"{self.name}.conf"

    def _listen(self) -> str:
        return f"    listen {self.host.address}:{self.port};\n"

    def _text(self) -> str:
        return SITE.format(
            name=self.name,
            state=self.state,
            listen=self._listen(),
            header=SLOT_HEADER,
            **{slot: self.port_of(slot) for slot in SLOTS},
        )

    def _nginx(self, *arguments: str) -> bool:
        try:
            done = subprocess.run(  # noqa: S603  # the host's proxy, with words of ours
                [*self.host.nginx, *arguments], capture_output=True, check=False, timeout=30
            )
        except FileNotFoundError as error:
            raise HostError("there is no nginx on this host's PATH; install it.") from error
        return done.returncode == 0


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


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
