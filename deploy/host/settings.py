"""What a host says of itself, and what a revision says of its release."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from .errors import HostError

HOST_FILE = Path("/etc/bentoline/host.json")  # another: BENTOLINE_HOST_FILE
RELEASE, GOLDEN = "release.json", "golden.json"  # in a revision


@dataclass(frozen=True)
class Host:
    """One host; every value has a default, so that the file may be missing.

    `port` is the proxy's, 0 the one that the release names; the containers have the next three, on
    the loopback. `environment` is a file of variables for the container, such as BENTOLINE_TOKEN.
    `ready_s` is how long a new container may take until it is ready.
    """

    name: str = "bentoline"
    state: str = "/var/lib/bentoline"
    address: str = "0.0.0.0"  # noqa: S104  # the load balancer asks from outside
    port: int = 0
    sites: str = "/etc/nginx/conf.d"
    nginx: tuple[str, ...] = ("nginx",)
    environment: str = "/etc/bentoline/container.env"
    ready_s: float = 15.0

    @classmethod
    def read(cls, file: Path) -> Host:
        """Read the host's file, where there is one.

        Raises:
            HostError: It is no JSON object, or has an unknown key.
        """
        if not file.exists():
            return cls()
        found = _checked(cls, file)
        if "nginx" in found:
            found["nginx"] = tuple(found["nginx"])
        return cls(**found)


@dataclass(frozen=True)
class Release:
    """One image, and what it must do before it serves.

    `region` is ECR's, empty where the engine's own credentials are good for the registry. `golden`
    has records with the label and the numbers that answer them.
    """

    problem: str
    image: str
    port: int = 8000
    region: str = ""
    max_latency_ms: float = 200.0
    golden: tuple[dict[str, Any], ...] = ()

    @classmethod
    def read(cls, revision: Path) -> Release:
        """Read a revision's release and its golden rows.

        Raises:
            HostError: A file is missing, or is not what it should be.
        """
        found = _checked(cls, revision / RELEASE)
        return cls(**found, golden=tuple(_json(revision / GOLDEN)))


Read = TypeVar("Read", Host, Release)


def _checked(kind: type[Read], file: Path) -> dict[str, Any]:
    found = _json(file)
    allowed = [field.name for field in fields(kind)]
    if not isinstance(found, dict) or not set(found) <= set(allowed):
        raise HostError(f"{file}: it must be an object with keys of {allowed}.")
    return found


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HostError(
            f"{file}: it cannot be read ({error}); deploy the release again."
        ) from error
