"""The same as `tabular.stores.folder.FolderStore` in S3, by conditional writes (docs/adr/0008).

boto3 reads AWS_ENDPOINT_URL, the region and the credentials itself, as its own documents say. It
retries nothing here: what may be asked again, and for how long, stands in `S3Store._ask`. Import
this module where a registry lies in S3 only: boto3 costs half a second.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import uuid4

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tabular.errors import ConfigError
from tabular.stores.folder import Stored
from tabular.stores.s3_errors import ABSENT, OTHERWISE, can_pass, may_have_arrived, sentence, status

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 2, 3
# An attempt that starts at the last moment ends READ_TIMEOUT_S later: 8 s in all.
ATTEMPTS_FOR_S = 5
PAUSES_S = (0.05, 0.2, 0.5, 1.0)
PAGE_KEYS = 1000
_CONNECTIONS = 16
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")

Answer = TypeVar("Answer")


class S3Store:
    """Files below one prefix of a bucket.

    A write whose answer was lost is asked again; the store's refusal is then ours or another's,
    which the content tells. So content that is written on a condition carries a token of its own.
    """

    def __init__(self, location: str) -> None:
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        if not _BUCKET.fullmatch(bucket):
            raise ConfigError(
                f"registry '{location}': '{bucket}' is no bucket's name; write s3://bucket/prefix."
            )
        self.location = location.rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def read(self, key: str) -> Stored | None:
        """A file, or None where there is none."""
        return self._get(key, is_unsure=False)

    def keys(self, folder: str) -> list[str]:
        """The keys below a folder, at any depth, sorted."""
        pages = self._pages(Prefix=f"{self._prefix}{folder}/")
        keys = (entry["Key"] for page in pages for entry in page.get("Contents", []))
        return sorted(self._shown(keys))

    def folders(self) -> list[str]:
        """The names of the folders at the top, sorted."""
        pages = self._pages(Prefix=self._prefix, Delimiter="/")
        names = (entry["Prefix"][:-1] for page in pages for entry in page.get("CommonPrefixes", []))
        return sorted(self._shown(names))

    def create(self, key: str, content: bytes) -> bool:
        """Write a file that must be new. False: another one is there, and stays."""
        return self._put(key, content, IfNoneMatch="*")

    def replace(self, key: str, content: bytes, tag: str) -> bool:
        """Write a file over the one with this tag. False: it is not there any more."""
        return self._put(key, content, IfMatch=tag)

    def add_folder(self, folder: str, files: Mapping[str, bytes]) -> bool:
        """Claim the name, write the files, the last file last. False: the name is taken.

        A claim whose process was killed stays, and its name is left out for ever.
        """
        parent, _, name = folder.rpartition("/")
        if not self.create(f"{parent}/.{name}.claim", uuid4().hex.encode()):
            return False
        *first, last = files
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            list(pool.map(lambda file: self._put(f"{folder}/{file}", files[file]), first))
        return self._put(f"{folder}/{last}", files[last])

    def local(self, folder: str) -> Path | None:  # noqa: ARG002  # every folder is remote
        """None: it has to be fetched."""
        return None

    def _get(self, key: str, *, is_unsure: bool) -> Stored | None:
        def get() -> Stored:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            return Stored(answer["Body"].read(), answer["ETag"])

        return self._ask(get, key, refused={ABSENT: lambda: None}, is_unsure=is_unsure)

    def _put(self, key: str, content: bytes, **condition: str) -> bool:
        def put() -> bool:
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=content, **condition
            )
            return True

        def is_ours() -> bool:
            present = self._get(key, is_unsure=True)
            return present is not None and present.content == content

        refused = dict.fromkeys((ABSENT, OTHERWISE), is_ours) if condition else {}
        return self._ask(put, key, refused=refused, is_write=True)

    def _pages(self, **parameters: str) -> list[dict[str, Any]]:
        """Every page of a listing."""
        pages: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while not pages or more:
            page = self._ask(partial(self._list, **parameters, **more), "")
            pages.append(page)
            more = (
                {"ContinuationToken": page["NextContinuationToken"]} if page["IsTruncated"] else {}
            )
        return pages

    def _list(self, **parameters: str) -> dict[str, Any]:
        return self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=PAGE_KEYS, **parameters)

    def _shown(self, keys: Any) -> list[str]:
        relative = [key.removeprefix(self._prefix) for key in keys]
        return [key for key in relative if not any(n.startswith(".") for n in key.split("/"))]

    def _ask(
        self,
        call: Callable[[], Answer],
        key: str,
        *,
        refused: Mapping[int, Callable[[], Answer]] = MappingProxyType({}),
        is_write: bool = False,
        is_unsure: bool = False,
    ) -> Answer:
        """One answer of the store; what can pass by itself is asked again for some seconds.

        Args:
            call: Asks once.
            key: What it is about.
            refused: By HTTP status: the answer where the store refuses with it.
            is_write: Whether the call changes something.
            is_unsure: Whether something may have been changed before.
        """
        last_start = time.monotonic() + ATTEMPTS_FOR_S
        pauses = iter(PAUSES_S)
        while True:
            try:
                return call()
            except (BotoCoreError, ClientError) as error:
                if answer := refused.get(status(error)):
                    return answer()
                is_unsure |= is_write and may_have_arrived(error)
                pause = next(pauses, None) if can_pass(error) else None
                if pause is None or time.monotonic() + pause > last_start:
                    where = f"{self.location}/{key}".rstrip("/")
                    raise sentence(error, where, is_unsure=is_unsure) from error
                time.sleep(pause)

    @cached_property
    def _client(self) -> Any:
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"total_max_attempts": 1},
            max_pool_connections=_CONNECTIONS,
        )
        try:
            return Session().client("s3", config=config)
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(
                f"{self.location}: boto3 cannot be set up ({error}); check AWS_ENDPOINT_URL, "
                "AWS_PROFILE and AWS_DEFAULT_REGION."
            ) from error
