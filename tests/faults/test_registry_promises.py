"""Races and kills, a few of each: `python -m benchmarks.registry` does 200."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.registry_promises import N_RACERS, kill, race
from tests.faults.s3_proxy import faulty
from tests.s3 import BUCKET, client, credentials, moto

FOLDER_TIMES, S3_TIMES, FAULTY_TIMES = 25, 10, 3


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto() as address:
        client(address).create_bucket(Bucket=BUCKET)
        yield address


@pytest.fixture
def location(endpoint: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in credentials(endpoint).items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{request.node.name}"


def test_one_of_eight_racers_wins_each_round_in_a_folder(tmp_path: Path) -> None:
    outcome = race(str(tmp_path / "registry"), tmp_path, FOLDER_TIMES)
    assert outcome["moved"] == FOLDER_TIMES
    assert outcome["looks"] > 0


def test_one_of_eight_racers_wins_each_round_in_s3(location: str, tmp_path: Path) -> None:
    outcome = race(location, tmp_path, S3_TIMES)
    assert outcome["moved"] == S3_TIMES
    assert outcome["looks"] > 0


def test_a_kill_at_any_moment_leaves_old_or_new_in_a_folder(tmp_path: Path) -> None:
    assert kill(str(tmp_path / "registry"), tmp_path, FOLDER_TIMES)["kills"] == FOLDER_TIMES


def test_a_kill_at_any_moment_leaves_old_or_new_in_s3(location: str, tmp_path: Path) -> None:
    assert kill(location, tmp_path, S3_TIMES)["kills"] == S3_TIMES


def test_races_and_kills_keep_their_promises_where_one_request_in_ten_goes_wrong(
    endpoint: str, location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty(endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        proxy.share = 0.1
        assert race(f"{location}/race", tmp_path / "race", FAULTY_TIMES)["moved"] == FAULTY_TIMES
        assert kill(f"{location}/kill", tmp_path / "kill", FAULTY_TIMES)["kills"] == FAULTY_TIMES
    assert len(proxy.struck) > N_RACERS
    assert set(proxy.struck) == {"busy", "reset", "truncate", "corrupt"}
