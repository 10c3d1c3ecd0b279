"""The order of `_id`, in which a collection is read and taken up again after a lost cursor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bson

# BSON's types by the byte that stands for them, in the order in which MongoDB sorts them: an `_id`
# may have any of these. A comparison with a value of one group finds none of another.
SORTED_TYPES: tuple[dict[int, str], ...] = (
    {0x0A: "null"},
    {0x01: "double", 0x10: "int", 0x12: "long", 0x13: "decimal"},
    {0x02: "string", 0x0E: "symbol"},
    {0x03: "object"},
    {0x05: "binData"},
    {0x07: "objectId"},
    {0x08: "bool"},
    {0x09: "date"},
    {0x11: "timestamp"},
    {0x7F: "maxKey"},
)
TYPE_BYTE = 4  # of a document: after its length


def query_after(last: object, query: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a query's documents that sorts after an `_id`, whatever types `_id` has."""
    kind = bson.encode({"_id": last})[TYPE_BYTE]
    group = next((place for place, types in enumerate(SORTED_TYPES) if kind in types), -1)
    later = [name for types in SORTED_TYPES[group + 1 :] for name in types.values()]
    beyond = {"$or": [{"_id": {"$gt": last}}, {"_id": {"$type": later}}]}
    return {"$and": [dict(query), beyond if later else {"_id": {"$gt": last}}]}


def last_document(reply: bytes) -> bytes:
    """The last of a reply's documents."""
    *_, start, end = document_bounds(reply)
    return reply[start:end]


def document_bounds(reply: bytes) -> list[int]:
    """Where n documents begin, and the end, n + 1 places: each starts with its own length."""
    bounds = [0]
    while bounds[-1] < len(reply):
        start = bounds[-1]
        bounds.append(start + int.from_bytes(reply[start : start + TYPE_BYTE], "little"))
    return bounds
