"""A sample of a MongoDB collection: documents drawn by the server, their fields as columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pyarrow as pa
from bson import ObjectId
from bson.decimal128 import Decimal128

from tabular.contract import category_text
from tabular.errors import ConfigError, DataError, did_you_mean, listed
from tabular.mongo.errors import server_name
from tabular.mongo.reading import ANSWER_S, connect
from tabular.proposal.sample import SAMPLE_ROWS, Sample
from tabular.settings import Source

SAMPLE_DOCUMENTS = SAMPLE_ROWS // 2
MAX_DEPTH = 3


def read_collection(address: str) -> Sample:
    """Take a sample of a collection.

    Args:
        address: mongodb://HOST/DATABASE.COLLECTION or mongodb://HOST/DATABASE?collection=NAME;
            user and password go to the server and nowhere else.

    Raises:
        ConfigError: The address names no collection, or the server refuses it.
        DataError: There is no such collection, or nothing in it.
        StoreError: No server answers.
    """
    uri, database, collection = _parts(address)
    source = Source(kind="mongodb", database=database, collection=collection)
    where = f"{server_name(uri)}/{database}.{collection}"
    with connect(uri, source) as found:
        total = found.estimated_document_count()
        if not total:
            names = sorted(found.database.list_collection_names())
            hint = did_you_mean(collection, names)
            raise DataError(
                f"{where}: there is no such collection, or nothing in it{hint}; database "
                f"'{database}' has {listed(names) if names else 'none'}."
            )
        stages: list[dict[str, Any]] = []
        if total > SAMPLE_DOCUMENTS:
            stages = [{"$sample": {"size": SAMPLE_DOCUMENTS}}]
        stages.append({"$sort": {"_id": 1}})
        documents = list(found.aggregate(stages, maxTimeMS=ANSWER_S * 1000, allowDiskUse=True))
    rows = _columns(documents)
    return Sample(
        rows=rows,
        n_rows=max(total, len(documents)),
        is_whole=not stages[1:],
        source={"kind": "mongodb", "database": database, "collection": collection},
        where=where,
        note=f"{len(documents):,} of about {total:,} documents were drawn" if stages[1:] else "",
    )


def _parts(address: str) -> tuple[str, str, str]:
    """Address of the server, database, collection."""
    parts = urlsplit(address)
    options = dict(parse_qsl(parts.query))
    database, _, collection = parts.path.strip("/").partition(".")
    collection = options.pop("collection", collection)
    if not database or not collection:
        raise ConfigError(
            "--init: the address names no collection; write "
            "mongodb://HOST:PORT/DATABASE.COLLECTION, or /DATABASE?collection=NAME."
        )
    query = f"?{urlencode(options)}" if options else ""
    uri = f"{parts.scheme}://{parts.netloc}/{query}"
    server_name(uri)  # refuses what is no address, without showing it
    return uri, database, collection


def _columns(documents: list[dict[str, Any]]) -> pa.Table:
    """Fields in the order in which they are met; those within a document by their path."""
    rows = [dict(_flat(document)) for document in documents]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: _array([row.get(name) for row in rows]) for name in names})


def _flat(document: Mapping[str, Any], prefix: str = "", depth: int = 1) -> Iterator[Any]:
    for key, value in document.items():
        if isinstance(value, Mapping) and depth < MAX_DEPTH:
            yield from _flat(value, f"{prefix}{key}.", depth + 1)
        elif key != "_id" or prefix:
            yield f"{prefix}{key}", value


def _array(values: list[Any]) -> pa.Array:
    """Values of one kind as their own type, of several as texts; lists as they are."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, (int, float)) for value in known):
        is_bool = all(isinstance(value, bool) for value in known)
        is_whole = all(isinstance(value, int) for value in known)
        kind = pa.bool_() if is_bool else pa.int64() if is_whole else pa.float64()
        return pa.array(values, kind)
    if known and all(isinstance(value, dt.datetime) for value in known):
        return pa.array(values, pa.timestamp("ms"))
    if any(isinstance(value, (list, Mapping)) for value in known):
        return pa.array([[str(value)] if value is not None else None for value in values])
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    return str(value) if isinstance(value, ObjectId) else category_text(value)
