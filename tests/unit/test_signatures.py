"""Signed bundles: what was not signed with the right key is refused by its file's name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tabular.bundle import load_bundle
from tabular.errors import BundleError, ConfigError
from tabular.registry import open_registry
from tests.unit.tiny import write_tiny


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "bundle").path


def make_keys(folder: Path, algorithm: str = "ed25519") -> tuple[Path, Path]:
    """A private and a public key in PEM, made by openssl as the documentation says."""
    folder.mkdir()
    private, public = folder / "private.pem", folder / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", algorithm, "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


def test_a_signed_version_loads_with_its_key_and_openssl_agrees(
    tmp_path: Path, bundle: Path
) -> None:
    private, public = make_keys(tmp_path / "keys")
    registry = open_registry(str(tmp_path / "r"), public_key=public, signing_key=private)
    folder = registry.fetch("tiny", registry.publish("tiny", bundle))
    assert load_bundle(folder, public).manifest == load_bundle(bundle).manifest
    manifest, signature = folder / "manifest.json", folder / "manifest.sig"
    checked = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", manifest,
         "-sigfile", signature],
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert checked.stdout.strip() == "Signature Verified Successfully", checked.stderr


def test_a_signature_is_copied_with_the_version(tmp_path: Path, bundle: Path) -> None:
    private, public = make_keys(tmp_path / "keys")
    signing = open_registry(str(tmp_path / "a"), signing_key=private)
    signed = signing.fetch("tiny", signing.publish("tiny", bundle))
    verifying = open_registry(str(tmp_path / "b"), public_key=public)
    assert verifying.publish("tiny", signed) == "v1"


def test_an_unsigned_version_is_refused_where_a_key_is_named(tmp_path: Path, bundle: Path) -> None:
    _, public = make_keys(tmp_path / "keys")
    open_registry(str(tmp_path / "r")).publish("tiny", bundle)
    registry = open_registry(str(tmp_path / "r"), public_key=public)
    for call in (
        lambda: registry.fetch("tiny", "v1"),
        lambda: registry.publish("tiny", bundle),
        lambda: registry.set_alias("tiny", "production", "v1", actor="ann", why=""),
    ):
        with pytest.raises(BundleError, match=r"manifest\.sig: the signature is missing"):
            call()
    assert registry.versions("tiny") == ["v1"]
    assert registry.aliases("tiny") == {}


@pytest.mark.parametrize("damage", ["other key", "changed byte", "cut", "other manifest"])
def test_a_wrong_signature_is_refused(tmp_path: Path, bundle: Path, damage: str) -> None:
    private, public = make_keys(tmp_path / "keys")
    registry = open_registry(str(tmp_path / "r"), signing_key=private)
    folder = registry.fetch("tiny", registry.publish("tiny", bundle))
    path = folder / "manifest.sig"
    if damage == "other key":
        public = make_keys(tmp_path / "others")[1]
    elif damage == "changed byte":
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:63])
    else:
        other = write_tiny(tmp_path / "other", facts={"problem": "tiny", "n": 2}).path
        (folder / "manifest.json").write_bytes((other / "manifest.json").read_bytes())
    with pytest.raises(BundleError, match=r"manifest\.sig: the signature does not fit"):
        load_bundle(folder, public)


def test_a_key_that_is_none_is_named(tmp_path: Path, bundle: Path) -> None:
    rsa_private, rsa_public = make_keys(tmp_path / "rsa", "rsa")
    (tmp_path / "text.pem").write_text("no key")
    for key in (tmp_path / "text.pem", rsa_private, rsa_public):
        with pytest.raises(ConfigError, match=rf"{key.name}: this is no Ed25519 private key"):
            open_registry(str(tmp_path / "r"), signing_key=key).publish("tiny", bundle)
        with pytest.raises(ConfigError, match=rf"{key.name}: this is no Ed25519 public key"):
            load_bundle(bundle, key)
    with pytest.raises(ConfigError, match=r"none\.pem: the key cannot be read .No such file"):
        load_bundle(bundle, tmp_path / "none.pem")
    assert open_registry(str(tmp_path / "r")).versions("tiny") == []
