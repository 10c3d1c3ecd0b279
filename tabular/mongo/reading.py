"""MongoDB: a problem's collection read whole, in order of `_id`, in typed Arrow batches.

The driver repeats a failed `find` once and a failed `getMore` never, so a lost cursor is taken up
again after the last `_id` that came. Nothing is handed on before the last document is there: no
reader of half a collection can take it for the whole (docs/adr/0011).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import bson
import pyarrow as pa
from bson import json_util
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import ConfigurationError, PyMongoError

from tabular.contract import Column
from tabular.errors import ConfigError, DataError, StoreError, did_you_mean, listed
from tabular.mongo.decode import CODEC, Decoder, Field
from tabular.mongo.errors import explain, is_passing, server_name
from tabular.mongo.ids import last_document, query_after
from tabular.settings import Source
from tabular.tables.spool import Spool

Documents = Collection[dict[str, Any]]

BATCH_ROWS = 16_384  # about 4 MB a reply; 65,536 cost half as much memory again and no less CPU
CONNECT_S = 5
ANSWER_S = 60  # the longest that the server may work on one answer
PATIENCE_S = 60  # how long a reading goes on trying without one more document
MAX_PAUSE_S = 2.0


@dataclass(frozen=True)
class Progress:
    """How far a reading is; `share` is in [0, 1], and None where the total is not known."""

    n_rows: int
    rows_per_s: float
    share: float | None


def read_batches(
    uri: str,
    source: Source,
    columns: Mapping[str, Column],
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    patience_s: float = PATIENCE_S,
) -> Iterator[pa.RecordBatch]:
    """Read the documents of a collection, sorted by `_id`, each exactly once.

    Args:
        uri: The server's address, secrets included; it appears in no message.
        source: Database, collection, query, and the fields that columns are read from.
        columns: What to read, by name; type `ignore` is not read.
        progress: Called after each reply of the server.
        patience_s: How long to go on without one more document before giving up.

    Yields:
        Batches of one schema and at most 65,536 rows: float64 for columns of type number that
        hold nothing else, string for others, null where a document lacks the field. A column that
        no document has is left out.

    Raises:
        ConfigError: The address, the user or the query is refused.
        DataError: There is no such database or collection, or nothing in it matches the query.
        StoreError: The server is away, or stays away; nothing has been yielded then.
    """
    decoder, projection = Decoder(fields_of(source, columns)), _projection(source, columns)
    with Spool() as spool, connect(uri, source) as collection:
        n_rows = 0
        total = collection.estimated_document_count() if not source.query else 0
        started = time.monotonic()
        for reply in _replies(collection, source, projection, patience_s):
            batch = decoder.decode(reply)
            spool.add(batch)
            n_rows += len(batch)
            rate = n_rows / max(time.monotonic() - started, 1e-3)
            progress(Progress(n_rows, rate, min(n_rows / total, 1.0) if total else None))
        if not n_rows:
            raise _nothing_found(collection, source, server_name(uri))
        present = [name for name in decoder.schema.names if name not in decoder.absent]
        yield from spool.batches(lambda batch: decoder.widened(batch).select(present))


@contextmanager
def connect(uri: str, source: Source) -> Iterator[Documents]:
    """Open the source's collection once the server has answered; errors become sentences.

    Raises:
        ConfigError: The address, the user or the password is wrong.
        StoreError: No server answers within five seconds.
    """
    where = server_name(uri)
    limits = {
        "serverSelectionTimeoutMS": CONNECT_S * 1000,
        "connectTimeoutMS": CONNECT_S * 1000,
        "socketTimeoutMS": (ANSWER_S + CONNECT_S) * 1000,
    }
    own: dict[str, Any] = {
        name: ms for name, ms in limits.items() if name.lower() not in uri.lower()
    }
    try:
        client: MongoClient[dict[str, Any]] = MongoClient(uri, appname="bentoline", **own)
    except (ConfigurationError, OSError) as error:  # tlsCAFile may be missing, an SRV name unknown
        reason = str(error).splitlines()[0][:160]
        raise ConfigError(f"MONGODB_URI: {where} cannot be used ({reason}).") from error
    try:
        with client:
            client.admin.command("ping")
            yield client[source.database].get_collection(source.collection, CODEC)
    except PyMongoError as error:
        raise explain(error, uri, source) from error


def fields_of(source: Source, columns: Mapping[str, Column]) -> list[Field]:
    """The fields that may hold each column: the one of `source.projection`, else of its names."""
    return [
        Field(name, column, tuple(map(_key, paths_of(source, name, column))))
        for name, column in columns.items()
        if column.type != "ignore"
    ]


def paths_of(source: Source, name: str, column: Column) -> tuple[str, ...]:
    """Where in a document a column may be, the likeliest place first; dots go deeper."""
    path = source.projection.get(name)
    return (path,) if path else (name, *column.also_named)


def _key(path: str) -> str:
    return path.replace(".", "/")


def _projection(source: Source, columns: Mapping[str, Column]) -> dict[str, Any]:
    """What the server is to send: a nested value comes flat, under a name of our own."""
    paths = [
        path
        for name, column in columns.items()
        if column.type != "ignore"
        for path in paths_of(source, name, column)
    ]
    return {"_id": 1} | {_key(path): f"${path}" if "." in path else 1 for path in paths}


def server_query(source: Source) -> dict[str, Any]:
    """The YAML's query; what YAML has no word for is said as in extended JSON, $oid or $date."""

    def moment(value: date) -> dict[str, str]:
        is_moment = isinstance(value, datetime)
        return {"$date": value.isoformat() + ("Z" if is_moment else "T00:00:00Z")}

    read: dict[str, Any] = json_util.loads(json.dumps(source.query, default=moment))
    return read


def _replies(
    collection: Documents, source: Source, projection: dict[str, Any], patience_s: float
) -> Iterator[bytes]:
    """The server's replies, each of whole documents; a lost cursor is taken up where it was."""
    query = whole = server_query(source)
    last, n_replies, failures, failing_since = b"", 0, 0, 0.0
    while True:
        try:
            if last:
                query = query_after(bson.decode(last_document(last), CODEC)["_id"], whole)
            cursor: Any = collection.find_raw_batches(
                query,
                projection,
                sort=[("_id", 1)],
                batch_size=BATCH_ROWS,
                max_time_ms=ANSWER_S * 1000,
            )
            with cursor:
                for reply in cursor:
                    if reply:
                        yield reply
                        last, n_replies, failures = reply, n_replies + 1, 0
        except PyMongoError as error:
            if not is_passing(error):
                raise
            failing_since = failing_since if failures else time.monotonic()
            failures += 1
            if time.monotonic() - failing_since > patience_s:
                raise StoreError(
                    f"{source.database}.{source.collection}: the server was lost after "
                    f"{n_replies:,} of its replies and did not come back within "
                    f"{patience_s:g} s; run the command again. Nothing was written."
                ) from error
            time.sleep(min(0.1 * 2**failures, MAX_PAUSE_S))
        else:
            return


def _nothing_found(collection: Documents, source: Source, where: str) -> DataError:
    """Why a reading gave no document; asked only then, so that reading needs no right to list."""
    database = collection.database
    names = sorted(database.list_collection_names())
    if not names:
        known = [d["name"] for d in database.client.list_databases(nameOnly=True)]
        return DataError(
            f"{where}: there is no database '{source.database}', or nothing is in it"
            f"{did_you_mean(source.database, known)}; correct source.database, or fill it with "
            "--load FILE."
        )
    if source.collection not in names:
        return DataError(
            f"{where}: database '{source.database}' has no collection '{source.collection}'"
            f"{did_you_mean(source.collection, names)}; it has {listed(names)}. Correct "
            "source.collection, or fill it with --load FILE."
        )
    if source.query and collection.find_one({}, {"_id": 1}) is not None:
        return DataError(
            f"{where}: no document of {source.database}.{source.collection} matches source.query "
            f"{source.query}; correct it in the problem's YAML, types included."
        )
    return DataError(
        f"{where}: {source.database}.{source.collection} is empty; fill it with --load FILE."
    )
