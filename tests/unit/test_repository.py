"""The repository keeps its own promises: locks are whole, make explains itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
PIN = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*)(?P<extra>\[[a-z]+\])?==(?P<version>[^\s;]+)( ;.*)?"
)


def pins(lock: str) -> dict[str, list[str]]:
    """Each requirement of a lock, with its continuation lines."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", "\n")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(" "):
            found[list(found)[-1]].append(line.strip())
        elif line:
            found[line.strip()] = []
    return found


def make(*arguments: str) -> str:
    if shutil.which("make") is None:
        pytest.skip("make is not on PATH")
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return done.stdout


def makefile_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z0-9-]*):(?!=)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_every_package_to_a_version_with_hashes(lock: str) -> None:
    entries = pins(lock)
    assert len(entries) > 100
    assert [entry for entry in entries if not PIN.fullmatch(entry)] == []
    unhashed = [e for e, more in entries.items() if not more or not all(map(HASH.fullmatch, more))]
    assert unhashed == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index-url|--find-links|^-[if] ", text, flags=re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_pandas_with_its_extra_too_so_that_pip_takes_the_hashes(lock: str) -> None:
    entries = pins(lock)
    plain = next(entry for entry in entries if entry.startswith("pandas=="))
    assert entries[plain.replace("pandas", "pandas[parquet]", 1)] == entries[plain]


def test_dev_lock_holds_all_of_the_plain_lock() -> None:
    """A development tool may need a pin on more platforms, so markers may differ."""
    plain, dev = (
        {entry.partition(" ;")[0]: hashes for entry, hashes in pins(lock).items()} for lock in LOCKS
    )
    assert {entry: hashes for entry, hashes in dev.items() if entry in plain} == plain


def test_make_help_lists_every_target_and_about_a_dozen() -> None:
    lines = make("help").splitlines()
    listed = {line.split()[1]: line.split()[2:] for line in lines}
    assert set(listed) == makefile_targets()
    assert all(listed.values())
    assert len(listed) <= 14


def test_make_without_a_target_is_help() -> None:
    assert make() == make("help")


@pytest.mark.parametrize("target", sorted(makefile_targets()))
def test_make_target_is_phony(target: str) -> None:
    phony = re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert phony is not None
    assert target in phony[1].split()
