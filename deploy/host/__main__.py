"""`python3 -m host PHASE`: one of CodeDeploy's hooks; `release` is all of them at once."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from .docker import Docker
from .errors import HostError
from .proxy import Proxy
from .rollout import PHASES, Site
from .settings import HOST_FILE, RELEASE, Host, Release

LOCK_S = 120.0


def main(arguments: list[str]) -> int:
    """Run one phase; what is wrong is one sentence, which CodeDeploy shows."""
    options = _parser().parse_args(arguments)
    try:
        host = Host.read(Path(os.environ.get("BENTOLINE_HOST_FILE") or HOST_FILE))
        release = _release(options)
        name = f"{host.name}-{release.problem}"
        state = Path(host.state) / name
        state.mkdir(parents=True, exist_ok=True)
        port = options.port or host.port or release.port
        proxy = Proxy(host, name, state, port)
        site = Site(host, release, Docker(_locked(state)), proxy, dict(os.environ))
        for phase in PHASES[options.phase]:
            phase(site)
    except HostError as error:
        print(f"bentoline: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"bentoline: {error}; the version before serves on.", file=sys.stderr)
        return HostError.exit_code
    print(f"bentoline: {options.phase} of {release.image} is done.")
    return 0


def _parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(prog="release", description=__doc__, allow_abbrev=False)
    flags.add_argument("phase", choices=PHASES)
    flags.add_argument("image", nargs="?", help="IMAGE@DIGEST, in place of the revision's")
    flags.add_argument("--problem", default="bentoline", help="with an image: what it answers for")
    flags.add_argument("--port", type=int, default=0, help="where the proxy answers")
    flags.add_argument("--revision", type=Path, default=Path(), help="release.json and golden.json")
    return flags


def _release(options: argparse.Namespace) -> Release:
    """The revision's release, or one of an image alone."""
    has_revision = (options.revision / RELEASE).exists()
    if options.image is None:
        return Release.read(options.revision)
    if "@sha256:" not in options.image:
        raise HostError(f"{options.image} is no IMAGE@sha256:DIGEST; a tag could change.")
    if not has_revision:
        return Release(problem=options.problem, image=options.image)
    return replace(Release.read(options.revision), image=options.image)


def _locked(state: Path) -> int:
    """Hold the site's lock until this process and all that it started have ended.

    Raises:
        HostError: Another release holds it for too long.
    """
    handle = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    begun = time.monotonic()
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() - begun > LOCK_S:
                raise HostError(f"another release runs at {state}; try again later.") from error
            time.sleep(0.1)
        else:
            return handle


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
