"""A place in S3: reachable, in time, the credentials known, the bucket there and writable."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import uuid4

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)

from tabular.errors import StoreError

# S3 itself refuses a caller whose clock is off by a quarter of an hour.
MAX_SKEW_S = 300
_LIMITS: dict[str, Any] = {
    "connect_timeout": 2,
    "read_timeout": 3,
    "retries": {"total_max_attempts": 1},
}
_FIX_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile or the role"
_CLOCK = "this machine's clock is off; set it (timedatectl set-ntp true)"
_SAID = {
    "NoSuchBucket": "there is no such bucket; create it, or name another",
    "InvalidAccessKeyId": f"nobody knows the access key; {_FIX_KEYS}",
    "SignatureDoesNotMatch": f"the secret does not fit the access key; {_FIX_KEYS}",
    "ExpiredToken": "the session's token has expired; log in again (aws sso login), or renew it",
    "InvalidToken": "the session's token is not valid; log in again, or unset AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": _CLOCK,
    "PermanentRedirect": "the bucket is in another region; set AWS_DEFAULT_REGION to it",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set AWS_DEFAULT_REGION to it",
    "IllegalLocationConstraintException": "the bucket is in another region; set AWS_DEFAULT_REGION",
}


def place_in_s3(location: str) -> str:
    """Look at `s3://bucket/prefix` as its user does: list, write, read and delete one small file.

    Raises:
        StoreError: The first thing that is wrong, and its fix.
    """
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    key = f"{prefix.strip('/')}/.doctor-{uuid4().hex}".lstrip("/")
    right = "list (s3:ListBucket)"
    try:
        client = Session().client("s3", config=Config(**_LIMITS))
        _check_clock(location, client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1))
        right = "write (s3:PutObject)"
        client.put_object(Bucket=bucket, Key=key, Body=b"bentoline")
        right = "read (s3:GetObject)"
        client.get_object(Bucket=bucket, Key=key)["Body"].read()
        right = "delete (s3:DeleteObject)"
        client.delete_object(Bucket=bucket, Key=key)
    except ClientError as error:
        raise StoreError(f"{location}: {_refusal(error, right)}.") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StoreError(f"{location}: there are no AWS credentials; {_FIX_KEYS}.") from error
    except (NoRegionError, HTTPClientError, BotoCoreError, ValueError) as error:
        raise StoreError(
            f"{location}: the store cannot be reached ({type(error).__name__}); check that it "
            "runs, the network and AWS_ENDPOINT_URL."
        ) from error
    return f"{location} can be listed, written and read"


def _check_clock(location: str, answer: Mapping[str, Any]) -> None:
    told = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if told is None:
        return
    skew_s = (datetime.now(UTC) - parsedate_to_datetime(told)).total_seconds()
    if abs(skew_s) > MAX_SKEW_S:
        raise StoreError(f"{location}: {_CLOCK}: it differs from the store's by {skew_s:.0f} s.")


def _refusal(error: ClientError, right: str) -> str:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _SAID:
        return _SAID[code]
    if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
        return f"the credentials may not {right}; give the user or role that right"
    return f"the store refuses ({code}); check the address and AWS_ENDPOINT_URL"
