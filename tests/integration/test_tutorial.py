"""The tutorial's own lines, one after the other, in a checkout with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.checkout import make_checkout
from tests.s3 import free_port
from tests.unit.docs_pages import blocks

SET_UP = "make train"  # makes the environment that these tests run in


def lines() -> list[str]:
    """Every command of the tutorial but the one that sets up."""
    shown = [b for b in blocks("bash") if b.page == "docs/tutorial.md"]
    found = [line for block in shown for line in block.text.splitlines()]
    assert found[0] == SET_UP
    return found[1:]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The code as it stands, with this environment as its own."""
    folder = tmp_path / "bentoline"
    folder.mkdir()
    make_checkout(folder)
    bin_folder = folder / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    python = bin_folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    strange = ("BENTOLINE_", "ZENML_", "MONGODB_", "MLFLOW_", "AWS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    return {**kept, "BENTOLINE_HOME": str(tmp_path / "home")}


@pytest.fixture
def servers() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Those that a test started; ended with it."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for server in started:
        server.terminate()
        server.wait(30)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_tutorial_leads_from_a_table_to_a_traced_answer(
    checkout: Path,
    environment: dict[str, str],
    servers: list[subprocess.Popen[bytes]],
) -> None:
    port = str(free_port())
    said = {}
    for line in lines():
        command = line.replace("localhost:8000", f"localhost:{port}")
        if "--serve" in line:
            servers.append(
                subprocess.Popen(
                    ["sh", "-c", f"exec {command} --port {port}"],
                    cwd=checkout, env=environment, stderr=subprocess.DEVNULL,
                )
            )  # fmt: skip
            wait_until_ready(port, servers[-1])
            continue
        done = subprocess.run(
            ["sh", "-c", command], cwd=checkout, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        said[line] = done.stdout
    answers = json.loads(next(out for line, out in said.items() if "/predict" in line))
    assert [answer["prediction"] for answer in answers] == ["0", "0", "0"]
    assert (checkout / "configs" / "problems" / "tumours.yaml").is_file()
    assert (Path(environment["BENTOLINE_HOME"]) / "reports" / "tumours.html").is_file()
    traced = next(out for line, out in said.items() if "--trace" in line)
    assert "tumours v1" in traced
    assert "tumours.csv" in traced
    assert "training run" in traced


def wait_until_ready(port: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    command = ["curl", "-sf", "-o", "/dev/null", f"localhost:{port}/readyz"]
    while subprocess.run(command, check=False).returncode:
        assert server.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
