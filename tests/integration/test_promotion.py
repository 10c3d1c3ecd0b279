"""Promotion in a real ZenML store: it shows what the registry says, whoever meddles with it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import run
from tabular.registry import Registry, open_registry
from tabular.signatures import SIGNATURE
from tests.unit.test_signatures import make_keys

ROOT = Path(__file__).parents[2]
PROBLEM = "flowers"

Call = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def registry(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The session's registry with two versions of a problem of our own, the second signed."""
    problem = tmp_path_factory.mktemp("problem") / f"{PROBLEM}.yaml"
    shutil.copy(ROOT / "configs" / "problems" / "iris.yaml", problem)
    registry = open_registry(str(home / "registry"))
    run.main(["--train", "--problem", str(problem)])
    private, _ = make_keys(problem.parent / "keys")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENTOLINE_SIGNING_KEY", str(private))
        run.main(["--train", "--problem", str(problem)])
    for version in registry.versions(PROBLEM):
        registry.set_alias(PROBLEM, "production", version, actor="test", why="both held it")
    return registry


@pytest.fixture
def call(registry: Registry, capfd: pytest.CaptureFixture[str]) -> Call:
    """Call `run.py` on the problem and give its exit code and all that it said.

    Each test begins with v2 in staging and production, and ZenML showing so.
    """
    for alias in ("staging", "production"):
        registry.set_alias(PROBLEM, alias, "v2", actor="test", why="to begin with")
    assert run.main(["--status"]) == 0
    capfd.readouterr()

    def call(*flags: str) -> tuple[int, str]:
        code = run.main([*flags, "--problem", PROBLEM])
        said = "".join(capfd.readouterr())
        return code, said

    return call


def shown() -> dict[str, str | None]:
    """ZenML's stage by version, from its own client."""
    from zenml.client import Client

    versions = Client().list_model_versions(model_name_or_id=PROBLEM, size=1000).items
    return {version.name: version.stage for version in versions}


def write_store(home: Path, statement: str, *values: str) -> None:
    """Meddle with ZenML's own database."""
    database = next(iter(home.rglob("zenml.db")))
    with closing(sqlite3.connect(database)) as store, store:
        store.execute(statement, values)


def test_model_version_carries_stage_tags_metadata_run_and_artifacts(
    registry: Registry, call: Call
) -> None:
    from zenml.client import Client

    client = Client()
    report = registry.manifest(PROBLEM, "v2")["report"]
    version = client.get_model_version(PROBLEM, "v2")
    assert version.stage == "production"
    verdict = "accepted" if report["verdict"]["accepted"] else "refused"
    assert {tag.name for tag in version.tags} == {"candidate", verdict}
    assert version.run_metadata["accuracy"] == report["metrics"]["accuracy"]["value"]
    assert version.run_metadata["evaluation_set"] == report["evaluation_set"]
    assert report["evaluation_set"]["n_rows"] == 30
    assert str(version.run_metadata["bundle"]).endswith(f"{PROBLEM}/versions/v2")
    runs = client.list_model_version_pipeline_run_links(model_version_id=version.id).items
    assert [str(link.pipeline_run.id) for link in runs] == [report["run"]]
    links = client.list_model_version_artifact_links(model_version_id=version.id, size=100).items
    assert "bundle" in {link.artifact_version.artifact.name for link in links}


def test_version_trained_with_a_signing_key_is_signed(registry: Registry) -> None:
    for version, signed in (("v1", False), ("v2", True)):
        folder = registry.fetch(PROBLEM, version)
        assert (folder / SIGNATURE).exists() is signed


def test_rollback_moves_production_and_zenml_follows(registry: Registry, call: Call) -> None:
    code, said = call("--rollback")
    assert (code, registry.alias(PROBLEM, "production")) == (0, "v1")
    assert said.index("production is v1 now") < said.index("ZenML shows it too")
    assert shown() == {"v1": "production", "v2": "staging"}
    assert call("--rollback", "--to", "v2")[0] == 0
    assert shown() == {"v1": "archived", "v2": "production"}
    code, said = call("--status")
    assert code == 0
    assert "ZenML" not in said


def test_two_versions_in_production_are_named_and_healed_by_status(call: Call, home: Path) -> None:
    """What ZenML's promotion race leaves, and cannot mend itself."""
    from zenml.client import Client

    write_store(home, "update model_version set stage = 'production' where name = ?", "v1")
    with pytest.raises(Exception, match="production"):
        Client().get_model_version(PROBLEM, "production")
    code, said = call("--status")
    assert code == 0
    assert f"{PROBLEM} v1 was in production, and the registry says archived" in said
    assert "ZenML shows the registry's aliases again" in said
    assert Client().get_model_version(PROBLEM, "production").name == "v2"
    assert "ZenML" not in call("--status")[1]


def test_meddling_with_tags_stages_and_foreign_versions_is_healed(call: Call) -> None:
    from zenml.client import Client

    client = Client()
    client.update_model_version(PROBLEM, "v2", stage="staging", remove_tags=["candidate"])
    client.create_model_version(PROBLEM, name="mine")
    client.update_model_version(PROBLEM, "mine", stage="production", force=True)
    code, said = call("--status", "--json")
    mirrored = json.loads(said[said.index("{") :])["zenml"]
    assert (code, mirrored["state"]) == (0, "healed")
    assert any("the registry has no such version" in line for line in mirrored["disagreed"])
    assert shown() == {"v1": "archived", "v2": "production", "mine": "archived"}
    assert "candidate" in {tag.name for tag in client.get_model_version(PROBLEM, "v2").tags}


def test_store_that_only_zenml_can_read_is_healed_through_zenml(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another ZenML may name its tables otherwise, or be a server."""
    monkeypatch.setattr("pipelines.store_view._SHOWN", "select ? from nowhere")
    assert "ZenML" not in call("--status")[1]
    write_store(home, "update model_version set stage = 'production' where name = ?", "v1")
    assert f"{PROBLEM} v1 was in production" in call("--status")[1]
    assert shown()["v1"] == "archived"


def test_lost_model_version_is_made_again(call: Call) -> None:
    from zenml.client import Client

    Client().delete_model_version(Client().get_model_version(PROBLEM, "v1").id)
    assert "v1 was missing" in call("--status")[1]
    assert shown()["v1"] == "archived"


@pytest.fixture
def busy_store(home: Path) -> Iterator[None]:
    """Somebody else holds the ZenML store."""
    with (home / "zenml" / "bentoline.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.mark.usefixtures("busy_store")
def test_busy_zenml_store_keeps_no_alias_from_moving(
    registry: Registry, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.mirror.WAIT_S", 0.1)
    code, said = call("--rollback", "--to", "v1")
    assert (code, registry.alias(PROBLEM, "production")) == (0, "v1")
    assert "ZenML does not show it yet" in said
    assert "--status" in said
    code, said = call("--status")
    assert code == 0
    assert "v2 was in production, and the registry says staging" in said


def test_promotion_asks_for_a_completed_run_and_dead_ones_are_reaped(
    registry: Registry, call: Call, home: Path
) -> None:
    from zenml.client import Client

    dead = registry.manifest(PROBLEM, "v1")["report"]["run"]
    write_store(
        home, "update pipeline_run set status = 'running' where id = ?", dead.replace("-", "")
    )
    flags = ("--promote", "v1", "--to", "staging", "--why", "t")
    code, said = call(*flags)
    assert code == 1
    assert f"its ZenML run {dead} is running, not completed" in said
    assert registry.alias(PROBLEM, "staging") == "v2"
    code, said = call(*flags, "--override", "its process was killed after publishing")
    assert code == 0
    assert Client().get_pipeline_run(dead).status == "failed"
    assert shown() == {**shown(), "v1": "staging", "v2": "production"}


WATCHED = """
import sys, time
class Watch:
    def find_spec(self, name, *_):
        if name == "zenml":
            from tabular.registry import open_registry
            print("ZENML", open_registry(sys.argv[1]).alias("flowers", "production"),
                  time.process_time(), file=sys.stderr)
            sys.meta_path.remove(self)
sys.meta_path.insert(0, Watch())
import run
sys.exit(run.main(["--rollback", "--to", sys.argv[2], "--problem", "flowers"]))
"""


def test_rollback_moves_before_zenml_is_imported_and_survives_a_broken_store(
    registry: Registry, home: Path, tmp_path: Path
) -> None:
    """In a process of its own, with a ZenML store that ZenML cannot read."""
    (tmp_path / "zenml").mkdir()
    (tmp_path / "zenml" / "config.yaml").write_text("store: {type: sql, url: 'nonsense://'}\n")
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(home / "registry"), "v1"],
        cwd=ROOT,
        env=os.environ
        | {
            "BENTOLINE_HOME": str(tmp_path),
            "BENTOLINE_REGISTRY": str(home / "registry"),
            "ZENML_CONFIG_PATH": str(tmp_path / "zenml"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ZenML does not show it yet" in done.stdout
    _, alias, cpu_s = next(x for x in done.stderr.splitlines() if x.startswith("ZENML")).split()
    assert alias == "v1"
    assert float(cpu_s) < 2
    registry.set_alias(PROBLEM, "production", "v2", actor="test", why="as it was")
