"""An engine, a registry and a proxy in a network of their own, on a disk of a fixed size.

So that a test may fill the disk or end the engine without a word to anybody else's containers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from deploy.engine import Engine
from deploy.host.proxy import SLOTS
from tests.e2e.hosts import NGINX
from tests.e2e.small_release import command, finished, push_image

REGISTRY, PROXY, PORT = 5000, 7999, 8000  # of a network where nobody else is
DISK = "700m"
ASK = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=10).status)
"""
STORE = """version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@dataclass
class OwnEngine:
    """One host with an engine that a test may break."""

    folder: Path
    network: str
    base: str
    engine: Engine
    environment: dict[str, str]
    daemon: subprocess.Popen[bytes] | None = None
    n_images: int = field(default=0)

    @property
    def disk(self) -> Path:
        """Where the engine keeps its images."""
        return self.folder / "disk"

    def inside(self, *words: str) -> list[str]:
        """A command in the host's network."""
        return ["nsenter", f"--net=/run/netns/{self.network}", *words]

    def start(self) -> None:
        """Start the engine as deploy/terraform/host.sh sets it up, and wait until it answers."""
        self.daemon = subprocess.Popen(
            self.inside(
                "dockerd", "--live-restore", "--userland-proxy=false",
                f"--host={self.environment['DOCKER_HOST']}", f"--data-root={self.disk}",
                f"--exec-root={self.folder / 'exec'}", f"--pidfile={self.folder / 'pid'}",
            ),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while not self.docker("version"):
            assert self.daemon.poll() is None, "dockerd did not start"

    def stop(self, *, at_once: bool = False) -> None:
        """End the engine; its containers live on."""
        assert self.daemon is not None
        (self.daemon.kill if at_once else self.daemon.terminate)()
        self.daemon.wait()
        self._end_containerd()

    def _end_containerd(self) -> None:
        """Wait for the end of what a killed engine leaves, and forget its number.

        It dies with the engine, but a moment later, and where nobody asks how it ended its number
        stays: a new engine would take it for alive and wait for it in vain.
        """
        file = self.folder / "exec" / "containerd" / "containerd.pid"
        if file.exists():
            process = psutil.Process(int(file.read_text()))
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                pass
            file.unlink()

    def docker(self, *words: str) -> bool:
        """Whether a command of the engine's client went well."""
        done = subprocess.run(
            ["docker", *words], env=self.environment, capture_output=True, check=False
        )
        return done.returncode == 0

    def containers(self) -> list[str]:
        """The images that run."""
        shown = '--format={{.Label "bentoline.image"}}'
        done = subprocess.check_output(
            ["docker", "ps", "--all", shown], env=self.environment, text=True
        )
        return done.split()

    def forwarded(self) -> list[str]:
        """The engine's rules for ports of the host."""
        listed = subprocess.check_output(
            self.inside("iptables", "--table=nat", "--wait", "--list-rules", "DOCKER"), text=True
        )
        return [line for line in listed.splitlines() if "DNAT" in line]

    def image(self, entry: str = "", files: dict[str, bytes] | None = None) -> str:
        """A new image in the registry, forgotten by the engine."""
        self.n_images += 1
        folder = self.folder / f"image{self.n_images}"
        own = {"entry": entry} if entry else {}
        repository = f"127.0.0.1:{REGISTRY}/small"
        return push_image(self.engine, self.base, repository, folder, files=files, **own)

    def command(self, image: str) -> list[str]:
        """Its release."""
        return self.inside(*command(image, self.folder))

    def release(self, image: str) -> subprocess.CompletedProcess[str]:
        """Release it, to the end."""
        return finished(self.command(image), self.environment)

    def status(self) -> str:
        """What a client is answered."""
        asked = self.inside(sys.executable, "-c", ASK, f"http://127.0.0.1:{PORT}/readyz")
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        return done.stdout.strip() or done.stderr[-300:]


@contextmanager
def own_engine(folder: Path, engine: Engine, base: str) -> Iterator[OwnEngine]:
    """Make the host; everything of it is gone at the end."""
    tools = ("ip", "nsenter", "mount", "dockerd", "docker-registry", "nginx")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"an engine of its own needs root and {missing or 'nothing else'}")
    network = f"bentoline-{os.getpid()}"
    socket = f"unix://{folder}/docker.sock"
    environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": socket, "HOME": str(folder)}
    environment["BENTOLINE_HOST_FILE"] = str(folder / "host.json")
    client = folder / "docker"
    client.write_text(f'#!/bin/sh\nexec {engine.cli} --host {socket} "$@"\n')
    client.chmod(0o755)
    made = OwnEngine(folder, network, base, Engine(client), environment)
    for name in ("disk", "sites", "state"):
        (folder / name).mkdir()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=PROXY))
    (folder / "host.json").write_text(json.dumps({
        "state": str(folder / "state"), "address": "127.0.0.1", "port": PORT, "ready_s": 60,
        "sites": str(folder / "sites"), "nginx": ["nginx", "-c", str(folder / "nginx.conf")],
        "environment": str(folder / "none.env"),
    }))  # fmt: skip
    (folder / "registry.yml").write_text(STORE.format(folder=folder / "images", port=REGISTRY))
    with ExitStack() as stack:
        _run("ip", "netns", "add", network)
        stack.callback(_run, "ip", "netns", "delete", network)
        _run(*made.inside("ip", "link", "set", "lo", "up"))
        _run("mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(made.disk))
        stack.callback(_run, "umount", "--lazy", str(made.disk))
        servers = (
            ["docker-registry", "serve", str(folder / "registry.yml")],
            ["nginx", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"],
        )
        for server in servers:
            started = subprocess.Popen(
                made.inside(*server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(started.wait)
            stack.callback(started.terminate)
        made.start()
        stack.callback(made.stop)
        with subprocess.Popen([engine.cli, "save", base], stdout=subprocess.PIPE) as saved:
            subprocess.run(
                ["docker", "load", "--quiet"],
                stdin=saved.stdout, env=environment, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        yield made
        for slot in SLOTS:
            made.docker("rm", "--force", f"bentoline-tiny-{slot}")


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
