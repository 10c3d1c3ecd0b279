"""What images are built on here, and an engine to build them: `make engine`, from Python."""

from __future__ import annotations

import subprocess

from tests.s3 import ROOT


def base_image() -> str:
    """The base image that is there once the engine answers; both are made where they are missing.

    Raises:
        CalledProcessError: This machine cannot have an engine; the last line of stderr says why.
    """
    done = subprocess.run(
        ["/bin/bash", str(ROOT / "deploy" / "engine.sh")],
        capture_output=True, text=True, check=True, timeout=600,
    )  # fmt: skip
    return done.stdout.strip().splitlines()[-1].rpartition(" ")[2]
