"""The registry: every published bundle, and the names that servers follow.

    ROOT/PROBLEM/versions/v3/            a bundle, never changed
    ROOT/PROBLEM/aliases/production.json {"to": "v3", ...}: the audit record of its last move
    ROOT/PROBLEM/audit.jsonl             one line per move, only appended to
    ROOT/PROBLEM/.lock                   held while a version is published or an alias moved

Readers take no lock: a version or alias is there whole or not at all. What a killed process leaves
starts with a dot and is cleared by the next publication; an audit line that it owed is written by
the next move.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tabular.bundle import MANIFEST, copy_bundle, load_bundle
from tabular.errors import ConfigError, StoreError, did_you_mean, listed
from tabular.files import disk_error, sync, whole_file

ANY = "any"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_VERSION = re.compile(r"v([1-9][0-9]*)")


class Registry:
    """Versions and aliases below one folder. Processes and threads may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def problems(self) -> list[str]:
        """Names of the problems that have a version, sorted."""
        folders = self.root.glob("*/versions/v*/")
        return sorted({folder.parent.parent.name for folder in folders})

    def versions(self, problem: str) -> list[str]:
        """Versions of a problem, oldest first."""
        found = (self._folder(problem) / "versions").glob(f"v*/{MANIFEST}")
        names = [path.parent.name for path in found if _VERSION.fullmatch(path.parent.name)]
        return sorted(names, key=_number)

    def path(self, problem: str, version: str) -> Path:
        """The bundle's folder of a version.

        Raises:
            ConfigError: There is no such version.
        """
        known = self.versions(problem)
        if version not in known:
            have = listed(known[::-1]) if known else "none; train it first"
            raise ConfigError(
                f"registry {self.root}: {problem} has no version '{version}'"
                f"{did_you_mean(version, known[::-1])}; it has {have}."
            )
        return self._folder(problem) / "versions" / version

    def publish(self, problem: str, bundle_folder: Path) -> str:
        """Copy a bundle, verified, as the next version, and return its name.

        Raises:
            BundleError: The folder holds no whole bundle.
            StoreError: The registry cannot be written, or the disk is full.
        """
        bundle = load_bundle(bundle_folder)
        folder = self._folder(problem) / "versions"
        with self._locked(problem):
            for leftover in folder.glob(".*.part"):
                shutil.rmtree(leftover, ignore_errors=True)
            taken = [_number(path.name) for path in folder.glob("v*") if _is_version(path)]
            version = f"v{max(taken, default=0) + 1}"
            copy_bundle(bundle, folder / version)
        return version

    def alias(self, problem: str, name: str) -> str | None:
        """The version that an alias names, or None where it was never set."""
        record = self._alias_record(problem, name)
        return record["to"] if record else None

    def aliases(self, problem: str) -> dict[str, str]:
        """Version by alias."""
        found = sorted((self._folder(problem) / "aliases").glob("[!.]*.json"))
        named = {path.stem: self.alias(problem, path.stem) for path in found}
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
    ) -> None:
        """Let an alias name a version, and write down the move.

        Args:
            problem: A problem with that version.
            name: Such as `production`.
            version: Such as `v3`.
            actor: Who moves it.
            why: For the audit record.
            expected: Move only if the alias names this version now (None: no version).

        Raises:
            ConfigError: There is no such version.
            StoreError: The alias names another version than `expected`, or cannot be written.
        """
        manifest = load_bundle(self.path(problem, version)).manifest
        path = self._alias_path(problem, name)
        with self._locked(problem):
            self._write_owed_line(problem, name)
            current = self.alias(problem, name)
            if expected not in (ANY, current):
                raise StoreError(
                    f"registry {self.root}: {problem}'s {name} is {current}, not {expected} as "
                    "expected, so somebody moved it meanwhile; look at --status and repeat."
                )
            record = {
                "alias": name,
                "from": current,
                "to": version,
                "actor": actor,
                "why": why,
                "git_commit": manifest.get("report", manifest).get("git_commit", ""),
                "at": datetime.now(UTC).isoformat(),
            }
            with whole_file(path) as unfinished:
                unfinished.write_text(json.dumps(record) + "\n", encoding="utf-8")
            self._append(problem, record)

    def audit(self, problem: str) -> list[dict[str, Any]]:
        """Every move of an alias, oldest first: alias, from, to, actor, why, git_commit, at."""
        path = self._folder(problem) / "audit.jsonl"
        if not path.exists():
            return []
        whole, _, _unfinished = path.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]

    def previous(self, problem: str, name: str) -> str | None:
        """The version to roll back to: what the alias named before the present one was promoted."""
        stack: list[str] = []
        for record in self.audit(problem):
            if record["alias"] == name:
                to = record["to"]
                stack = stack[: stack.index(to) + 1] if to in stack else [*stack, to]
        return stack[-2] if len(stack) > 1 else None

    def _folder(self, problem: str) -> Path:
        return self.root / _checked(problem, "problem")

    def _alias_path(self, problem: str, name: str) -> Path:
        return self._folder(problem) / "aliases" / f"{_checked(name, 'alias')}.json"

    def _alias_record(self, problem: str, name: str) -> dict[str, Any] | None:
        path = self._alias_path(problem, name)
        try:
            record = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise _damaged(path) from error
        if not isinstance(record, dict) or not _VERSION.fullmatch(str(record.get("to"))):
            raise _damaged(path)
        return record

    @contextmanager
    def _locked(self, problem: str) -> Iterator[None]:
        path = self._folder(problem) / ".lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.open("ab")
        except OSError as error:
            raise disk_error(path, error) from error
        with lock:  # closing the file frees the lock, as the end of the process does
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write_owed_line(self, problem: str, name: str) -> None:
        """Append the alias's last move if its process was killed before the audit line."""
        record = self._alias_record(problem, name)
        if record and record not in self.audit(problem):
            self._append(problem, record)

    def _append(self, problem: str, record: dict[str, Any]) -> None:
        path = self._folder(problem) / "audit.jsonl"
        try:
            with path.open("ab") as file:
                if file.tell():
                    whole, newline, _unfinished = path.read_bytes().rpartition(b"\n")
                    file.truncate(len(whole + newline))
                file.write(json.dumps(record).encode() + b"\n")
            sync(path)
        except OSError as error:
            raise disk_error(path, error) from error


def _number(version: str) -> int:
    return int(version.removeprefix("v"))


def _is_version(path: Path) -> bool:
    return _VERSION.fullmatch(path.name) is not None


def _checked(name: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"registry: the {what} '{name[:60]}' is no name; use letters, digits, '_' and '-'."
        )
    return name


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"{path}: the alias is damaged; delete the file and promote the version again "
        "(audit.jsonl beside it lists what it named)."
    )
