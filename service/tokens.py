"""The deployment's token, for what not everybody may do."""

from __future__ import annotations

import hmac

from service.errors import RequestError
from service.http import Request


def check_token(token: bytes, request: Request) -> None:
    """Compare in constant time.

    Raises:
        RequestError: The request has no token, or another.
    """
    given = request.headers.get(b"authorization", b"")
    if not hmac.compare_digest(given, b"Bearer " + token):
        raise RequestError(
            401,
            "token",
            "this needs the header 'Authorization: Bearer TOKEN' with the service's token.",
            headers=((b"www-authenticate", b"Bearer"),),
        )
