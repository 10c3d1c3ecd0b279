"""Where a table lies: a path of this machine or an s3:// address, and what may go wrong there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pa_fs

from tabular.errors import DataError, StoreError

S3_CONNECT_TIMEOUT_S, S3_REQUEST_TIMEOUT_S, S3_ATTEMPTS = 5, 30, 3


def locate(path: str) -> tuple[pa_fs.FileSystem, str]:
    """Return the file system of a path or s3:// address, and the place in it."""
    if not path.startswith("s3://"):
        return pa_fs.LocalFileSystem(), str(Path(path))
    # boto3 reads AWS_ENDPOINT_URL itself; pyarrow only where it is given a URI without time-outs.
    store = pa_fs.S3FileSystem(
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL"),
        connect_timeout=S3_CONNECT_TIMEOUT_S,
        request_timeout=S3_REQUEST_TIMEOUT_S,
        retry_strategy=pa_fs.AwsStandardS3RetryStrategy(max_attempts=S3_ATTEMPTS),
    )
    return store, path.removeprefix("s3://").rstrip("/")


@contextmanager
def readable(where: str, form: str) -> Iterator[None]:
    """Turn what pyarrow raises while it reads into one sentence.

    Raises:
        DataError: The file is not what its name says.
        StoreError: The S3 store does not answer, or refuses.
    """
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = _reason(error)
        if "AWS Error" in reason:
            raise StoreError(
                f"{where}: the store did not give the file ({reason}); check the address, the "
                "credentials, AWS_ENDPOINT_URL and AWS_DEFAULT_REGION."
            ) from error
        raise DataError(
            f"{where}: cannot be read as {form} ({reason}); export or copy it again."
        ) from error


def _reason(error: Exception) -> str:
    """The first line of pyarrow's message, without the row that it quotes."""
    text = (str(error).splitlines() or [type(error).__name__])[0]
    if "straddl" in text:
        return "a quote is never closed, or one row is far too long"
    text = re.sub(r"(Expected \d+ columns, got \d+).*", r"\1", text)
    return text[:240].removesuffix(".")
