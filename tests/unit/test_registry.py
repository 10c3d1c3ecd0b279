"""The registry: whole versions, atomic aliases, a complete audit, whoever dies or races."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tabular.bundle import load_bundle
from tabular.errors import BundleError, ConfigError, StoreError
from tabular.registry import Registry
from tests.unit.tiny import write_tiny


@pytest.fixture
def bundle(tmp_path):
    return write_tiny(tmp_path / "bundle").path


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


def move(registry, version, name="production", **more):
    registry.set_alias("tiny", name, version, actor="ann", why="better", **more)


def test_publish_counts_versions_and_keeps_every_byte(registry, bundle):
    assert [registry.publish("tiny", bundle) for _ in range(11)][-1] == "v11"
    assert registry.versions("tiny") == [f"v{n}" for n in range(1, 12)]
    assert registry.problems() == ["tiny"]
    published = load_bundle(registry.path("tiny", "v10"))
    assert published.manifest == load_bundle(bundle).manifest


def test_publish_refuses_a_changed_bundle_and_leaves_no_version(registry, bundle):
    (bundle / "golden.json").write_text("[]")
    with pytest.raises(BundleError, match=r"golden\.json"):
        registry.publish("tiny", bundle)
    assert registry.versions("tiny") == []


def test_a_temporary_folder_of_a_killed_process_is_ignored_and_cleared(registry, bundle):
    registry.publish("tiny", bundle)
    leftover = registry.root / "tiny" / "versions" / ".v2.abc.part"
    leftover.mkdir()
    (leftover / "manifest.json").write_text("{}")
    assert registry.versions("tiny") == ["v1"]
    assert registry.publish("tiny", bundle) == "v2"
    assert not leftover.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from tabular import bundle, files, registry
what, root, folder = sys.argv[1:]
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
if what == "publish":
    files._rename_folder = die
    registry.Registry(Path(root)).publish("tiny", Path(folder))
elif what == "alias":
    files.os.replace = die
else:
    registry.Registry._append = die
registry.Registry(Path(root)).set_alias("tiny", "production", "v2", actor="bob", why="new")
"""


def kill_at(what, registry, bundle):
    command = [sys.executable, "-c", KILLED, what, str(registry.root), str(bundle)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -9


def test_a_kill_before_the_rename_leaves_the_old_versions(registry, bundle):
    registry.publish("tiny", bundle)
    kill_at("publish", registry, bundle)
    assert registry.versions("tiny") == ["v1"]
    assert registry.publish("tiny", bundle) == "v2"


def test_a_kill_before_the_move_leaves_alias_and_audit_as_they_were(registry, bundle):
    registry.publish("tiny", bundle)
    registry.publish("tiny", bundle)
    move(registry, "v1")
    kill_at("alias", registry, bundle)
    assert registry.aliases("tiny") == {"production": "v1"}
    assert len(registry.audit("tiny")) == 1


def test_a_kill_before_the_audit_line_is_made_good_by_the_next_move(registry, bundle):
    registry.publish("tiny", bundle)
    registry.publish("tiny", bundle)
    move(registry, "v1")
    kill_at("audit", registry, bundle)
    assert registry.alias("tiny", "production") == "v2"
    move(registry, "v1")
    moves = [(r["from"], r["to"], r["actor"]) for r in registry.audit("tiny")]
    assert moves == [(None, "v1", "ann"), ("v1", "v2", "bob"), ("v2", "v1", "ann")]


def test_half_an_audit_line_is_not_read_and_not_built_upon(registry, bundle):
    registry.publish("tiny", bundle)
    move(registry, "v1")
    with (registry.root / "tiny" / "audit.jsonl").open("a") as file:
        file.write('{"alias": "prod')
    assert len(registry.audit("tiny")) == 1
    move(registry, "v1", "staging")
    assert [r["alias"] for r in registry.audit("tiny")] == ["production", "staging"]


def test_a_move_is_written_down_with_who_why_and_commit(registry, bundle):
    registry.publish("tiny", bundle)
    assert registry.alias("tiny", "production") is None
    move(registry, "v1")
    (record,) = registry.audit("tiny")
    at = record.pop("at")
    assert at.endswith("+00:00")
    assert record == {
        "alias": "production", "from": None, "to": "v1", "actor": "ann", "why": "better",
        "git_commit": "abc",
    }  # fmt: skip


def test_compare_and_swap_refuses_when_the_alias_has_moved(registry, bundle):
    registry.publish("tiny", bundle)
    registry.publish("tiny", bundle)
    move(registry, "v1", expected=None)
    with pytest.raises(StoreError, match="production is v1, not v2 as expected"):
        move(registry, "v2", expected="v2")
    assert registry.alias("tiny", "production") == "v1"


def test_previous_goes_back_through_promotions_not_through_rollbacks(registry, bundle):
    for _ in range(3):
        move(registry, registry.publish("tiny", bundle))
    assert registry.previous("tiny", "production") == "v2"
    move(registry, "v2")
    assert registry.previous("tiny", "production") == "v1"
    move(registry, "v1")
    assert registry.previous("tiny", "production") is None


def test_racing_publishers_and_movers_lose_nothing(registry, bundle):
    registry.publish("tiny", bundle)

    def work(_):
        move(registry, registry.publish("tiny", bundle))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))
    assert registry.versions("tiny") == [f"v{n}" for n in range(1, 18)]
    audit = registry.audit("tiny")
    assert sorted(r["to"] for r in audit) == sorted(f"v{n}" for n in range(2, 18))
    assert [r["from"] for r in audit] == [None, *(r["to"] for r in audit[:-1])]
    assert registry.alias("tiny", "production") == audit[-1]["to"]


def test_an_alias_cannot_name_a_version_that_is_not_there(registry, bundle):
    registry.publish("tiny", bundle)
    with pytest.raises(ConfigError, match=r"no version 'v2'.*'v1'"):
        move(registry, "v2")
    with pytest.raises(ConfigError, match="it has none; train it first"):
        registry.path("other", "v1")


def test_an_alias_cannot_name_a_version_that_was_changed(registry, bundle):
    registry.publish("tiny", bundle)
    (registry.path("tiny", "v1") / "model.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"model\.onnx"):
        move(registry, "v1")
    assert registry.aliases("tiny") == {}


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "a\n"])
def test_a_name_cannot_leave_the_folder(registry, name):
    with pytest.raises(ConfigError, match="is no name"):
        registry.versions(name)
    with pytest.raises(ConfigError, match="is no name"):
        registry.alias("tiny", name)


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"to": "../v1"})])
def test_a_damaged_alias_is_named(registry, bundle, text):
    registry.publish("tiny", bundle)
    move(registry, "v1")
    (registry.root / "tiny" / "aliases" / "production.json").write_text(text)
    with pytest.raises(StoreError, match=r"production\.json: the alias is damaged"):
        registry.alias("tiny", "production")


def test_a_registry_that_cannot_be_written_says_so(tmp_path, bundle):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Registry(tmp_path / "file").publish("tiny", bundle)
