"""The real service in a process of its own, and a real browser on its page."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tabular.bundle import seal
from tabular.registry import open_registry
from tests.unit.tiny import RECORDS, write_tiny

ROOT = Path(__file__).parents[2]
START_S = 60
FACTS = {
    "title": "A tiny model",
    "target": {"column": "y", "description": "Whether it is so", "unit": ""},
    "report": {
        "metrics": {"f1": {"value": 0.91, "low": 0.88, "high": 0.94}},
        "verdict": {"accepted": True, "sentence": "Accepted: 1 of 1 gates hold.", "results": []},
        "created_at": "2026-01-02T03:04:05+00:00",
    },
}


def publish(folder: Path, registry: Path, task: str) -> None:
    """A tiny version in production."""
    bundle = write_tiny(folder / task, task)
    sealed = seal(bundle, folder / f"{task}-sealed", FACTS)
    versions = open_registry(str(registry))
    version = versions.publish("tiny", sealed.path)
    versions.set_alias("tiny", "production", version, actor="test", why="test")


Serve = Callable[..., str]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start the service on a tiny model of a task, or on none; once each. Gives its address."""
    running: dict[str, tuple[subprocess.Popen[bytes], str]] = {}

    def start(task: str = "binary") -> str:
        if task not in running:
            folder = tmp_path_factory.mktemp(task)
            if task != "none":
                publish(folder, folder / "registry", task)
            running[task] = start_service(folder)
        return running[task][1]

    yield start
    for process, _ in running.values():
        process.terminate()
    for process, _ in running.values():
        process.wait(20)


def start_service(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """`bentoml serve` as a user starts it, with the registry under `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "BENTOLINE_PROBLEM": "tiny",
        "BENTOLINE_REGISTRY": str(folder / "registry"),
        "BENTOML_HOME": str(folder / "bentoml"),
    }
    command = [str(Path(sys.executable).parent / "bentoml"), "serve", "--port", str(port)]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_S
    while not is_alive(address):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail((folder / "serve.log").read_text()[-2000:])
        time.sleep(0.1)
    return process, address


def is_alive(address: str) -> bool:
    try:
        with urlopen(f"{address}/livez", timeout=2) as answer:  # our own address
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@pytest.fixture(scope="module")  # its event loop must not outlive this folder's tests
def chromium() -> Iterator[Any]:
    """A real browser, or the reason why there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any, serve: Serve) -> Iterator[Callable[..., Any]]:
    """Open the page of a task; at the end nothing may have failed or left this machine."""
    contexts, troubles = [], []

    def opened(task: str = "binary", *, width: int = 1200) -> Any:
        address = serve(task)
        context = chromium.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(40_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "blob:"))
                or troubles.append(f"left this machine: {request.url}")
            ),
        )
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture
def record() -> dict[str, Any]:
    """A record that the tiny model answers."""
    return dict(RECORDS[0])
