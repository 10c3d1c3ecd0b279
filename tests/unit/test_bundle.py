"""The bundle: what is read is what was written, and nothing else is read."""

import json
import shutil

import numpy as np
import pytest

from tabular.bundle import FILES, MANIFEST, load_bundle, seal
from tabular.errors import BundleError, StoreError
from tests.unit.tiny import BINARY, REFERENCE, SERVED, write_tiny


def test_load_returns_what_was_written(tmp_path):
    write_tiny(tmp_path / "b")
    bundle = load_bundle(tmp_path / "b")
    assert bundle.contract == SERVED
    assert bundle.decision == BINARY
    assert bundle.manifest["problem"] == "tiny"
    assert bundle.manifest["metrics"] == {"f1": None}
    assert bundle.manifest["versions"]["numpy"] == np.__version__
    assert bundle.read_json("reference.json") == REFERENCE
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == sorted([*FILES, MANIFEST])


def test_same_parts_give_the_same_bytes(tmp_path):
    write_tiny(tmp_path / "a")
    write_tiny(tmp_path / "b")
    for name in (*FILES, MANIFEST):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_changed_byte_is_refused_with_the_files_name(tmp_path, name, place):
    write_tiny(tmp_path / "b")
    path = tmp_path / "b" / name
    content = bytearray(path.read_bytes())
    content[round(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=name):
        load_bundle(tmp_path / "b")


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_a_missing_or_empty_file_is_refused_with_its_name(tmp_path, name, damage):
    write_tiny(tmp_path / "b")
    path = tmp_path / "b" / name
    path.unlink() if damage == "missing" else path.write_bytes(b"")
    with pytest.raises(BundleError, match=f"{name}.*(missing|changed|damaged)"):
        load_bundle(tmp_path / "b")


def test_blanks_added_to_the_manifest_are_refused(tmp_path):
    write_tiny(tmp_path / "b")
    path = tmp_path / "b" / MANIFEST
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BundleError, match=r"manifest\.json: the file was changed"):
        load_bundle(tmp_path / "b")


def test_a_change_after_loading_is_refused_when_read(tmp_path):
    bundle = write_tiny(tmp_path / "b")
    (tmp_path / "b" / "model.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"model\.onnx"):
        bundle.read("model.onnx")


def test_another_format_version_is_refused_with_both_versions(tmp_path):
    write_tiny(tmp_path / "b")
    path = tmp_path / "b" / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 2}))
    with pytest.raises(BundleError, match="format_version must be 1, got 2"):
        load_bundle(tmp_path / "b")


def test_a_folder_is_never_overwritten(tmp_path):
    write_tiny(tmp_path / "b")
    before = (tmp_path / "b" / MANIFEST).read_bytes()
    with pytest.raises(BundleError, match="never overwritten; name a new folder"):
        write_tiny(tmp_path / "b", "regression")
    assert (tmp_path / "b" / MANIFEST).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_seal_keeps_files_and_facts_and_adds_facts(tmp_path):
    bundle = write_tiny(tmp_path / "b")
    sealed = seal(bundle, tmp_path / "sealed", {"report": {"verdict": "accepted"}})
    assert sealed.manifest["files"] == bundle.manifest["files"]
    assert sealed.manifest["problem"] == "tiny"
    assert sealed.manifest["report"] == {"verdict": "accepted"}
    shutil.rmtree(tmp_path / "b")
    assert load_bundle(tmp_path / "sealed").manifest == sealed.manifest


def test_facts_cannot_replace_the_manifests_own_keys(tmp_path):
    bundle = write_tiny(tmp_path / "b", facts={"files": {}, "sha256": "x", "format_version": 9})
    assert load_bundle(tmp_path / "b").manifest == bundle.manifest
    assert set(bundle.manifest["files"]) == set(FILES)


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_tiny(tmp_path / "file" / "b")
