"""Who let a model train again, when, why, and what became of it: an append-only record.

    PROBLEM/retraining/00000003.json          a start: seq, at, actor, why, version
    PROBLEM/retraining/00000003-outcome.json  its end: at, outcome, version, sentence

A start is written before the training, under the number after the last: of monitors that run at
once, one makes the file and the others find it taken. A start without an end was killed or still
runs; it counts like any other, so that a loop of dying runs is held back too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tabular.errors import StoreError
from tabular.stores.folder import Store
from tabular.versions.documents import read_document, seal_document

OUTCOME = "-outcome"


@dataclass(frozen=True)
class Pace:
    """At most `max_runs` starts in any `window`, and `cooldown` from one to the next."""

    cooldown: timedelta
    max_runs: int
    window: timedelta

    def hold_back(self, starts: list[datetime], now: datetime) -> str:
        """Why nothing may start now, in words; empty where it may."""
        if starts and now - starts[-1] < self.cooldown:
            return (
                f"the last training was started at {starts[-1]:%Y-%m-%d %H:%M} UTC, and the next "
                f"may be at {starts[-1] + self.cooldown:%Y-%m-%d %H:%M} UTC"
            )
        recent = [start for start in starts if now - start < self.window]
        if len(recent) >= self.max_runs:
            free = recent[-self.max_runs] + self.window
            return (
                f"{len(recent)} trainings were started within {self.window.days} days, which is "
                f"all that may be; the next may be at {free:%Y-%m-%d %H:%M} UTC"
            )
        return ""


@dataclass(frozen=True)
class Retrainings:
    """The record of one problem in a registry's store."""

    store: Store
    problem: str

    def records(self) -> list[dict[str, Any]]:
        """Every start with its end (`outcome` is empty where there is none), oldest first."""
        keys = self.store.keys(f"{self.problem}/retraining")
        found = {key.rpartition("/")[2].removesuffix(".json"): self._read(key) for key in keys}
        return [
            {"outcome": "", **start, **found.get(name + OUTCOME, {})}
            for name, start in sorted(found.items())
            if not name.endswith(OUTCOME)
        ]

    def claim(
        self, pace: Pace, *, actor: str, why: str, version: str, now: datetime
    ) -> tuple[int, str]:
        """Write down a start, if the pace allows one.

        Returns:
            The start's number and no words, or 0 and in words why nothing may start.
        """
        records = self.records()
        starts = [datetime.fromisoformat(record["started_at"]) for record in records]
        if held := pace.hold_back(starts, now):
            return 0, held
        seq = len(records) + 1
        start = {
            "seq": seq,
            "started_at": now.isoformat(),
            "actor": actor,
            "why": why,
            "trained_from": version,
        }
        if not self.store.create(self._key(seq), seal_document(start)):
            return 0, "another monitor started a training at the same moment"
        return seq, ""

    def close(self, seq: int, *, outcome: str, version: str, sentence: str) -> None:
        """Write down what became of a start; once written it stays."""
        end = {
            "outcome": outcome,
            "version": version,
            "sentence": sentence,
            "ended_at": datetime.now(UTC).isoformat(),
        }
        self.store.create(self._key(seq, OUTCOME), seal_document(end))

    def _read(self, key: str) -> dict[str, Any]:
        found = read_document(self.store, key, mend="restore it from a copy")
        if found is None:
            raise StoreError(f"{self.store.location}/{key}: it was taken away; restore it.")
        return found[0]

    def _key(self, seq: int, suffix: str = "") -> str:
        return f"{self.problem}/retraining/{seq:08}{suffix}.json"
