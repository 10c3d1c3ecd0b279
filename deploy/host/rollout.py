"""A release on one host: the new container starts beside the old one and is flipped to when fit.

Blue, green and a spare slot; at rest the active one has the only container. Each phase may be
killed: what it left is in an idle slot, which the next release empties first, and the proxy answers
from the active one all the while.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checks import Connection, check_golden, check_latency, check_ready
from .docker import HARDENED, PORT, Docker
from .ecr import authorization
from .errors import HostError, UnfitError
from .proxy import SLOT_HEADER, Proxy
from .settings import Host, Release

DRAIN_S = 1.0  # a request that chose the old container just before the flip has reached it
FLIPPED_S = 5.0
LABEL = "bentoline.image"
TITLE = "org.opencontainers.image.title=bentoline"  # and the problem; deploy/image.py labels so
LOGIN = "login"
IMAGES = "images.json"  # the last two that served
ECR_HOST = re.compile(r"^\d{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/")


@dataclass(frozen=True)
class Site:
    """One problem on one host, and what is to serve it."""

    host: Host
    release: Release
    docker: Docker
    proxy: Proxy
    environ: dict[str, str]

    def container(self, slot: str) -> str:
        """The slot's container."""
        return f"{self.proxy.name}-{slot}"

    def held(self) -> list[str]:
        """The idle slots that have a container."""
        return [slot for slot in self.proxy.idle if self.found(slot)]

    def beside(self) -> str:
        """The idle slot that has a container; the first one where none has."""
        return (*self.held(), *self.proxy.idle)[0]

    def found(self, slot: str) -> dict[str, Any]:
        """What the engine knows of the slot's container; empty where there is none."""
        return self.docker.inspect("container", self.container(slot))

    def serves(self) -> bool:
        """Whether the release's image is what answers already."""
        found = self.found(self.proxy.active)
        labels = found.get("Config", {}).get("Labels", {})
        return bool(found) and found["State"]["Running"] and labels[LABEL] == self.release.image


def prepare(site: Site) -> None:
    """BeforeInstall: see that the host can, clear what a killed release left, pull by digest.

    Raises:
        HostError: The engine or the proxy does not run, a port is taken, or the image cannot be
            had or is of another architecture.
    """
    site.docker.call("version", what="asking the engine")
    site.proxy.check()
    _clear(site)
    if site.serves():
        return
    site.proxy.free_slot()
    _pull(site)
    _check_architecture(site)


def start(site: Site) -> None:
    """AfterInstall: start the new container beside the old one.

    Raises:
        HostError: It could not be started.
    """
    if site.serves():
        return
    slot = site.proxy.free_slot()
    name = site.container(slot)
    published = f"--publish=127.0.0.1:{site.proxy.port_of(slot)}:{PORT}"
    file = Path(site.host.environment)
    given = (f"--env-file={file}",) if file.exists() else ()
    with _undone(lambda: _give_up(site)):
        site.docker.call(
            "run", "--detach", f"--name={name}", "--pull=never", *HARDENED, *given, published,
            "--log-opt=max-size=10m", f"--label={LABEL}={site.release.image}", site.release.image,
            what=f"starting {site.release.image}",
        )  # fmt: skip


def switch(site: Site) -> None:
    """ApplicationStart: once the new container is ready, right and quick, let it answer.

    Raises:
        UnfitError: It is not; it is gone then, and the old one answers as before.
        HostError: nginx does not take the site.
    """
    if site.serves():
        site.proxy.configure()
        return
    slot = site.beside()
    name, port = site.container(slot), site.proxy.port_of(slot)
    with _undone(lambda: _give_up(site)):
        check_ready(site.docker, name, port, within_s=site.host.ready_s)
        _check_answers(site, Connection(port))
        site.docker.call("update", "--restart=unless-stopped", name, what=f"keeping {name}")
        site.proxy.configure()
    site.proxy.answer_by(slot)


def finish(site: Site) -> None:
    """ValidateService: hold the proxy's answers against the bundle's, then end the old container.

    Raises:
        UnfitError: They differ; the old one answers again then.
    """
    slot = site.proxy.active
    with _undone(lambda: _go_back(site)):
        _check_flipped(site, slot)
        _check_answers(site, Connection(site.proxy.port))
    _keep_images(site)
    if site.held():
        time.sleep(DRAIN_S)
        _empty(site)
    _prune(site)


PHASES: dict[str, tuple[Callable[[Site], None], ...]] = {
    "before-install": (prepare,),
    "after-install": (start,),
    "application-start": (switch,),
    "validate-service": (finish,),
    "release": (prepare, start, switch, finish),
}


def _clear(site: Site) -> None:
    """Remove what a killed release left; at rest there is none of it."""
    _empty(site)
    shutil.rmtree(site.proxy.state / LOGIN, ignore_errors=True)
    for half in site.proxy.state.glob(".*.new"):
        half.unlink()


def _empty(site: Site) -> None:
    """Remove the containers of the idle slots."""
    for slot in site.held():
        site.docker.remove(site.container(slot))


@contextmanager
def _undone(undo: Callable[[], None]) -> Iterator[None]:
    """Undo what is done inside where it fails."""
    try:
        yield
    except (HostError, OSError, KeyboardInterrupt):
        undo()
        raise


def _give_up(site: Site) -> None:
    """Remove the container that is not to serve, and its image."""
    _empty(site)
    _prune(site)


def _go_back(site: Site) -> None:
    """Flip back, where there is something to flip back to."""
    slot = site.beside()
    old = site.found(slot)
    if old and old["State"]["Running"]:
        site.proxy.answer_by(slot)
        time.sleep(DRAIN_S)
        _give_up(site)


def _pull(site: Site) -> None:
    """Pull the image; the token lies in a folder that is gone afterwards."""
    image = site.release.image
    if site.docker.inspect("image", image):
        return
    region = site.release.region
    if not region and (found := ECR_HOST.match(image)):
        region = found[1]
    if not region:
        site.docker.call("pull", "--quiet", image, what=f"pulling {image}")
        return
    folder = site.proxy.state / LOGIN
    file = folder / "config.json"
    folder.mkdir(mode=0o700)
    try:
        auth = {"auth": authorization(region, site.environ)}
        file.touch(mode=0o600)
        file.write_text(json.dumps({"auths": {image.partition("/")[0]: auth}}), encoding="utf-8")
        own = site.docker.with_config(folder)
        own.call("pull", "--quiet", image, what=f"pulling {image}")
    finally:
        shutil.rmtree(folder)


def _check_architecture(site: Site) -> None:
    image = site.docker.inspect("image", site.release.image)
    own = site.docker.call("version", "--format={{.Server.Arch}}", what="asking the engine")
    if image["Architecture"] != own:
        _prune(site)
        raise HostError(
            f"{site.release.image} is made for {image['Architecture']} and this host is {own}; "
            "build it on a machine like the hosts."
        )


def _check_answers(site: Site, connection: Connection) -> None:
    golden = site.release.golden
    if golden:  # else the service has answered its own before it was ready
        check_golden(connection, golden)
        check_latency(connection, golden, site.release.max_latency_ms)
    connection.close()


def _check_flipped(site: Site, slot: str) -> None:
    """Wait until the proxy answers from a slot: the first release makes it listen just before."""
    begun = time.monotonic()
    while time.monotonic() - begun < FLIPPED_S:
        connection = Connection(site.proxy.port, timeout_s=2.0)
        try:
            status, _ = connection.ask("/readyz")
        except (OSError, ValueError):
            time.sleep(0.05)
            continue
        finally:
            connection.close()
        if status == 200 and connection.headers.get(SLOT_HEADER) == slot:
            return
        time.sleep(0.05)
    raise UnfitError(
        f"port {site.proxy.port} does not answer from {slot}; nginx must be allowed to read "
        f"{site.proxy.state}, and no other site may have the port."
    )


def _keep_images(site: Site) -> None:
    """Write down which two images stay: what serves now, and what served before it."""
    kept = [site.release.image, *(image for image in _kept(site) if image != site.release.image)]
    new = site.proxy.state / f".{IMAGES}.new"
    new.write_text(json.dumps(kept[:2]), encoding="utf-8")
    new.replace(site.proxy.state / IMAGES)


def _kept(site: Site) -> list[str]:
    file = site.proxy.state / IMAGES
    try:
        return [str(image) for image in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError):  # none yet, or the disk was full once: it is written anew
        return []


def _prune(site: Site) -> None:
    """Remove the problem's images of this repository but the two kept and what a container runs."""
    repository = site.release.image.partition("@")[0]
    listed = site.docker.call(
        "image", "ls", "--digests", "--format={{.Repository}}@{{.Digest}}",
        f"--filter=label={TITLE} {site.release.problem}", repository,
        what="listing images",
    ).splitlines()  # fmt: skip
    for image in set(listed) - set(_kept(site)):
        if not image.endswith("@<none>"):
            site.docker.tries("rmi", image)  # refused where a container runs it
