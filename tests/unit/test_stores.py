"""The folder store: writes on a condition, names that start with a dot, what a killed one left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tabular.errors import StoreError
from tabular.stores.folder import FolderStore
from tabular.versions.documents import read_document, seal_document


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


def test_create_writes_once_and_leaves_what_is_there(store: FolderStore) -> None:
    assert store.read("a/b.json") is None
    assert store.create("a/b.json", b"one")
    assert not store.create("a/b.json", b"two")
    found = store.read("a/b.json")
    assert found is not None
    assert found.content == b"one"


def test_replace_asks_for_the_tag_that_was_read(store: FolderStore) -> None:
    assert not store.replace("a", b"one", "x")
    store.create("a", b"one")
    first = store.read("a")
    assert first is not None
    assert store.replace("a", b"two", first.tag)
    assert not store.replace("a", b"three", first.tag)
    second = store.read("a")
    assert second is not None
    assert second.content == b"two"


def test_one_of_many_writers_at_once_wins(store: FolderStore) -> None:
    store.create("a", b"start")
    start = store.read("a")
    assert start is not None
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.replace("a", str(n).encode(), start.tag), range(32)))
        made = list(pool.map(lambda n: store.create("b", str(n).encode()), range(32)))
    assert sum(won) == sum(made) == 1
    present = store.read("a")
    assert present is not None
    assert present.content == str(won.index(True)).encode()


def test_a_folder_is_added_once(store: FolderStore) -> None:
    assert store.add_folder("a/v1", {"x": b"1", "y": b"2"})
    assert not store.add_folder("a/v1", {"x": b"3"})
    assert store.keys("a") == ["a/v1/x", "a/v1/y"]
    assert store.folders() == ["a"]


def test_names_with_a_dot_are_not_shown_and_leftovers_cleared(store: FolderStore) -> None:
    store.create("a/x", b"1")
    (store.root / "a" / ".y.part").write_bytes(b"half")
    (store.root / "a" / ".v1.part").mkdir()
    (store.root / ".hidden").mkdir()
    assert store.keys("a") == ["a/x"]
    assert store.folders() == ["a"]
    store.create("a/z", b"2")
    assert sorted(path.name for path in (store.root / "a").iterdir()) == [".lock", "x", "z"]


def test_nothing_there_is_empty_and_a_folder_cannot_be_read(store: FolderStore) -> None:
    assert (store.keys("a"), store.folders()) == ([], [])
    (store.root / "a").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"a: cannot be read .*check its rights"):
        store.read("a")


def test_a_document_comes_back_without_its_seal(store: FolderStore) -> None:
    store.create("a", seal_document({"to": "v1", "why": "größer"}))
    found = read_document(store, "a", mend="")
    assert found is not None
    assert found[0] == {"to": "v1", "why": "größer"}
    assert read_document(store, "b", mend="") is None


def test_a_changed_document_is_refused_with_what_mends_it(store: FolderStore) -> None:
    store.create("a", seal_document({"to": "v1"}).replace(b"v1", b"v2"))
    with pytest.raises(StoreError, match=r"/a: the file is damaged .*; throw it away"):
        read_document(store, "a", mend="throw it away")
