"""Labels as they lie in a file or a collection."""

from __future__ import annotations

from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tabular.errors import ConfigError, DataError
from tabular.mongo.errors import explain
from tabular.prediction_log.labels import check_columns
from tabular.problem import Problem
from tabular.settings import Source
from tabular.tables.readers import open_table

CONNECT_MS = 5_000
ANSWER_MS = 60_000


def read_file(path: str, problem: Problem) -> list[dict[str, Any]]:
    """Every label of a CSV or Parquet file, in order.

    Raises:
        DataError: It cannot be read, or has not the columns of labels.
    """
    table = open_table(path)
    by_name = {name.strip(): name for name in table.names}
    names = check_columns(problem, by_name, where=path)
    given = [by_name[name] for name in names]
    return [
        dict(zip(names, row, strict=True))
        for batch in table.batches(given)
        for row in zip(*(batch.column(name).to_pylist() for name in given), strict=True)
    ]


def read_collection(uri: str, problem: Problem) -> list[dict[str, Any]]:
    """Every document of the problem's collection of labels.

    Raises:
        ConfigError: The YAML names no collection.
        DataError: The collection is empty.
        StoreError: The server does not answer, or refuses.
    """
    collection, database = problem.log.labels_collection, problem.source.database
    if not (collection and database):
        raise ConfigError(
            f"--labels mongodb: problem '{problem.name}' names no collection of labels; set "
            "log.labels_collection in its YAML, beside a source of kind mongodb."
        )
    source = Source(kind="mongodb", database=database, collection=collection)
    wanted = ("request_id", "row", "at", problem.target.column, "outcome")
    try:
        client: MongoClient[dict[str, Any]] = MongoClient(
            uri, serverSelectionTimeoutMS=CONNECT_MS, tz_aware=True
        )
        with client:
            found = client[database][collection].find({}, {"_id": 0} | dict.fromkeys(wanted, 1))
            documents = list(found.max_time_ms(ANSWER_MS))
    except PyMongoError as error:
        raise explain(error, uri, source) from error
    if not documents:
        raise DataError(
            f"--labels mongodb: the collection {database}.{collection} is empty; check "
            "log.labels_collection."
        )
    return documents
