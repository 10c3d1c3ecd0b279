"""`--dashboard`: ZenML's own server on this project's runs, with no survey before them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.s3 import free_port

ROOT = Path(__file__).parents[2]


def test_dashboard_shows_the_run_asks_nothing_and_ends_in_order(
    train: Callable[..., Any], home: Path, tmp_path: Path
) -> None:
    made = train().report["run"]
    port = free_port()
    said = tmp_path / "said"

    def ask(path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.read()

    command = [sys.executable, str(ROOT / "run.py"), "--dashboard", "--port", str(port)]
    with said.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=os.environ)
    try:
        address = f"http://127.0.0.1:{port}/projects/default/runs"
        deadline = time.monotonic() + 120
        while address not in said.read_text():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert b'id="root"' in ask("/projects/default/runs")
        runs = json.loads(ask("/api/v1/runs?size=1000&sort_by=desc:created"))["items"]
        assert made in [one["id"] for one in runs]
        user = json.loads(ask("/api/v1/current-user"))
        assert user["body"]["email_opted_in"] is False
        assert user["metadata"]["user_metadata"]["finished_onboarding_survey"] is True
        assert json.loads(ask("/api/v1/info"))["analytics_enabled"] is False
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert code == 0, said.read_text()
    assert str(home) not in said.read_text()
