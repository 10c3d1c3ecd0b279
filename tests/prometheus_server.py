"""A real Prometheus with our configuration and rules, on another target and a shorter interval."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.ports import wait_for_port
from tests.s3 import free_port

CONFIG = Path(__file__).parents[1] / "deploy" / "prometheus" / "prometheus.yml"
START_S = 30


class Prometheus:
    """A running one."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/api/v1/"
        self._ready = f"http://127.0.0.1:{port}/-/ready"

    def ask(self, path: str, **parameters: str) -> Any:
        """What its interface answers; an expression that it refuses raises HTTPError."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(self._address + path + query, timeout=10) as answer:
            return json.load(answer)["data"]

    def is_ready(self) -> bool:
        """Whether it has read its store; before that it listens and answers 503."""
        try:
            urllib.request.urlopen(self._ready, timeout=10).close()
        except urllib.error.HTTPError:
            return False
        return True

    def values(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The value of an expression now, by the labels of each series."""
        return {
            tuple(sorted(series["metric"].items())): float(series["value"][1])
            for series in self.ask("query", query=expression)["result"]
        }

    def value(self, expression: str) -> float | None:
        """Its one value; None where there is no series."""
        found = list(self.values(expression).values())
        assert len(found) < 2, found
        return found[0] if found else None

    def wait_until(self, expression: str, expected: float, within_s: float = 30) -> None:
        """Return once an expression has this value."""
        deadline = time.monotonic() + within_s
        while (found := self.value(expression)) != expected:
            assert time.monotonic() < deadline, f"{expression} is {found}, not {expected}"
            time.sleep(0.1)


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """Scrape a target every second; it ends with the block."""
    config = yaml.safe_load(CONFIG.read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(CONFIG.parent / name) for name in config["rule_files"]]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        "prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (
        (folder / "prometheus.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as server,
    ):
        try:
            wait_for_port(port, server, "prometheus", within_s=START_S)
            scraping = Prometheus(port)
            deadline = time.monotonic() + START_S
            while not scraping.is_ready():
                assert time.monotonic() < deadline, "prometheus did not get ready"
                time.sleep(0.05)
            yield scraping
        finally:
            server.terminate()
