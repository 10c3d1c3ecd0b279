"""Where the environment wants the prediction log: the same for the service and the commands."""

from __future__ import annotations

from pathlib import Path

from tabular.errors import ConfigError
from tabular.prediction_log.mongo_location import VARIABLE, is_mongo, location_of

FOLDER = "predictions"  # in the home
OFF = "off"


def log_location(named: str, home: Path | None) -> str:
    """Read BENTOLINE_PREDICTION_LOG.

    Args:
        named: A folder, s3://bucket/prefix, mongodb://user:password@host/database, `off` or "".
        home: Has the log where none is named; there is none then if None.

    Returns:
        A folder's full path, s3://bucket/prefix, or mongodb://host/database, whose login stays in
        the environment; "" where nothing is logged.

    Raises:
        ConfigError: It is no such address. It is not shown: it may hold a password.
    """
    if not named:
        return str(home / FOLDER) if home else ""
    if named == OFF:
        return ""
    if is_mongo(named):
        return location_of(named)
    scheme, separator, _ = named.partition("://")
    if separator and scheme != "s3":
        raise ConfigError(
            f"{VARIABLE}: a log cannot lie at {scheme}://; name a folder, s3://bucket/prefix, "
            "mongodb://user:password@host/database, or off."
        )
    return named if separator else str(Path(named).resolve())
