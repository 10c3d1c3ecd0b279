"""What a client is told when it gets no answer: one envelope, with the row, column and value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from tabular.contract import Violation
from tabular.errors import RecordsError

MAX_DETAILS = 20
RETRY_AFTER = (b"retry-after", b"1")
CLOSE = (b"connection", b"close")


class RequestError(Exception):
    """A request that is refused, as the client reads it; never an internal word."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        violations: Sequence[Violation] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.content = error_content(code, message, violations)

    def envelope(self, request_id: str) -> bytes:
        """The body: valid JSON, whatever the request held."""
        return orjson.dumps({"error": self.content, "request_id": request_id})


def error_content(code: str, message: str, violations: Sequence[Violation] = ()) -> dict[str, Any]:
    """The inside of the envelope: at most 20 violations, then their count."""
    details = [
        {
            "row": violation.row,
            "column": json_text(violation.column),
            "value": json_text(violation.value),
            "allowed": json_text(violation.rule),
        }
        for violation in violations[:MAX_DETAILS]
    ]
    return {
        "code": code,
        "message": json_text(message),
        "details": details,
        "n_more": max(0, len(violations) - MAX_DETAILS),
    }


def broken_contract(error: RecordsError) -> RequestError:
    """422 for records that break the contract."""
    return RequestError(422, "contract", str(error), violations=error.violations)


def no_number(row: int) -> RequestError:
    """500 for a row that the model answers by NaN or infinity."""
    return RequestError(
        500,
        "no_number",
        f"the model's answer to row {row} is no finite number, so nothing is answered; tell those "
        "who run this service: this version needs to be rolled back.",
    )


def overloaded(what: str) -> RequestError:
    """503 for what this worker cannot take now."""
    return RequestError(
        503, "overloaded", f"{what}; try again in a second.", headers=(RETRY_AFTER,)
    )


def json_text(text: str) -> str:
    """Text that JSON can carry: a CSV or form may hold a lone surrogate."""
    return text.encode("utf-8", "replace").decode("utf-8")
