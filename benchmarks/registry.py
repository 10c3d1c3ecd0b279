"""Races and kills of the registry, in a folder and in S3: `python -m benchmarks.registry`.

Each promise is checked while it is counted; a broken one ends the run with its AssertionError.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.mirror import mirror
from pipelines.place import Place
from pipelines.store import open_client, reap_dead_runs, store_folder, zenml_store
from pipelines.store_view import shown_stages
from tabular.registry import open_registry
from tests.faults.registry_promises import ROOT, kill, race
from tests.faults.registry_worker import ALIAS, PROBLEM
from tests.s3 import BUCKET, client, credentials, moto

N_TIMES = 200


@contextmanager
def places(scratch: Path) -> Iterator[dict[str, str]]:
    """The kinds of registry by name: a folder, and S3 by a moto server."""
    with moto() as endpoint:
        os.environ |= credentials(endpoint)
        client(endpoint).create_bucket(Bucket=BUCKET)
        yield {"folder": str(scratch / "registry"), "S3": f"s3://{BUCKET}/bench"}


def race_and_mirror(location: str, scratch: Path, n_rounds: int) -> dict[str, object]:
    """The races, and what ZenML has in production once it follows: the registry's version alone.

    One ZenML store follows every kind of registry in turn, so that it also has to leave the one.
    """
    outcome = race(location, scratch, n_rounds)
    place = Place(root=ROOT, home=scratch.parent / "home", registry=location)
    with zenml_store(place.home):
        reap_dead_runs(open_client())  # the first question makes the store
    registry = open_registry(location)
    mirrored = mirror(place, registry, [PROBLEM], wait_s=0)
    shown = (shown_stages(store_folder(place.home)) or {})[PROBLEM]
    in_production = [version for version, one in shown.items() if one.stage == "production"]
    if in_production != [registry.alias(PROBLEM, ALIAS)]:
        raise AssertionError(f"ZenML has {in_production} in production: {mirrored}")
    return {**outcome, "in ZenML's production": len(in_production), "of": len(shown)}


def main() -> None:
    """Print one line for each kind of registry and each promise."""
    n_times = int(sys.argv[1]) if len(sys.argv) > 1 else N_TIMES
    for name, run in {"race": race_and_mirror, "kill": kill}.items():
        with tempfile.TemporaryDirectory() as folder, places(Path(folder)) as found:
            os.environ["ZENML_CONFIG_PATH"] = f"{folder}/home/zenml"
            for kind, location in found.items():
                scratch = Path(folder) / kind
                started = time.monotonic()
                outcome = run(location, scratch, n_times)
                text = ", ".join(f"{key} {value}" for key, value in outcome.items())
                seconds = time.monotonic() - started
                print(f"{name} {kind:6} {n_times} times in {seconds:.0f} s: {text}")


if __name__ == "__main__":
    main()
