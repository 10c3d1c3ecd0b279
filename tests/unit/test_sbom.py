"""The list of an image's packages: refused early, whole or not there."""

import hashlib

import pytest

from deploy import sbom
from tabular.errors import ConfigError, StoreError


@pytest.fixture
def syft(tmp_path):
    def make(script):
        file = tmp_path / "syft"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return str(file)

    return make


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no folder .*none; make it"):
        sbom.find_syft(tmp_path / "none" / "sbom.json")


def test_without_syft_the_fix_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sbom.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"there is no syft on PATH; `make .venv/.installed-dev`"):
        sbom.find_syft(tmp_path / "sbom.json")


def test_the_image_is_named_by_its_id_and_the_hash_is_that_of_the_file(tmp_path, syft):
    command = syft('echo "$2 $SYFT_CHECK_FOR_APP_UPDATE" > "${5#cyclonedx-json=}"')
    digest = sbom.write_sbom(command, "sha256:ab", tmp_path / "sbom.json")
    assert (tmp_path / "sbom.json").read_text() == "docker:sha256:ab false\n"
    assert digest == hashlib.sha256(b"docker:sha256:ab false\n").hexdigest()
    assert not list(tmp_path.glob(".*"))


def test_a_failure_leaves_what_was_there(tmp_path, syft):
    file = tmp_path / "sbom.json"
    file.write_text("before")
    command = syft('echo half > "${5#cyclonedx-json=}"; echo "ERROR: no such image" >&2; exit 1')
    with pytest.raises(StoreError, match="syft failed on sha256:ab: ERROR: no such image"):
        sbom.write_sbom(command, "sha256:ab", file)
    assert file.read_text() == "before"
    assert not list(tmp_path.glob(".*"))
