"""A log in MongoDB: one document a row, in a collection of the problem's answers or outcomes.

    {_id: "20260301T115959Z-1a2b3c4d-000001.000007", at, request_id, row, version, ..., in: {...}}

An `_id` is the file's name and the row's place in it: what is sent twice is there once, and sorted
by it rows lie as in the files. Times have milliseconds, as every date of MongoDB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
)

from tabular.errors import ConfigError, StoreError
from tabular.prediction_log.mongo_location import VARIABLE, parts_of, uri_of
from tabular.prediction_log.names import INPUT, LABELS

CONNECT_MS, ANSWER_MS = 5_000, 60_000
INSERT_ROWS = 1_000
REFUSED_LOGINS = (13, 18)
DUPLICATE_KEY = 11000

Document = dict[str, Any]
Documents = Collection[Document]


@contextmanager
def opened(location: str, folder: str) -> Iterator[Documents]:
    """The collection for what lies in `folder` elsewhere: `predictions.NAME` or `labels.NAME`.

    Raises:
        ConfigError: The address, the user or the password is refused.
        StoreError: No server answers, or it fails.
    """
    try:
        client: MongoClient[Document] = MongoClient(
            uri_of(location),
            serverSelectionTimeoutMS=CONNECT_MS,
            connectTimeoutMS=CONNECT_MS,
            socketTimeoutMS=ANSWER_MS,
            tz_aware=True,
        )
        with client:
            yield client[parts_of(location).database][_name(folder)]
    except (PyMongoError, OSError) as error:  # a file of certificates may be missing
        raise _sentence(error, location) from None  # the cause may show the address


def insert(
    rows: Documents, stem: str, columns: Sequence[str], values: Iterator[Sequence[Any]]
) -> None:
    """Insert the rows of one file; those that are there already stay as they are."""
    documents = (_document(f"{stem}.{place:06}", columns, row) for place, row in enumerate(values))
    while many := list(islice(documents, INSERT_ROWS)):
        try:
            rows.insert_many(many, ordered=False)
        except BulkWriteError as error:
            if any(one.get("code") != DUPLICATE_KEY for one in error.details["writeErrors"]):
                raise
            if error.details.get("writeConcernErrors"):
                raise


def stem_of(document: Document) -> str:
    """The name of the file that a row came from."""
    return str(document["_id"]).partition(".")[0]


def value_of(document: Document, column: str) -> Any:
    """What a row has in a column of the log."""
    if column.startswith(INPUT):
        return document.get("in", {}).get(column.removeprefix(INPUT))
    return document.get(column)


def columns_of(document: Document) -> list[str]:
    """The columns of the log that a row has, in order."""
    own = [name for name in document if name not in ("_id", "in")]
    return own + [INPUT + name for name in document.get("in", {})]


def _document(name: str, columns: Sequence[str], values: Sequence[Any]) -> Document:
    given = dict(zip(columns, values, strict=True))
    inputs = {k.removeprefix(INPUT): v for k, v in given.items() if k.startswith(INPUT)}
    answer = {k: v for k, v in given.items() if not k.startswith(INPUT)}
    return {"_id": name, **answer, **({"in": inputs} if inputs else {})}


def _name(folder: str) -> str:
    kind = LABELS if folder.startswith(f"{LABELS}/") else "predictions"
    return f"{kind}.{folder.rpartition('=')[2]}"


def _sentence(error: Exception, location: str) -> ConfigError | StoreError:
    said = " ".join(str(error).partition(", full error")[0].partition(", Timeout:")[0].split())[
        :160
    ]
    if isinstance(error, ConnectionFailure):
        return StoreError(
            f"{location}: no MongoDB server answers; check {VARIABLE}, that the server runs, and, "
            "where it speaks TLS only, add ?tls=true."
        )
    if isinstance(error, OperationFailure) and error.code in REFUSED_LOGINS:
        return ConfigError(
            f"{location}: the server refuses this user here ({said}); correct user and password "
            f"in {VARIABLE} (?authSource=NAME where it is kept elsewhere), and grant it readWrite."
        )
    if isinstance(error, (ConfigurationError, OSError)):
        return ConfigError(
            f"{location}: cannot be used ({type(error).__name__}); check the options in {VARIABLE}."
        )
    return StoreError(f"{location}: the server failed ({said}); repeat.")
