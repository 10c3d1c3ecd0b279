"""The moves of an alias: a pointer to a version, and the records of who moved it and why.

    PROBLEM/aliases/production.json               {"to": "v3", "seq": 7, "token": ...}, under 1 KB
    PROBLEM/audit/production/00000007-TOKEN.json  that move; `after` is the token of the one before

A record is written before its move, and the pointer names the record. So the records that the
pointer leads back to, each by its `after`, are the moves that happened; any other record is of an
attempt that did not. A killed process can leave neither a lie nor a gap. docs/adr/0008 says more.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tabular.errors import StoreError
from tabular.stores.folder import Store
from tabular.versions.documents import read_document, seal_document

ANY = "any"

# A lost race means that another move won, so that as many in a row mean a fault somewhere.
MAX_RACES = 100
_READERS = 16


@dataclass(frozen=True)
class Pointer:
    """What an alias names. Before its first move: no version, seq 0."""

    to: str | None = None
    seq: int = 0
    token: str = ""
    tag: str = ""


@dataclass(frozen=True)
class Alias:
    """One alias of one problem."""

    store: Store
    problem: str
    name: str

    def pointer(self) -> Pointer:
        """Read the pointer: one read of at most 1 KB."""
        found = read_document(
            self.store,
            self._key,
            mend="delete it and promote the version again (the audit folder lists what it named)",
        )
        if found is None:
            return Pointer()
        document, stored = found
        return Pointer(document["to"], document["seq"], document["token"], stored.tag)

    def move(self, to: str, facts: dict[str, Any], *, expected: str | None) -> dict[str, Any]:
        """Move the alias by compare-and-swap, and return the record.

        Args:
            to: A version.
            facts: What else the record says.
            expected: Move only if the alias names this version now; `ANY` for whatever it names.

        Raises:
            StoreError: The alias names another version than `expected`, or somebody else moved it
                at the same moment; the record of the attempt says so.
        """
        token = uuid4().hex
        for _ in range(MAX_RACES):
            pointer = self.pointer()
            record = {
                "alias": self.name,
                "from": pointer.to,
                "to": to,
                **facts,
                "at": datetime.now(UTC).isoformat(),
                "seq": pointer.seq + 1,
                "token": token,
                "after": pointer.token,
                "refused": "",
            }
            if expected not in (ANY, pointer.to):
                refused = f"it was {pointer.to}, not {expected} as expected"
                self._write_record({**record, "refused": refused})
                raise self._lost(f"is {pointer.to}, not {expected} as expected")
            self._write_record(record)
            if self._swap(pointer, record) or self._happened(record):
                return record
            if expected != ANY:
                raise self._lost(f"was moved to {self.pointer().to} at the same moment")
        raise StoreError(
            f"{self.store.location}/{self._key}: {MAX_RACES} moves in a row were overtaken by "
            "others; stop what moves the alias, and repeat."
        )

    def records(self) -> list[dict[str, Any]]:
        """Every attempt, oldest first; `refused` is empty for the moves that happened.

        A move that had to be repeated because others came first shows once.
        """
        keys = self.store.keys(f"{self.problem}/audit/{self.name}")
        with ThreadPoolExecutor(_READERS) as pool:
            # The pointer is read after the records are listed, so that it leads to all of them but
            # those that were added meanwhile, and these are then the newest.
            found = list(pool.map(self._record, keys))
        by_token = {record["token"]: record for record in found}
        pointer = self.pointer()
        happened = self._chain(pointer, by_token)
        attempts = [
            record if record["token"] in happened else _refused(record, pointer)
            for record in by_token.values()
        ]
        return sorted(attempts, key=lambda record: (record["seq"], record["at"]))

    def _chain(self, pointer: Pointer, by_token: dict[str, dict[str, Any]]) -> set[str]:
        """Tokens of the moves that happened, followed back from the pointer.

        Records that are missing in `by_token` are read and added.
        """
        happened: set[str] = set()
        token, seq = pointer.token, pointer.seq
        while token:
            known = by_token.get(token)
            if known is None or known["seq"] != seq:
                known = self._record(self._record_key(seq, token))
                by_token[token] = known
            happened.add(token)
            token, seq = known["after"], seq - 1
        return happened

    def _happened(self, record: dict[str, Any]) -> bool:
        """Whether a move took place although the answer to it was lost."""
        pointer = self.pointer()
        token, seq = pointer.token, pointer.seq
        while seq > record["seq"]:
            token, seq = self._record(self._record_key(seq, token))["after"], seq - 1
        return seq == record["seq"] and token == record["token"]

    def _swap(self, pointer: Pointer, record: dict[str, Any]) -> bool:
        content = seal_document({name: record[name] for name in ("to", "seq", "token")})
        if pointer.seq == 0:
            return self.store.create(self._key, content)
        return self.store.replace(self._key, content, pointer.tag)

    def _write_record(self, record: dict[str, Any]) -> None:
        key = self._record_key(record["seq"], record["token"])
        self.store.create(key, seal_document(record))

    def _record(self, key: str) -> dict[str, Any]:
        found = read_document(self.store, key, mend="restore it from a copy")
        if found is None:
            raise StoreError(
                f"{self.store.location}/{key}: the audit record is missing; restore it from a copy."
            )
        return found[0]

    def _lost(self, why: str) -> StoreError:
        return StoreError(
            f"registry {self.store.location}: {self.problem}'s {self.name} {why}, so somebody else "
            "moved it; look at --status and repeat. Nothing was changed."
        )

    @property
    def _key(self) -> str:
        return f"{self.problem}/aliases/{self.name}.json"

    def _record_key(self, seq: int, token: str) -> str:
        return f"{self.problem}/audit/{self.name}/{seq:08}-{token}.json"


def _refused(record: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
    if record["refused"]:
        return record
    is_open = record["after"] == pointer.token
    reason = "not finished (yet)" if is_open else "another move came first"
    return {**record, "refused": reason}
