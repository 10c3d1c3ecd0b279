"""The address of a log in MongoDB without its login, which is what the code passes on and shows.

The login stays in the environment, where the driver's wrapper finds it: as boto3 does for S3. Needs
no driver.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from tabular.errors import ConfigError

VARIABLE = "BENTOLINE_PREDICTION_LOG"
SCHEMES = ("mongodb://", "mongodb+srv://")
DATABASE = "bentoline"
_ADDRESS = re.compile(
    r"(?P<scheme>mongodb(?:\+srv)?://)(?:[^@/?]*@)?(?P<hosts>[\w.\-:,\[\]]+)"
    r"(?:/(?P<database>[\w\-]*))?(?:\?[^@]*)?"
)


class Parts(NamedTuple):
    """What of an address is no secret."""

    scheme: str
    hosts: str
    database: str


def is_mongo(location: str) -> bool:
    """Whether a log lies in MongoDB."""
    return location.startswith(SCHEMES)


def parts_of(uri: str) -> Parts:
    """Scheme, hosts and database (`bentoline` where none is named) of an address.

    Raises:
        ConfigError: It is no MongoDB address. It is not shown: it may hold a password.
    """
    found = _ADDRESS.fullmatch(uri)
    if found is None:
        raise ConfigError(
            f"{VARIABLE}: not a MongoDB address; it must read "
            "mongodb://user:password@host:27017/database, special characters of user and password "
            "as %XX."
        )
    return Parts(found["scheme"], found["hosts"], found["database"] or DATABASE)


def location_of(uri: str) -> str:
    """The address without login and options.

    Raises:
        ConfigError: It is no MongoDB address.
    """
    scheme, hosts, database = parts_of(uri)
    return f"{scheme}{hosts}/{database}"


def uri_of(location: str, environ: Mapping[str, str] = os.environ) -> str:
    """The address with the login and the options that the environment has for a location."""
    named = environ.get(VARIABLE, "")
    return named if is_mongo(named) and location_of(named) == location else location
