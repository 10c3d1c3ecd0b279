"""Bodies as records: JSON, CSV, or a form with a CSV in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.errors import RequestError
from service.http import Request
from tabular.contract import Column
from tabular.serving import Serving

JSON_TYPE = b"application/json"
JSON_TYPES = (b"", JSON_TYPE)  # a body without a type is taken for JSON
CSV_TYPE = b"text/csv"
FORM_TYPE = b"multipart/form-data"


class Table(NamedTuple):
    """Records of a request, and whether it was one record alone, answered by one object."""

    records: Sequence[Any]
    is_single: bool


def media_type(request: Request) -> bytes:
    """The type of the body that the client names, lower case.

    Raises:
        RequestError: It is none that is read here, is compressed, or is not UTF-8.
    """
    given = request.headers.get(b"content-type", b"")
    if given in JSON_TYPES and b"content-encoding" not in request.headers:
        return JSON_TYPE
    named, _, parameters = given.lower().partition(b";")
    named = named.strip()
    if named not in (*JSON_TYPES, CSV_TYPE, FORM_TYPE):
        raise _unread(f"content type '{shown_bytes(named)}'")
    if b"charset" in parameters and b"utf-8" not in parameters and b"utf8" not in parameters:
        raise _unread(f"'{shown_bytes(parameters)}'")
    if request.headers.get(b"content-encoding", b"identity") != b"identity":
        raise _unread("a compressed body")
    return named


def shown_bytes(raw: bytes) -> str:
    """A header's value as a message may show it."""
    return raw[:60].decode("ascii", "replace")


def _unread(what: str) -> RequestError:
    return RequestError(
        415,
        "unsupported_media_type",
        f"{what} is not read here; send application/json in UTF-8, text/csv, or a "
        "multipart/form-data upload of a CSV file.",
    )


def parse_json(body: bytes) -> Any:
    """Parse JSON as the standard has it: no NaN, no Infinity, UTF-8 only.

    Raises:
        RequestError: It is not JSON; the place is named.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(
            400,
            "bad_json",
            f"the body is not JSON ({error.msg}, line {error.lineno}, column {error.colno}); NaN "
            "and Infinity are not JSON, write null for a value that is not known.",
        ) from error


def read_json(payload: Any, names: Sequence[str], serving: Serving) -> Table:
    """The records of a parsed body: one, a list, or {"features": [...]} in contract order.

    Raises:
        RequestError: It is none of these, or has no row or too many.
    """
    if isinstance(payload, dict):
        if payload.keys() == {"features"} and "features" not in names:
            return Table([_in_order(payload["features"], names)], is_single=True)
        return Table([payload], is_single=True)
    if not isinstance(payload, list):
        raise RequestError(
            422,
            "no_record",
            'the body must be a record {"column": value, ...}, a list of records, or {"features": '
            f"[...]}} in contract order, got {_json_name(payload)}.",
        )
    check_rows(len(payload), serving)
    return Table(payload, is_single=False)


def _in_order(values: Any, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(values, list) or len(values) != len(names):
        got = f"{len(values)} values" if isinstance(values, list) else _json_name(values)
        raise RequestError(
            422,
            "features",
            f"features must be a list of {len(names)} values in contract order "
            f"({', '.join(names)}), got {got}.",
        )
    return dict(zip(names, values, strict=True))


def _json_name(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    return "null" if value is None else names.get(type(value), "a number")


def check_rows(n_rows: int, serving: Serving) -> None:
    """Refuse no row, and more than the problem's limit.

    Raises:
        RequestError: See above.
    """
    if n_rows == 0:
        raise RequestError(422, "empty", "there is no row in the body; send at least one.")
    if n_rows > serving.max_rows:
        raise RequestError(
            413,
            "too_many_rows",
            f"{n_rows:,} rows are more than the {serving.max_rows:,} of one request; send them in "
            "parts, or use `run.py --score` for a whole table.",
        )


def read_csv(body: bytes, columns: Mapping[str, Column], serving: Serving) -> Table:
    """The records of a CSV with a header, in UTF-8.

    Raises:
        RequestError: It is not UTF-8, not a table, or has no row or too many.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(
            400, "bad_csv", f"the CSV is not UTF-8 (byte {error.start:,}); save it as UTF-8."
        ) from error
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise RequestError(400, "bad_csv", f"the CSV cannot be read ({error}).") from error
    check_rows(max(0, len(rows) - 1), serving)
    names = [name.strip() for name in rows[0]]
    for line, row in enumerate(rows[1:]):
        if len(row) != len(names):
            raise RequestError(
                400,
                "bad_csv",
                f"row {line} of the CSV has {len(row)} values, but the header names {len(names)} "
                "columns; put texts with commas in quotes.",
            )
    if len(set(names)) < len(names):
        raise RequestError(400, "bad_csv", "the CSV's header names a column twice; rename one.")
    is_number = [name in columns and columns[name].type == "number" for name in names]
    values = [
        tuple(map(_number, column)) if numeric else column
        for numeric, column in zip(is_number, zip(*rows[1:], strict=True), strict=True)
    ]
    return Table([dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)], False)


def _number(text: str) -> float | str:
    """The number that a text is; any other text stays, for the contract to judge."""
    try:
        return float(text)
    except ValueError:
        return text


async def uploaded_file(request: Request, body: bytes) -> bytes:
    """The bytes of the one file in a form.

    Raises:
        RequestError: The form is damaged, or has no file or several.
    """

    async def stream() -> Any:
        yield body

    headers = Headers(raw=list(request.headers.items()))
    try:
        form = await MultiPartParser(headers, stream(), max_files=1, max_fields=20).parse()
    except (MultiPartException, MultipartParseError, KeyError, ValueError) as error:
        raise RequestError(
            400, "bad_form", "the form cannot be read; upload one CSV file as multipart/form-data."
        ) from error
    try:
        files = [value for value in form.values() if isinstance(value, UploadFile)]
        if not files:
            raise RequestError(400, "bad_form", "the form has no file in it; upload one CSV file.")
        return await files[0].read()
    finally:
        await form.close()
