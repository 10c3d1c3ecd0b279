"""The registry over a folder: whole versions, atomic aliases, a complete audit, whoever races."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tabular.bundle import load_bundle
from tabular.errors import BundleError, ConfigError, StoreError
from tabular.registry import Keys, Registry, open_registry
from tabular.stores.folder import FolderStore
from tabular.versions.documents import seal_document
from tests.unit.tiny import write_tiny


@pytest.fixture
def bundle(tmp_path):
    return write_tiny(tmp_path / "bundle").path


@pytest.fixture
def root(tmp_path):
    return tmp_path / "registry"


@pytest.fixture
def registry(root):
    return open_registry(str(root))


def move(registry, version, name="production", **more):
    return registry.set_alias("tiny", name, version, actor="ann", why="better", **more)


def test_publish_counts_versions_and_keeps_every_byte(registry, bundle):
    assert [registry.publish("tiny", bundle) for _ in range(11)][-1] == "v11"
    assert registry.versions("tiny") == [f"v{n}" for n in range(1, 12)]
    assert registry.problems() == ["tiny"]
    published = registry.fetch("tiny", "v10")
    files = sorted(path.name for path in bundle.iterdir())
    assert sorted(path.name for path in published.iterdir()) == files
    assert all((published / name).read_bytes() == (bundle / name).read_bytes() for name in files)
    assert registry.manifest("tiny", "v10") == load_bundle(bundle).manifest


def test_publish_refuses_a_changed_bundle_and_leaves_no_version(registry, bundle):
    (bundle / "golden.json").write_text("[]")
    with pytest.raises(BundleError, match=r"golden\.json"):
        registry.publish("tiny", bundle)
    assert registry.versions("tiny") == []


def test_a_temporary_folder_of_a_killed_process_is_ignored_and_cleared(registry, root, bundle):
    registry.publish("tiny", bundle)
    leftover = root / "tiny" / "versions" / ".v2.abc.part"
    leftover.mkdir()
    (leftover / "manifest.json").write_text("{}")
    assert registry.versions("tiny") == ["v1"]
    assert registry.publish("tiny", bundle) == "v2"
    assert not leftover.exists()


def test_a_name_that_is_taken_is_never_written_over(registry, root, bundle):
    folder = root / "tiny" / "versions" / "v1"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    assert registry.publish("tiny", bundle) == "v2"
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert registry.versions("tiny") == ["v2"]


def test_a_move_is_written_down_with_who_why_commit_and_image(registry, bundle):
    registry.publish("tiny", bundle)
    registry.record_fact("tiny", "v1", "image_digest", "sha256:1")
    assert registry.alias("tiny", "production") is None
    moved = move(registry, "v1", override="asked for by the owner")
    (record,) = registry.audit("tiny")
    assert record == moved
    assert record.pop("at").endswith("+00:00")
    assert len(record.pop("token")) == 32
    assert record == {
        "alias": "production", "from": None, "to": "v1", "actor": "ann", "why": "better",
        "override": "asked for by the owner", "git_commit": "abc", "image_digest": "sha256:1",
        "seq": 1, "after": "", "refused": "",
    }  # fmt: skip


def test_an_alias_that_has_moved_is_left_and_the_attempt_written_down(registry, bundle):
    registry.publish("tiny", bundle)
    registry.publish("tiny", bundle)
    move(registry, "v1", expected=None)
    with pytest.raises(StoreError, match="production is v1, not v2 as expected"):
        move(registry, "v2", expected="v2")
    assert registry.alias("tiny", "production") == "v1"
    moved, refused = registry.audit("tiny")
    assert (moved["to"], moved["refused"]) == ("v1", "")
    assert (refused["to"], refused["refused"]) == ("v2", "it was v1, not v2 as expected")


def test_previous_goes_back_through_promotions_not_through_rollbacks(registry, bundle):
    for _ in range(3):
        move(registry, registry.publish("tiny", bundle))
    with pytest.raises(StoreError):
        move(registry, "v1", expected="v2")  # an attempt is no move
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
        list(pool.map(work, range(8)))
    assert registry.versions("tiny") == [f"v{n}" for n in range(1, 10)]
    audit = registry.audit("tiny")
    assert sorted(r["to"] for r in audit) == sorted(f"v{n}" for n in range(2, 10))
    assert [r["from"] for r in audit] == [None, *(r["to"] for r in audit[:-1])]
    assert {r["refused"] for r in audit} == {""}
    assert registry.alias("tiny", "production") == audit[-1]["to"]


def test_an_alias_cannot_name_a_version_that_is_not_there(registry, bundle):
    registry.publish("tiny", bundle)
    with pytest.raises(ConfigError, match=r"no version 'v2'; it has \['v1'\]"):
        move(registry, "v2")
    with pytest.raises(ConfigError, match="it has none; train it first"):
        registry.fetch("other", "v1")
    assert registry.audit("tiny") == []


def test_an_unknown_version_is_answered_with_the_nearest(registry, bundle):
    for _ in range(9):
        registry.publish("tiny", bundle)
    with pytest.raises(ConfigError, match=r"'v12'; it has \['v9', 'v8', 'v7', 'v6', 'v5'\] \+ 4"):
        registry.fetch("tiny", "v12")
    with pytest.raises(ConfigError, match=r"'latest'; it has \['v9', 'v8'"):
        registry.fetch("tiny", "latest")


def test_an_alias_cannot_name_a_version_that_was_changed(registry, bundle):
    registry.publish("tiny", bundle)
    (registry.fetch("tiny", "v1") / "model.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"v1/model\.onnx"):
        move(registry, "v1")
    assert registry.aliases("tiny") == {}


def test_resolve_takes_a_version_or_an_alias_and_names_what_there_is(registry, bundle):
    registry.publish("tiny", bundle)
    move(registry, "v1", "staging")
    assert [registry.resolve("tiny", name) for name in ("v1", "staging")] == ["v1", "v1"]
    with pytest.raises(ConfigError, match="no version 'v7'"):
        registry.resolve("tiny", "v7")
    with pytest.raises(ConfigError, match=r"has no production yet; .* \['staging'\]"):
        registry.resolve("tiny", "production")
    with pytest.raises(ConfigError, match=r"did you mean 'staging'.* its versions \['v1'\]"):
        registry.resolve("tiny", "stagin")
    with pytest.raises(ConfigError, match="other has no version yet; train it first"):
        registry.resolve("other", "production")


def test_a_registry_shows_before_training_that_it_takes_a_version(registry, root, bundle, tmp_path):
    for _ in range(2):
        registry.check_publishable("tiny")
        assert registry.problems() == []
    assert registry.publish("tiny", bundle) == "v1"
    registry.check_publishable("tiny")
    assert registry.problems() == ["tiny"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        open_registry(str(tmp_path / "file")).check_publishable("tiny")


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "a\n"])
def test_a_name_cannot_leave_the_folder(registry, name):
    with pytest.raises(ConfigError, match="is no name"):
        registry.versions(name)
    with pytest.raises(ConfigError, match="is no name"):
        registry.alias("tiny", name)


def changed(content):
    return content.replace(b'"v1"', b'"v2"')


@pytest.mark.parametrize("damage", [lambda _: b"", lambda _: b"{", lambda _: b"[]", changed])
@pytest.mark.parametrize("what", ["aliases/production.json", "audit/production/*.json"])
def test_a_damaged_or_edited_pointer_or_record_is_named(registry, root, bundle, damage, what):
    registry.publish("tiny", bundle)
    move(registry, "v1")
    (path,) = (root / "tiny").glob(what)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreError, match=rf"{path.name}: .* damaged or was changed by hand"):
        registry.audit("tiny")


def test_a_missing_record_is_named(registry, root, bundle):
    registry.publish("tiny", bundle)
    move(registry, "v1")
    (path,) = (root / "tiny" / "audit" / "production").glob("*.json")
    path.unlink()
    with pytest.raises(StoreError, match=rf"{path.name}: the audit record is missing"):
        registry.previous("tiny", "production")


def test_a_newer_format_is_refused_before_anything_is_written(registry, root, bundle):
    root.mkdir()
    newer = {**json.loads(seal_document({})), "format": 2}
    (root / "registry.json").write_text(json.dumps(newer))
    for call in (registry.check_publishable, lambda name: registry.publish(name, bundle)):
        with pytest.raises(StoreError, match=r"of format 2, and this .* reads format 1"):
            call("tiny")
    assert [path.name for path in root.iterdir()] == ["registry.json"]


def test_a_pointer_of_a_newer_format_is_refused(registry, root, bundle):
    registry.publish("tiny", bundle)
    move(registry, "v1")
    (root / "tiny" / "aliases" / "production.json").write_text('{"format": 2}')
    with pytest.raises(StoreError, match=r"production\.json: the registry is of format 2"):
        registry.alias("tiny", "production")


def test_facts_are_added_and_the_newest_is_given(registry, root, bundle):
    registry.publish("tiny", bundle)
    assert registry.facts("tiny", "v1") == {}
    for digest in ("sha256:1", "sha256:2"):
        registry.record_fact("tiny", "v1", "image_digest", digest)
    registry.record_fact("tiny", "v1", "image_size", "7")
    assert registry.facts("tiny", "v1") == {"image_digest": "sha256:2", "image_size": "7"}
    kept = json.loads((root / "tiny" / "facts" / "v1.json").read_text())["facts"]
    assert [fact["value"] for fact in kept] == ["sha256:1", "sha256:2", "7"]
    with pytest.raises(ConfigError, match="no version 'v2'"):
        registry.record_fact("tiny", "v2", "image_digest", "x")


def test_a_registry_that_cannot_be_written_says_so(tmp_path, bundle):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        open_registry(str(tmp_path / "file")).publish("tiny", bundle)


class LosesAnAnswer(FolderStore):
    """Replaces a file, lets somebody else go on from it, and then knows nothing of its success."""

    def __init__(self, root, somebody):
        super().__init__(root)
        self.somebody = somebody

    def replace(self, key, content, tag):
        done = super().replace(key, content, tag)
        if done and self.somebody:
            somebody, self.somebody = self.somebody, None
            somebody()
            return False
        return done


@pytest.mark.parametrize("n_after", [0, 1, 3])
def test_a_move_whose_answer_was_lost_is_known_by_its_token(registry, root, bundle, n_after):
    for _ in range(3):
        registry.publish("tiny", bundle)
    move(registry, "v1")
    store = LosesAnAnswer(root, lambda: [move(registry, "v3") for _ in range(n_after)])
    record = move(Registry(store, root, Keys()), "v2", expected="v1")
    assert [r["to"] for r in registry.audit("tiny")] == ["v1", "v2"] + ["v3"] * n_after
    assert record in registry.audit("tiny")
