"""What is in an image, package by package: a CycloneDX document, written by syft."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.engine import reason
from tabular.errors import ConfigError, StoreError

# Names what it is asked about, and asks nobody whether there is a newer syft.
QUIET = {"SYFT_CHECK_FOR_APP_UPDATE": "false"}


def find_syft(file: Path) -> str:
    """The command that writes the document, once `file` can be written.

    Raises:
        ConfigError: It is not installed, or there is no such folder.
    """
    if not file.absolute().parent.is_dir():
        raise ConfigError(f"--sbom {file}: there is no folder {file.parent}; make it.")
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if (syft := shutil.which("syft", path=folders)) is None:
        raise ConfigError(
            f"--sbom {file}: there is no syft on PATH; `make .venv/.installed-dev` installs it."
        )
    return syft


def write_sbom(syft: str, image_id: str, file: Path) -> str:
    """List the packages of an image of this machine's engine.

    Args:
        syft: From `find_syft`.
        image_id: What was tested, so that no name can mean another.
        file: Appears whole or not at all.

    Returns:
        The document's sha256.

    Raises:
        StoreError: syft could not read the image, or the disk is full.
    """
    new = file.with_name(f".{file.name}.new")
    done = subprocess.run(  # noqa: S603  # a tool of ours, with words of ours
        [syft, "scan", f"docker:{image_id}", "--quiet", "--output", f"cyclonedx-json={new}"],
        env={**os.environ, **QUIET},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        new.unlink(missing_ok=True)
        raise StoreError(f"--sbom {file}: syft failed on {image_id}: {reason(done.stderr)}.")
    digest = hashlib.sha256(new.read_bytes()).hexdigest()
    new.replace(file)
    return digest
