"""A second version that answers the same rows after the client has its answer, and for nobody."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from service.answers import answer_good_records
from service.live import POLL_S, Model, load_model
from service.log_rows import Entry
from service.many_answers import RowAnswer
from service.metrics import Metrics
from service.settings import Settings
from tabular.prediction_log.names import SHADOW
from tabular.prediction_log.shadow import is_other_answer
from tabular.registry import Registry, open_registry

# Of one core: after each batch it rests nine times as long, and rows that come then are left out.
MAX_SHARE = 0.1
# Rows at a time: single answers wait for at most so many in the thread.
ROWS = 256

log = logging.getLogger("bentoline.service")


class Shadow:
    """The version that the alias `shadow` names; it runs in the prediction log's thread."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._registry: Registry | None = None
        self._failed = ""
        self._rests_until = 0.0
        self.model: Model | None = None

    async def follow(self) -> None:
        """Watch the alias, for ever; what does not load is said once and left."""
        while self._settings.registry and self._settings.follows:
            try:
                self.model = await asyncio.to_thread(self._load)
            except Exception as error:  # noqa: BLE001  # production goes on as if there were none
                self.model = None
                if str(error) != self._failed:
                    log.warning("shadow: %s", error)
                self._failed = str(error)
            await asyncio.sleep(POLL_S)

    def _load(self) -> Model | None:
        settings = self._settings
        if self._registry is None:
            self._registry = open_registry(settings.registry, public_key=settings.public_key)
        version = self._registry.alias(settings.problem, SHADOW)
        if version is None or (self.model and self.model.version == version):
            return self.model if version else None
        folder = self._registry.fetch(settings.problem, version)
        model = load_model(folder, settings.problem, version)
        log.info("%s answers in the shadow", version)
        return model

    def answer(self, entries: Sequence[Entry]) -> list[Entry]:
        """What it answers to the answered rows of entries of one model, as entries of its own."""
        model = self.model
        if model is None or not entries or model.version == entries[0].version:
            return []
        n_rows = sum(len(entry.answers) for entry in entries)
        if time.monotonic() < self._rests_until:
            self._metrics.shadow_dropped.inc(n_rows)
            return []
        started = time.monotonic()
        records = [record for entry in entries for record in entry.records]
        answers: list[RowAnswer] = []
        for place in range(0, len(records), ROWS):
            answers += answer_good_records(model, records[place : place + ROWS], "", {})
        spent_s = time.monotonic() - started
        self._rests_until = started + spent_s / MAX_SHARE
        self._metrics.shadow_seconds.inc(spent_s)
        return self._compared(model, entries, answers)

    def _compared(
        self, model: Model, entries: Sequence[Entry], answers: list[dict[str, Any]]
    ) -> list[Entry]:
        own: list[Entry] = []
        n_answered = n_other = place = 0
        for entry in entries:
            said = answers[place : place + len(entry.records)]
            place += len(entry.records)
            pairs = [
                (a, b)
                for a, b in zip(entry.answers, said, strict=True)
                if "error" not in a and "error" not in b
            ]
            n_answered += len(pairs)
            n_other += sum(
                is_other_answer(a["prediction"], b["prediction"], a.get("interval"))
                for a, b in pairs
            )
            # A row that production refused was answered by nobody.
            said = [a if "error" in a else b for a, b in zip(entry.answers, said, strict=True)]
            own.append(entry._replace(answers=said, version=model.version, role=SHADOW))
        self._metrics.shadow_rows.inc(n_answered)
        self._metrics.shadow_disagreements.inc(n_other)
        return own
