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

from tests.faults.registry_promises import kill, race
from tests.s3 import BUCKET, client, credentials, moto

N_TIMES = 200


@contextmanager
def places(scratch: Path) -> Iterator[dict[str, str]]:
    """The kinds of registry by name: a folder, and S3 by a moto server."""
    with moto() as endpoint:
        os.environ |= credentials(endpoint)
        client(endpoint).create_bucket(Bucket=BUCKET)
        yield {"folder": str(scratch / "registry"), "S3": f"s3://{BUCKET}/bench"}


def main() -> None:
    """Print one line for each kind of registry and each promise."""
    n_times = int(sys.argv[1]) if len(sys.argv) > 1 else N_TIMES
    for run in (race, kill):
        with tempfile.TemporaryDirectory() as folder, places(Path(folder)) as found:
            for name, location in found.items():
                scratch = Path(folder) / name
                started = time.monotonic()
                outcome = run(location, scratch, n_times)
                text = ", ".join(f"{key} {value}" for key, value in outcome.items())
                seconds = time.monotonic() - started
                print(f"{run.__name__} {name:6} {n_times} times in {seconds:.0f} s: {text}")


if __name__ == "__main__":
    main()
