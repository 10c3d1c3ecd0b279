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
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
)

from tabular.errors import ConfigError, StoreError
from tabular.prediction_log.mongo_location import VARIABLE, parts_of, uri_of
from tabular.prediction_log.names import INPUT, LABELS

CONNECT_MS, ANSWER_MS = 5_000, 60_000
INSERT_ROWS = 1_000
UNAUTHORIZED, LOGIN_FAILED = 13, 18
DUPLICATE_KEY = 11000
ANSWERS = "predictions"
BY_REQUEST = (("request_id", 1), ("row", 1))

Document = dict[str, Any]
Documents = Collection[Document]


@contextmanager
def connected(location: str, limit_ms: int | None = None) -> Iterator[Database[Document]]:
    """The database of a log, for all of its collections by one client.

    Args:
        location: The log's address without its login.
        limit_ms: How long to wait for the server; where None, as a sender of many rows does.

    Raises:
        ConfigError: The address, the user or the password is refused.
        StoreError: No server answers, or it fails.
    """
    try:
        client: MongoClient[Document] = MongoClient(
            uri_of(location),
            serverSelectionTimeoutMS=limit_ms or CONNECT_MS,
            connectTimeoutMS=limit_ms or CONNECT_MS,
            socketTimeoutMS=limit_ms or ANSWER_MS,
            tz_aware=True,
        )
    except (PyMongoError, OSError) as error:  # a file of certificates may be missing
        raise _sentence(error, location) from None  # the cause may show the address
    try:
        with client:
            yield client[parts_of(location).database]
    except PyMongoError as error:
        raise _sentence(error, location) from None


@contextmanager
def opened(location: str, folder: str) -> Iterator[Documents]:
    """One collection of a log; raises as `connected` does."""
    with connected(location) as database:
        yield database[collection_name(folder)]


def collection_name(folder: str) -> str:
    """The collection of what lies in `folder` elsewhere: `predictions.NAME` or `labels.NAME`."""
    kind = LABELS if folder.startswith(f"{LABELS}/") else ANSWERS
    return f"{kind}.{folder.rpartition('=')[2]}"


def index_requests(answers: Documents) -> str:
    """Let the server find a request without a scan; where it can, nothing is done.

    Returns:
        What the server has against it, as a sentence, or nothing. Rows can be kept without.

    Raises:
        OperationFailure: The server does not know the user.
    """
    try:
        answers.create_index(BY_REQUEST)
    except (OperationFailure, NetworkTimeout) as error:  # of a large log it may take longer
        if isinstance(error, OperationFailure) and error.code == LOGIN_FAILED:
            raise
        return (
            f"{answers.full_name}: has no index by request_id yet ({_said(error)}), so that "
            "--trace reads the whole collection; let the user do createIndex (readWrite does), "
            f"or create it by hand: {{{', '.join(f'{name}: {way}' for name, way in BY_REQUEST)}}}."
        )
    return ""


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


def _sentence(error: Exception, location: str) -> ConfigError | StoreError:
    said = _said(error)
    if isinstance(error, ConnectionFailure):
        return StoreError(
            f"{location}: no MongoDB server answers; check {VARIABLE}, that the server runs, and, "
            "where it speaks TLS only, add ?tls=true."
        )
    if isinstance(error, OperationFailure) and error.code in (UNAUTHORIZED, LOGIN_FAILED):
        return ConfigError(
            f"{location}: the server refuses this user here ({said}); correct user and password "
            f"in {VARIABLE} (?authSource=NAME where it is kept elsewhere), and grant it readWrite."
        )
    if isinstance(error, (ConfigurationError, OSError)):
        return ConfigError(
            f"{location}: cannot be used ({type(error).__name__}); check the options in {VARIABLE}."
        )
    return StoreError(f"{location}: the server failed ({said}); repeat.")


def _said(error: Exception) -> str:
    words = str(error).partition(", full error")[0].partition(", Timeout:")[0]
    return " ".join(words.split())[:160]
