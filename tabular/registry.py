"""The registry: every published bundle, and the names that servers follow.

    PROBLEM/versions/v3/            a bundle, never changed
    PROBLEM/aliases/, audit/        what an alias names, who moved it (versions/moves.py)
    PROBLEM/facts/v3.json           what became known of a version after it was published
    PROBLEM/retraining/             what trained again by itself, and why (versions/retraining.py)
    registry.json                   the format

It lies in a folder or in S3, by the same rules (`tabular.stores`). Readers take no lock: a version
or an alias is there whole or not at all.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from tabular.errors import ConfigError, StoreError, did_you_mean, listed
from tabular.stores.folder import FolderStore, Store
from tabular.versions.bundles import VERSION, Keys, Versions, checked_name
from tabular.versions.documents import read_document, seal_document
from tabular.versions.moves import ANY, MAX_RACES, Alias
from tabular.versions.retraining import Retrainings

__all__ = ["ANY", "Keys", "Registry", "open_registry"]


def open_registry(
    location: str,
    cache: Path | None = None,
    *,
    public_key: Path | None = None,
    signing_key: Path | None = None,
) -> Registry:
    """Open a registry; nothing is read or made yet.

    Args:
        location: A folder, or s3://bucket/prefix.
        cache: Where versions from S3 are downloaded to; a folder for temporary files if None.
        public_key: A PEM file; every version that is used must be signed with its other half.
        signing_key: A PEM file; every version is signed with it when published.

    Raises:
        ConfigError: The location names no bucket.
    """
    keys = Keys(public_key, signing_key)
    if not location.startswith("s3://"):
        return Registry(FolderStore(Path(location)), Path(), keys)
    from tabular.stores.s3 import S3Store  # boto3 costs half a second to import

    own = Path(tempfile.gettempdir()) / f"bentoline-{os.getuid()}"
    return Registry(S3Store(location), cache or own, keys)


class Registry:
    """Versions and aliases in one store. Processes and threads may share it."""

    def __init__(self, store: Store, cache: Path, keys: Keys) -> None:
        self._store = store
        self._versions = Versions(store, cache, keys)

    @property
    def location(self) -> str:
        """The folder or s3://bucket/prefix."""
        return self._store.location

    def problems(self) -> list[str]:
        """Names of the problems that have a version, sorted."""
        return [name for name in self._store.folders() if self.versions(name)]

    def versions(self, problem: str) -> list[str]:
        """Versions of a problem, oldest first."""
        return self._versions.names(problem)

    def manifest(self, problem: str, version: str) -> dict[str, Any]:
        """The manifest of a version; the other files are not looked at.

        Raises:
            ConfigError: There is no such version.
            BundleError: The manifest was changed.
        """
        return self._versions.manifest(problem, version)

    def fetch(self, problem: str, version: str) -> Path:
        """A folder on this disk with the whole bundle of a version, verified.

        From S3 it is downloaded once, and verified each time.

        Raises:
            ConfigError: There is no such version.
            BundleError: A file of it is missing or changed, or it is not signed as asked.
        """
        return self._versions.fetch(problem, version)

    def publish(self, problem: str, bundle_folder: Path) -> str:
        """Copy a bundle, verified, as the next version, and return its name.

        Raises:
            BundleError: The folder holds no whole bundle, or none that is signed as asked.
            StoreError: The registry cannot be written.
        """
        return self._versions.publish(problem, bundle_folder)

    def check_publishable(self, problem: str) -> None:
        """Refuse before a long training what would keep its version from being published.

        Raises:
            ConfigError: The keys are none, or no pair.
            StoreError: The registry is away, of a newer format, or cannot be written.
        """
        self._versions.check_publishable(problem)

    def resolve(self, problem: str, name: str) -> str:
        """The version that is meant by its own name or by an alias.

        Raises:
            ConfigError: There is no such version or alias.
        """
        if VERSION.fullmatch(name):
            return self._versions.folder(problem, name).rpartition("/")[-1]
        if version := self.alias(problem, name):
            return version
        versions, known = self.versions(problem), sorted(self.aliases(problem))
        where = f"registry {self.location}: {problem}"
        if not versions:
            raise ConfigError(f"{where} has no version yet; train it first.")
        raise ConfigError(
            f"{where} has no {name} yet{did_you_mean(name, known)}; its aliases are "
            f"{listed(known)}, its versions {listed(reversed(versions))}. --promote VERSION --to "
            "sets staging or production."
        )

    def alias(self, problem: str, name: str) -> str | None:
        """The version that an alias names, or None where it was never set.

        Costs one read of at most 1 KB.
        """
        return self._alias(problem, name).pointer().to or None

    def aliases(self, problem: str) -> dict[str, str]:
        """Version by alias."""
        named = {name: self.alias(problem, name) for name in self._alias_names(problem)}
        return {name: version for name, version in named.items() if version}

    def set_alias(
        self,
        problem: str,
        name: str,
        version: str,
        *,
        actor: str,
        why: str,
        expected: str | None = ANY,
        override: str = "",
    ) -> dict[str, Any]:
        """Let an alias name a version, and return the audit record of the move.

        Args:
            problem: A problem with that version.
            name: Such as `production`.
            version: Such as `v3`. Every file of it is verified first.
            actor: Who moves it.
            why: For the audit record.
            expected: Move only if the alias names this version now (None: no version).
            override: Why the version's gates did not count, where they did not.

        Raises:
            ConfigError: There is no such version.
            BundleError: A file of it is missing or changed, or it is not signed as asked.
            StoreError: The alias names another version than `expected`, or cannot be written.
        """
        [record] = self.set_aliases(
            problem, {name: expected}, version, actor=actor, why=why, override=override
        )
        return record

    def set_aliases(
        self,
        problem: str,
        expected: Mapping[str, str | None],
        version: str,
        *,
        actor: str,
        why: str,
        override: str = "",
    ) -> list[dict[str, Any]]:
        """The same for several aliases in turn; the version is verified once.

        Args:
            problem: As in `set_alias`, as all others.
            expected: By alias: the version that it must name now.
        """
        aliases = [(self._alias(problem, name), must) for name, must in expected.items()]
        manifest = self._versions.verified_manifest(problem, version)
        facts = {
            "actor": actor,
            "why": why,
            "override": override,
            "git_commit": manifest.get("report", manifest).get("git_commit", ""),
            "image_digest": self.facts(problem, version).get("image_digest", ""),
        }
        return [alias.move(version, facts, expected=must) for alias, must in aliases]

    def clear_alias(self, problem: str, name: str, *, actor: str, why: str) -> dict[str, Any]:
        """Let an alias name no version, and return the audit record; its `to` is empty.

        Raises:
            StoreError: It cannot be written.
        """
        facts = {"actor": actor, "why": why, "override": "", "git_commit": "", "image_digest": ""}
        return self._alias(problem, name).move("", facts, expected=ANY)

    def audit(self, problem: str, name: str = "") -> list[dict[str, Any]]:
        """Every move of every alias, or of one, oldest first, and every refused attempt.

        Keys: alias, from, to, actor, why, override, git_commit, image_digest, at (UTC), seq (counts
        the moves of one alias), token, after (the token of the move before), and refused: the
        reason, empty for a move that took place.
        """
        names = [name] if name else self._audited(problem)
        by_alias = [self._alias(problem, name).records() for name in names]
        return list(heapq.merge(*by_alias, key=lambda record: str(record["at"])))

    def previous(self, problem: str, name: str) -> str | None:
        """The version to roll back to: what the alias named before the present one was promoted."""
        stack: list[str] = []
        for record in self._alias(problem, name).records():
            to = record["to"]
            if not record["refused"]:
                stack = stack[: stack.index(to) + 1] if to in stack else [*stack, to]
        return stack[-2] if len(stack) > 1 else None

    def record_fact(self, problem: str, version: str, name: str, value: str) -> None:
        """Write down what became known of a version, such as its `image_digest`; never erased.

        Raises:
            ConfigError: There is no such version.
            StoreError: The registry cannot be written.
        """
        self._versions.folder(problem, version)
        key = self._facts_key(problem, version)
        entry = {"name": name, "value": value, "at": datetime.now(UTC).isoformat()}
        for _ in range(MAX_RACES):
            known, tag = self._recorded(key)
            content = seal_document({"facts": [*known, entry], "token": uuid4().hex})
            store = self._store
            if store.replace(key, content, tag) if tag else store.create(key, content):
                return
        raise StoreError(f"{self.location}/{key}: {MAX_RACES} writes were overtaken; repeat.")

    def facts(self, problem: str, version: str) -> dict[str, str]:
        """The newest value of each recorded fact of a version, by its name."""
        entries, _ = self._recorded(self._facts_key(problem, version))
        return {entry["name"]: entry["value"] for entry in entries}

    def retrainings(self, problem: str) -> Retrainings:
        """The record of what trained this problem again by itself."""
        return Retrainings(self._store, checked_name(problem, "problem"))

    def _recorded(self, key: str) -> tuple[list[dict[str, str]], str]:
        """Every recorded fact, oldest first, and the tag; an empty tag where there is none yet."""
        found = read_document(self._store, key, mend="restore it from a copy")
        if found is None:
            return [], ""
        document, stored = found
        return document["facts"], stored.tag

    def _facts_key(self, problem: str, version: str) -> str:
        return f"{checked_name(problem, 'problem')}/facts/{checked_name(version, 'version')}.json"

    def _alias(self, problem: str, name: str) -> Alias:
        return Alias(self._store, checked_name(problem, "problem"), checked_name(name, "alias"))

    def _alias_names(self, problem: str) -> list[str]:
        keys = self._store.keys(f"{checked_name(problem, 'problem')}/aliases")
        return [Path(key).stem for key in keys]

    def _audited(self, problem: str) -> list[str]:
        keys = self._store.keys(f"{checked_name(problem, 'problem')}/audit")
        return sorted({key.split("/")[-2] for key in keys})
