"""What S3 and boto3 may answer: what can pass by itself, and one sentence for what does not."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  # boto3's name for what Python calls so too
    EndpointConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.parsers import ResponseParserError

from tabular.errors import StoreError

ABSENT, OTHERWISE = 404, 412
# 409: two conditional writes met, and one of them has to ask again.
_PASSING = {409, 429, 500, 502, 503, 504}
_LOST = (
    ConnectionError, FlexibleChecksumError, HTTPClientError, IncompleteReadError,
    ResponseParserError,
)  # fmt: skip
_UNKNOWN_CALLER = {
    "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}  # fmt: skip
_FIX_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile or the role"
_RIGHTS = "s3:GetObject, s3:PutObject and s3:ListBucket"


def status(error: Exception) -> int:
    """The HTTP status of an answer; 0 where there was none, or where there is no bucket."""
    if not isinstance(error, ClientError) or _code(error) == "NoSuchBucket":
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def can_pass(error: Exception) -> bool:
    """Whether the same question may be answered a moment later."""
    return isinstance(error, _LOST) or status(error) in _PASSING


def may_have_arrived(error: Exception) -> bool:
    """Whether a write that failed so may have been done all the same."""
    return can_pass(error) and not isinstance(error, ConnectionError)


def sentence(error: BotoCoreError | ClientError, where: str, *, is_unsure: bool) -> StoreError:
    """The error for a user.

    Args:
        error: What boto3 raised.
        where: The s3:// address.
        is_unsure: A write failed, and it may have been done all the same.
    """
    end = (
        "Whether the last write arrived is not known; look at --status before you repeat."
        if is_unsure
        else "Nothing was changed."
    )
    return StoreError(f"{where}: {_what(error)}. {end}")


def _what(error: BotoCoreError | ClientError) -> str:
    if isinstance(error, ClientError):
        return _refusal(error)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return (
            "there are no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "AWS_PROFILE or an instance role"
        )
    if can_pass(error):
        is_away = isinstance(error, EndpointConnectionError)
        kind = "cannot be reached" if is_away else "gives no answer"
        return (
            f"the store {kind} ({type(error).__name__}); check the network and AWS_ENDPOINT_URL, "
            "and repeat"
        )
    reason = " ".join(str(error).split())[:200]
    return f"boto3 refuses ({reason}); check the address, AWS_ENDPOINT_URL and AWS_DEFAULT_REGION"


def _refusal(error: ClientError) -> str:
    code = _code(error)
    if code == "NoSuchBucket":
        return "there is no such bucket; create it, or name another in BENTOLINE_REGISTRY"
    if code in _UNKNOWN_CALLER:
        return f"the store does not accept the credentials ({code}); {_FIX_KEYS}"
    if status(error) == 403:
        return f"the credentials give no right to this ({code}); the registry needs {_RIGHTS}"
    if can_pass(error):
        return f"the store is overloaded or out of order ({status(error)} {code}); repeat later"
    return f"the store refuses ({status(error)} {code}); check the address and AWS_ENDPOINT_URL"


def _code(error: ClientError) -> str:
    found: Any = error.response.get("Error", {}).get("Code", "")
    return str(found)
