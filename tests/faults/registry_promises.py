"""What the registry promises, checked as often as wanted: races, and kills at random moments.

`test_registry_promises.py` does it some times, and `benchmarks/registry.py` 200 times.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tabular.bundle import load_bundle
from tabular.registry import Registry, open_registry
from tests.faults.registry_worker import ALIAS, PROBLEM, be_patient, promote
from tests.unit.tiny import write_tiny

N_RACERS = 8
ROOT = Path(__file__).parents[2]


class Worker:
    """A process of `tests.faults.registry_worker`."""

    def __init__(self, location: str, cache: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.registry_worker", location, str(cache)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **command: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the worker died, see above"
        return json.loads(line)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def race(location: str, scratch: Path, n_rounds: int) -> dict[str, int]:
    """N_RACERS processes promote different versions at once, again and again, while one looks on.

    Returns:
        What the audit holds, and how often the onlooker looked.
    """
    be_patient()
    bundle = str(write_tiny(scratch / "bundle").path)
    registry = open_registry(location, scratch / "cache")
    with ExitStack() as stack:
        racers, onlooker = workers(stack, location, scratch)
        versions = [registry.publish(PROBLEM, Path(bundle)), *publish_at_once(racers, bundle)]
        assert sorted(versions) == registry.versions(PROBLEM)
        n_looks = 0
        for number in range(n_rounds):
            if number % 20 == 0:
                onlooker.ask(do="look", seconds=2.0)
            race_once(registry, racers, versions, number)
            if number % 20 == 0:
                publish_at_once(racers, bundle)
                n_looks += onlooker.answer()
    audit = registry.audit(PROBLEM)
    check_chain(audit)
    outcomes = Counter(re.sub("it was .*", "too late", r["refused"]) or "moved" for r in audit)
    assert outcomes["moved"] == n_rounds
    assert len(audit) == n_rounds * N_RACERS
    return {**outcomes, "looks": n_looks, "versions": len(check_versions(registry))}


def workers(stack: ExitStack, location: str, scratch: Path) -> tuple[list[Worker], Worker]:
    """The racers and the onlooker."""
    made = [Worker(location, scratch / f"cache-{n}") for n in range(N_RACERS + 1)]
    for worker in made:
        stack.enter_context(worker)
    return made[1:], made[0]


def publish_at_once(racers: list[Worker], bundle: str) -> list[str]:
    """Each racer publishes a version; no name is given twice."""
    for racer in racers:
        racer.ask(do="publish", bundle=bundle)
    versions = [racer.answer() for racer in racers]
    assert len(set(versions)) == len(racers)
    return versions


def race_once(registry: Registry, racers: list[Worker], versions: list[str], number: int) -> None:
    """Every racer promotes its version from the present one: one wins, and is in production."""
    expected = registry.alias(PROBLEM, ALIAS)
    others = [version for version in versions if version != expected]
    at = time.monotonic() + 0.01
    for n, racer in enumerate(racers):
        actor = f"round {number}, racer {n}"
        racer.ask(do="promote", version=others[n], actor=actor, expected=expected, at=at)
    answers = [racer.answer() for racer in racers]
    won = [n for n, answer in enumerate(answers) if answer == "won"]
    assert len(won) == 1, answers
    assert all("Nothing was changed" in answer for answer in answers if answer != "won"), answers
    assert registry.alias(PROBLEM, ALIAS) == others[won[0]]


def check_chain(audit: list[dict[str, Any]]) -> None:
    """The moves follow one on another, without a gap."""
    moves = [record for record in audit if not record["refused"]]
    assert [move["seq"] for move in moves] == list(range(1, len(moves) + 1))
    assert [move["from"] for move in moves] == [None, *(move["to"] for move in moves[:-1])]


def check_versions(registry: Registry, known: frozenset[str] = frozenset()) -> list[str]:
    """Load every version that is not known to be whole."""
    versions = registry.versions(PROBLEM)
    for version in set(versions) - known:
        load_bundle(registry.fetch(PROBLEM, version))
    return versions


def kill(location: str, scratch: Path, n_kills: int, seed: int = 1) -> dict[str, int]:
    """Kill a publishing and promoting process at random moments; look, and go on, each time.

    Returns:
        How many of the kills changed what: versions made, moves made, attempts left unfinished.
    """
    be_patient()
    bundle = write_tiny(scratch / "bundle").path
    registry = open_registry(location, scratch / "cache")
    assert promote(registry, registry.publish(PROBLEM, bundle), "first") == "won"
    started = time.monotonic()
    fresh = open_registry(location, scratch / "cache")  # connects anew, as the killed one does
    assert promote(fresh, fresh.publish(PROBLEM, bundle), "second") == "won"
    cycle_s = time.monotonic() - started
    moments, seen = random.Random(seed), Counter[str]()  # noqa: S311  # no secret
    with Worker(location, scratch / "cache-worker") as nursery:
        for _ in range(n_kills):
            before = registry.versions(PROBLEM)
            nursery.ask(do="fork", bundle=str(bundle))
            pid = nursery.answer()
            time.sleep(moments.uniform(0, 2 * cycle_s))
            os.kill(pid, signal.SIGKILL)
            nursery.ask(do="reap", pid=pid)
            nursery.answer()
            seen.update(check_after_kill(registry, before))
            assert promote(registry, registry.publish(PROBLEM, bundle), "next") == "won"
    audit = registry.audit(PROBLEM)
    check_chain(audit)
    killed = Counter(bool(r["refused"]) for r in audit if r["actor"] == "killed")
    assert len(audit) == n_kills + 2 + killed.total()
    return {"kills": n_kills, **seen, "moved": killed[False], "unfinished records": killed[True]}


def check_after_kill(registry: Registry, before: list[str]) -> dict[str, int]:
    """What there was is there still, whole; what is new is whole; production is one of them."""
    versions = check_versions(registry, frozenset(before))
    present = registry.alias(PROBLEM, ALIAS)
    assert versions[: len(before)] == before
    assert present in (before[-1], *versions[len(before) :])
    n_new = len(versions) - len(before)
    is_between = n_new > 0 and present != versions[-1]
    return {"published": n_new, "kills between publish and promote": int(is_between)}
