"""Moves by hand: gates are asked, overrides are kept, and what is wrong changes nothing."""

from __future__ import annotations

import getpass
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pipelines.promotion import promote
from tabular.errors import StoreError
from tabular.registry import open_registry
from tabular.stores.folder import FolderStore
from tests.unit.published import BAD, STAGING_ONLY, Published, gate, published
from tests.unit.test_signatures import make_keys

__all__ = ["published"]
RUN = "0123456789abcdef0123456789abcdef"


def aliases(published: Published) -> dict[str, str]:
    return published.registry.aliases("tiny")


def test_promote_moves_the_alias_and_says_who_and_why(published: Published) -> None:
    version = published.add()
    report = published.home / "out.json"
    assert published.promote(version, "--report", str(report)) == 0
    assert "production is v1 now, was not set" in published.said
    (move,) = published.registry.audit("tiny")
    assert (move["alias"], move["from"], move["to"]) == ("production", None, "v1")
    assert (move["why"], move["override"]) == ("it is better", "")
    assert move["actor"].startswith(f"{getpass.getuser()}@")
    outcome = json.loads(report.read_text())
    assert outcome["moved"] is True
    assert outcome["record"]["why"] == "it is better"


def test_promote_by_an_alias_moves_the_version_that_it_names(published: Published) -> None:
    published.add()
    published.promote("v1", to="staging")
    assert published.promote("staging") == 0
    assert aliases(published) == {"staging": "v1", "production": "v1"}


def test_promote_of_the_present_version_adds_no_record(published: Published) -> None:
    published.add()
    published.promote("v1")
    assert published.promote("v1") == 0
    assert "production is v1 already" in published.said
    assert len(published.registry.audit("tiny")) == 1


def test_version_that_passed_staging_only_goes_no_further(published: Published) -> None:
    published.add(STAGING_ONLY)
    assert published.promote("v1", to="staging") == 0
    assert published.promote("v1", to="production") == 1
    assert "f1 of production is 0.7, and must be at least 0.9" in published.erred
    assert aliases(published) == {"staging": "v1"}


def test_version_that_failed_a_gate_of_staging_reaches_no_alias(published: Published) -> None:
    published.add(BAD)
    for alias in ("staging", "production"):
        assert published.promote("v1", to=alias) == 1
        assert "f1 of staging is 0.7" in published.erred
        assert "--override" in published.erred
    assert aliases(published) == {}


def test_gate_that_only_warns_keeps_no_version_back(published: Published) -> None:
    published.add([gate("staging", passed=False, severity="warn")])
    assert published.promote("v1") == 0


def test_version_without_a_verdict_is_refused(published: Published) -> None:
    published.add(report={"verdict": None})
    assert published.promote("v1") == 1
    assert "its manifest has no verdict" in published.erred


def test_override_moves_a_refused_version_and_stays_in_the_audit(published: Published) -> None:
    published.add(BAD)
    published.add()
    assert published.promote("v1", "--override", "the old one is down") == 0
    published.promote("v2")
    first, second = published.registry.audit("tiny")
    assert (first["override"], second["override"]) == ("the old one is down", "")
    published.call("--status")
    assert "override: the old one is down" in published.said


@pytest.mark.parametrize("status", ["running", "failed"])
def test_version_whose_run_did_not_complete_is_refused(published: Published, status: str) -> None:
    zenml_store_with(published.home, RUN, status)
    published.add(report={"run": RUN})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.commands.promotion.mirror_promotion", None)
        assert published.promote("v1") == 1
    assert f"its ZenML run {RUN} is {status}, not completed" in published.erred


def test_roll_back_goes_to_the_version_before_and_then_to_the_one_before_that(
    published: Published,
) -> None:
    for number in (1, 2, 3):
        published.add()
        published.promote(f"v{number}")
    for version in ("v2", "v1"):
        assert published.call("--rollback") == 0
        assert f"production is {version} now" in published.said
    assert published.registry.audit("tiny")[-1]["why"] == "rolled back by hand"
    assert published.call("--rollback") == 2
    assert "production is v1, the first version that it named" in published.erred
    assert "nothing to roll back to" in published.erred


@pytest.mark.parametrize("flags", [(), ("--to", "v1")])
def test_roll_back_reads_each_record_of_production_once(
    published: Published, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    """In S3 a record costs a request, and a long history would cost seconds."""
    for number in (1, 2, 3):
        published.add()
        for alias in ("staging", "production"):
            published.promote(f"v{number}", to=alias)
    folder = published.home / "registry" / "tiny" / "audit" / "production"
    records = sorted(f"tiny/audit/production/{path.name}" for path in folder.glob("0*"))
    keys: list[str] = []
    asked = FolderStore.read
    monkeypatch.setattr(FolderStore, "read", lambda at, key: keys.append(key) or asked(at, key))
    assert published.call("--rollback", *flags) == 0
    assert sorted(key for key in keys if "/audit/" in key) == records


def test_roll_back_to_a_version_that_held_production_asks_no_gate(published: Published) -> None:
    published.add(BAD)
    published.promote("v1", "--override", "needed")
    published.add()
    published.promote("v2")
    published.add()
    published.promote("v3")
    assert published.call("--rollback", "--to", "v1", "--why", "v3 is slow") == 0
    assert published.registry.audit("tiny")[-1]["why"] == "v3 is slow"


def test_roll_back_to_a_version_that_never_held_production_asks_its_gates(
    published: Published,
) -> None:
    for gates in ((gate("staging", passed=True),), BAD, ()):
        published.add(gates)
    published.promote("v1")
    assert published.call("--rollback", "--to", "v2") == 1
    assert "f1 of staging is 0.7" in published.erred
    assert published.call("--rollback", "--to", "v3") == 0
    assert aliases(published) == {"production": "v3"}


def test_roll_back_to_the_present_version_moves_nothing(published: Published) -> None:
    published.add()
    published.promote("v1")
    assert published.call("--rollback", "--to", "v1") == 0
    assert "already" in published.said


def test_promotion_that_was_overtaken_says_so_and_moves_nothing(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else promotes v1 between our look at the alias and our move."""
    published.add()
    published.add()
    registry = published.registry
    read = registry.manifest

    def read_late(problem: str, version: str) -> dict[str, Any]:
        monkeypatch.undo()
        published.registry.set_alias("tiny", "production", "v1", actor="bob", why="first")
        return read(problem, version)

    monkeypatch.setattr(registry, "manifest", read_late)
    with pytest.raises(StoreError, match=r"is v1, not None as expected.*look at --status"):
        promote(registry, "tiny", "v2", "production", store=published.home, why="mine")
    assert aliases(published) == {"production": "v1"}


WRONG = {
    "unknown version": (["--promote", "v7", "--to", "staging", "--why", "x"], "['v2', 'v1']"),
    "unknown alias": (
        ["--promote", "champion", "--to", "staging", "--why", "x"],
        "no champion yet",
    ),
    "no --to": (["--promote", "v2", "--why", "x"], "--to staging or --to production"),
    "wrong --to": (["--promote", "v2", "--to", "prod", "--why", "x"], "staging or production"),
    "candidate": (["--promote", "v2", "--to", "candidate", "--why", "x"], "staging or production"),
    "no --why": (["--promote", "v2", "--to", "staging"], '--why "..."'),
    "empty --why": (["--promote", "v2", "--to", "staging", "--why", " "], '--why "..."'),
    "unknown version to roll back to": (["--rollback", "--to", "v9"], "no version 'v9'"),
    "no such problem": (["--rollback", "--problem", "tinny"], "did you mean 'tiny'"),
    "no such problem's status": (["--status", "--problem", "tinny"], "did you mean 'tiny'"),
    "unknown version to compare": (["--diff", "v1", "v9"], "no version 'v9'"),
    "no folder for the report": (["--rollback", "--report", "/nowhere/x.json"], "/nowhere"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_one_sentence_and_changes_nothing(published: Published, what: str) -> None:
    flags, said = WRONG[what]
    for version in ("v1", "v2"):
        published.add()
        published.promote(version)
    before = published.registry.audit("tiny")
    assert published.call(*flags) == 2
    assert said in published.erred
    assert len(published.erred.strip().splitlines()) == 1
    assert published.registry.audit("tiny") == before


def test_roll_back_before_any_production_says_how_to_set_it(published: Published) -> None:
    published.add()
    assert published.call("--rollback") == 2
    assert "no production yet" in published.erred


@pytest.mark.parametrize("flags", [("--rollback",), ("--promote", "v1"), ("--diff", "v1", "v2")])
def test_hand_edited_manifest_is_refused_and_changes_nothing(
    published: Published, flags: tuple[str, ...]
) -> None:
    for version in ("v1", "v2"):
        published.add(STAGING_ONLY)
        published.promote(version, "--override", "x")
    manifest = published.home / "registry" / "tiny" / "versions" / "v1" / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"passed": false', '"passed": true'))
    assert manifest.read_text() != text
    more = ("--to", "production", "--why", "x") if "--promote" in flags else ()
    assert published.call(*flags, *more) == 2
    assert str(manifest) in published.erred
    assert "changed after" in published.erred
    assert aliases(published) == {"production": "v2"}


def test_version_with_a_changed_byte_is_refused_and_the_file_is_named(
    published: Published,
) -> None:
    published.add()
    graph = published.home / "registry" / "tiny" / "versions" / "v1" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    assert published.promote("v1", "--override", "x") == 2
    assert str(graph) in published.erred
    assert aliases(published) == {}


@pytest.mark.parametrize("action", [("--status",), ("--rollback",), ("--diff", "v1", "v2")])
def test_registry_that_cannot_be_read_is_named(
    published: Published, monkeypatch: pytest.MonkeyPatch, action: tuple[str, ...]
) -> None:
    location = published.home / "file"
    location.write_text("no folder")
    monkeypatch.setenv("BENTOLINE_REGISTRY", str(location))
    assert published.call(*action) == 2
    assert str(location) in published.erred


def zenml_store_with(home: Path, run: str, status: str) -> None:
    """As much of a ZenML store as a look at a run's status needs."""
    folder = home / "zenml"
    folder.mkdir()
    with sqlite3.connect(folder / "zenml.db") as file:
        file.execute("create table pipeline_run (id text, status text)")
        file.execute("insert into pipeline_run values (?, ?)", (run, status))
    (folder / "config.yaml").write_text(f"store: {{url: 'sqlite:///{folder}/zenml.db'}}\n")


def test_registry_in_another_folder_is_found_by_its_variable(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.add()
    (published.home / "registry").rename(published.home / "elsewhere")
    monkeypatch.setenv("BENTOLINE_REGISTRY", str(published.home / "elsewhere"))
    assert published.promote("v1") == 0
    registry = open_registry(str(published.home / "elsewhere"))
    assert registry.alias("tiny", "production") == "v1"


def test_unsigned_version_is_refused_where_a_public_key_is_named(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.add()
    _, public = make_keys(published.home / "keys")
    monkeypatch.setenv("BENTOLINE_PUBLIC_KEY", str(public))
    assert published.promote("v1", "--override", "x") == 2
    assert "signature is missing" in published.erred
    assert aliases(published) == {}
