"""What the monitor of the same home found, behind the service's own metrics: one scrape."""

from __future__ import annotations

import logging
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from service.http import Answer, Request
from service.inner import Inner

MAX_BYTES = 262_144
PREFIXES = ("bentoline_drift", "bentoline_monitor")
TEXT = b"text/plain"

log = logging.getLogger("bentoline.service")


class Monitored:
    """GET /metrics: BentoML's answer and HOME/monitor/PROBLEM.prom, where there is one."""

    def __init__(self, inner: Inner, home: Path, problem: str) -> None:
        self._inner = inner
        self._file = home / "monitor" / f"{problem}.prom"
        self._known: tuple[int, bytes] = (0, b"")

    async def get(self, request: Request) -> Answer:
        """The metrics; a file that is no metrics is left out.

        Raises:
            RequestError: BentoML's stack did not start.
        """
        answer = await self._inner.get(request)
        if answer.status != 200 or not answer.media_type.startswith(TEXT):
            return answer
        return answer._replace(body=answer.body + self._gauges())

    def _gauges(self) -> bytes:
        """The file's content, read again when it was written anew."""
        try:
            written = self._file.stat().st_mtime_ns
            if written != self._known[0]:
                with self._file.open("rb") as file:
                    self._known = (written, self._checked(file.read(MAX_BYTES + 1)))
        except OSError:
            return b""
        return self._known[1]

    def _checked(self, content: bytes) -> bytes:
        try:
            families = list(text_string_to_metric_families(content.decode("utf-8")))
            is_known = all(family.name.startswith(PREFIXES) for family in families)
        except ValueError:
            is_known = False
        if not is_known or len(content) > MAX_BYTES:
            log.warning("%s is left out of /metrics: it is no file of the monitor", self._file)
            return b""
        return content if content.endswith(b"\n") else content + b"\n"
