"""The prediction log's place, wherever it is: written as the service does, read as --monitor."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from pipelines.doctor import machine, servers
from tabular.prediction_log.mongo_location import VARIABLE, is_mongo


def place_of_log(location: str) -> str:
    """Look at a folder, s3://bucket/prefix or mongodb://host/database.

    Raises:
        BentolineError: The first thing that is wrong, and its fix.
    """
    if is_mongo(location):
        return _in_mongodb(location)
    if location.startswith("s3://"):
        from pipelines.doctor.object_store import place_in_s3  # boto3 costs half a second

        return place_in_s3(location)
    return machine.writable(Path(location), VARIABLE)


def _in_mongodb(location: str) -> str:
    """Read, write and drop a collection of its own."""
    from tabular.prediction_log.documents import connected  # the driver costs 0.2 s

    with connected(location, servers.TIMEOUT_S * 1000) as database:
        probe = database[f"doctor.{uuid4().hex}"]
        probe.find_one()
        probe.insert_one({"_id": 1})
        probe.drop()
    return f"{location} can be read and written"
