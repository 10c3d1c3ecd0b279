"""`--dashboard` where there is nothing to serve, or nowhere to serve it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import run
from pipelines.dashboard import environment


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOLINE_HOME", str(tmp_path))
    for name in ("ZENML_CONFIG_PATH", "ZENML_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def with_store(home: Path) -> Path:
    """Let the home look as if a run had been made there."""
    (home / "zenml").mkdir()
    (home / "zenml" / "config.yaml").write_text(f"store: {{url: 'sqlite:///{home}/zenml.db'}}\n")
    return home


def test_home_without_runs_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--dashboard"]) == 2
    said = capsys.readouterr().err
    assert f"{home} has no runs yet; --train makes one" in said
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("port", ["0", "65536"])
def test_port_that_is_none_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str], port: str
) -> None:
    assert run.main(["--dashboard", "--port", port]) == 2
    assert f"--port must be from 1 to 65535, got {port}." in capsys.readouterr().err


def test_port_that_is_taken_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_store(home)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run.main(["--dashboard", "--port", str(port)]) == 2
    assert f"--port {port} is taken by another program" in capsys.readouterr().err


def test_store_that_is_a_server_has_its_dashboard_there(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZENML_STORE_URL", "https://zenml.example.com")
    assert run.main(["--dashboard"]) == 0
    assert "its dashboard is at https://zenml.example.com" in capsys.readouterr().out


def test_server_has_the_stores_rows_and_a_configuration_of_its_own(home: Path) -> None:
    given = environment(home, "sqlite:///x.db", home / "own")
    assert given["ZENML_STORE_URL"] == "sqlite:///x.db"
    assert given["ZENML_CONFIG_PATH"] == str(home / "own")
    assert given["ZENML_ANALYTICS_OPT_IN"] == "false"
