"""Signed bundles: what was not signed with the right key is refused by its file's name."""

from __future__ import annotations

import base64
import hashlib
import json
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


def make_keys(folder: Path, curve: str = "prime256v1") -> tuple[Path, Path]:
    """A private and a public key in PEM, made by openssl as the documentation says."""
    folder.mkdir()
    private, public = folder / "private.pem", folder / "public.pem"
    made = ["openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", private]
    subprocess.run(made, check=True)
    half = ["openssl", "ec", "-in", private, "-pubout", "-out", public]
    subprocess.run(half, check=True, capture_output=True)
    return private, public


@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1", "secp521r1"])
def test_a_signed_version_loads_with_its_key(tmp_path: Path, bundle: Path, curve: str) -> None:
    private, public = make_keys(tmp_path / "keys", curve)
    registry = open_registry(str(tmp_path / "r"), public_key=public, signing_key=private)
    folder = registry.fetch("tiny", registry.publish("tiny", bundle))
    assert load_bundle(folder, public).manifest == load_bundle(bundle).manifest


def test_the_signature_is_of_the_form_that_model_signing_documents(
    tmp_path: Path, bundle: Path
) -> None:
    private, public = make_keys(tmp_path / "keys")
    registry = open_registry(str(tmp_path / "r"), signing_key=private)
    folder = registry.fetch("tiny", registry.publish("tiny", bundle))
    signature = json.loads((folder / "model.sig").read_text())
    hint = hashlib.sha256(public.read_bytes()).hexdigest()
    assert signature["verificationMaterial"]["publicKey"]["hint"] == hint
    statement = json.loads(base64.b64decode(signature["dsseEnvelope"]["payload"]))
    resources = statement["predicate"]["resources"]
    names = sorted(path.name for path in bundle.iterdir())
    assert [entry["name"] for entry in resources] == names
    digests = [hashlib.sha256((bundle / name).read_bytes()).digest() for name in names]
    assert [entry["digest"] for entry in resources] == [digest.hex() for digest in digests]
    root = hashlib.sha256(b"".join(digests)).hexdigest()
    assert statement["subject"] == [{"name": "tiny", "digest": {"sha256": root}}]


def test_openssf_model_signing_and_we_accept_each_other(tmp_path: Path, bundle: Path) -> None:
    oms = pytest.importorskip("model_signing", reason="model-signing is not installed")
    private, public = make_keys(tmp_path / "keys")
    registry = open_registry(str(tmp_path / "r"), signing_key=private)
    ours = registry.fetch("tiny", registry.publish("tiny", bundle))
    leaving_out = oms.hashing.Config().set_ignored_paths(paths=[ours / "model.sig"])
    check = oms.verifying.Config().use_elliptic_key_verifier(public_key=public)
    check.set_hashing_config(leaving_out).verify(ours, ours / "model.sig")
    signer = oms.signing.Config().use_elliptic_key_signer(private_key=private)
    signer.sign(bundle, tmp_path / "model.sig")
    (tmp_path / "model.sig").rename(bundle / "model.sig")
    assert load_bundle(bundle, public).path == bundle


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
        with pytest.raises(BundleError, match=r"model\.sig: the signature is missing"):
            call()
    assert registry.versions("tiny") == ["v1"]
    assert registry.aliases("tiny") == {}


def test_keys_that_make_no_pair_are_refused_before_training(tmp_path: Path) -> None:
    private, public = make_keys(tmp_path / "keys")
    _, others = make_keys(tmp_path / "others")
    place = str(tmp_path / "r")
    with pytest.raises(ConfigError, match=r"public\.pem asks for signed .*BENTOLINE_SIGNING_KEY"):
        open_registry(place, public_key=public).check_publishable("tiny")
    with pytest.raises(ConfigError, match=r"private\.pem is not the other half of .*public\.pem"):
        open_registry(place, public_key=others, signing_key=private).check_publishable("tiny")
    with pytest.raises(ConfigError, match=r"public\.pem: this is no private key"):
        open_registry(place, signing_key=public).check_publishable("tiny")
    assert not (tmp_path / "r").exists()
    open_registry(place, public_key=public, signing_key=private).check_publishable("tiny")
    open_registry(place, signing_key=private).check_publishable("tiny")


@pytest.mark.parametrize("damage", ["other key", "changed byte", "cut", "no JSON", "other files"])
def test_a_wrong_signature_is_refused(tmp_path: Path, bundle: Path, damage: str) -> None:
    private, public = make_keys(tmp_path / "keys")
    registry = open_registry(str(tmp_path / "r"), signing_key=private)
    folder = registry.fetch("tiny", registry.publish("tiny", bundle))
    path = folder / "model.sig"
    if damage == "other key":
        public = make_keys(tmp_path / "others")[1]
    elif damage == "changed byte":
        content = json.loads(path.read_bytes())
        payload = base64.b64decode(content["dsseEnvelope"]["payload"]).replace(b"tiny", b"tinz")
        content["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
        path.write_text(json.dumps(content))
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "no JSON":
        path.write_bytes(b"[]")
    else:
        other = write_tiny(tmp_path / "other", facts={"problem": "tiny", "n": 2}).path
        (folder / "manifest.json").write_bytes((other / "manifest.json").read_bytes())
    with pytest.raises(BundleError, match=r"model\.sig: the signature does not fit"):
        load_bundle(folder, public)


def test_a_key_that_is_none_is_named(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "text.pem").write_text("no key")
    for key in (tmp_path / "text.pem", *make_keys(tmp_path / "other", "secp256k1")):
        with pytest.raises(ConfigError, match=rf"{key.name}: this is no private key of the curve"):
            open_registry(str(tmp_path / "r"), signing_key=key).publish("tiny", bundle)
        with pytest.raises(ConfigError, match=rf"{key.name}: this is no public key of the curve"):
            load_bundle(bundle, key)
    with pytest.raises(ConfigError, match=r"none\.pem: the key cannot be read .No such file"):
        load_bundle(bundle, tmp_path / "none.pem")
    assert open_registry(str(tmp_path / "r")).versions("tiny") == []
