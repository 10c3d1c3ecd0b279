"""Signatures of a bundle, in the format of OpenSSF model-signing 1.0 with an elliptic-curve key.

`model.sig` is a Sigstore bundle: a DSSE envelope around an in-toto statement that lists the sha256
of every file. The project's own tool checks it and makes it, too:
`model_signing verify key BUNDLE --signature BUNDLE/model.sig --public-key public.pem`. We write
and read the format ourselves by `cryptography`, imported only where a key is named; docs/adr/0008
says why. Keys: `openssl ecparam -name prime256v1 -genkey -noout -out private.pem` and
`openssl ec -in private.pem -pubout -out public.pem`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabular.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

SIGNATURE = "model.sig"

_ENVELOPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"


def sign(digests: Mapping[str, str], name: str, key: Path) -> bytes:
    """Sign a bundle's files with the private key in a PEM file.

    Args:
        digests: The sha256 of every file by its name, the manifest's too.
        name: What the statement calls the model.
        key: An elliptic-curve private key without a passphrase.

    Raises:
        ConfigError: The file holds no such key.
    """
    private = _private_key(key)
    payload = json.dumps(_statement(digests, name)).encode()
    signature = private.sign(_encoded(payload), _algorithm(private.curve))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": _PAYLOAD,
        "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
    }
    hint = {"publicKey": {"hint": _hint(private.public_key())}, "tlogEntries": []}
    bundle = {"mediaType": _ENVELOPE, "verificationMaterial": hint, "dsseEnvelope": envelope}
    return json.dumps(bundle).encode()


def check_keys(public: Path | None, signing: Path | None) -> None:
    """Refuse keys with which nothing could be published that may be used.

    Raises:
        ConfigError: A file holds no such key, or what the one signs the other does not verify.
    """
    own = _private_key(signing).public_key() if signing else None
    if public is None:
        return
    if own is None:
        raise ConfigError(
            f"BENTOLINE_PUBLIC_KEY: {public} asks for signed versions, and no key signs them; "
            "set BENTOLINE_SIGNING_KEY to its other half, or unset it. Nothing was published."
        )
    if _hint(own) != _hint(_public_key(public)):
        raise ConfigError(
            f"BENTOLINE_SIGNING_KEY: {signing} is not the other half of {public}, which "
            "BENTOLINE_PUBLIC_KEY names; set both to one pair. Nothing was published."
        )


def check_signature(
    digests: Mapping[str, str], signature: bytes | None, where: Path, key: Path
) -> None:
    """Refuse files that were not signed, as they are, with the other half of a public key.

    Args:
        digests: The sha256 of every file by its name, the manifest's too.
        signature: The content of `model.sig`, or None where there is none.
        where: Its path.
        key: A PEM file.

    Raises:
        BundleError: The signature is missing or wrong.
        ConfigError: The file holds no elliptic-curve public key.
    """
    public = _public_key(key)
    if signature is None:
        raise BundleError(
            f"{where}: the signature is missing, and {key} asks for one; publish the bundle with "
            "BENTOLINE_SIGNING_KEY set, or unset BENTOLINE_PUBLIC_KEY."
        )
    if _signed_digests(signature, public) != dict(digests):
        raise BundleError(
            f"{where}: the signature does not fit the files and the key {key}; the bundle was "
            "signed with another key, or was changed. Do not use it."
        )


def _statement(digests: Mapping[str, str], name: str) -> dict[str, Any]:
    names = sorted(digests)
    root = hashlib.sha256(b"".join(bytes.fromhex(digests[file]) for file in names)).hexdigest()
    resources = [{"name": n, "algorithm": "sha256", "digest": digests[n]} for n in names]
    serialization = {
        "method": "files", "hash_type": "sha256", "allow_symlinks": False,
        "ignore_paths": [SIGNATURE],
    }  # fmt: skip
    return {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": _PREDICATE,
        "predicate": {"serialization": serialization, "resources": resources},
    }


def _signed_digests(signature: bytes, key: ec.EllipticCurvePublicKey) -> dict[str, str] | None:
    """The sha256 of each file that was signed with the key; None where nothing was."""
    from cryptography.exceptions import InvalidSignature

    try:
        envelope = json.loads(signature)["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        raw = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        key.verify(raw, _encoded(payload), _algorithm(key.curve))
        statement = json.loads(payload)
        if statement["predicateType"] != _PREDICATE:
            return None
        resources = statement["predicate"]["resources"]
        return {entry["name"]: entry["digest"] for entry in resources}
    except (ValueError, LookupError, TypeError, InvalidSignature):
        return None


def _encoded(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    return f"DSSEv1 {len(_PAYLOAD)} {_PAYLOAD} {len(payload)} ".encode() + payload


def _algorithm(curve: ec.EllipticCurve) -> ec.ECDSA:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    by_size = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
    return ec.ECDSA(by_size[curve.key_size])


def _hint(key: ec.EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def _private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read_key(path), password=None)
    except (ValueError, TypeError) as error:
        raise _no_key(path, "private") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not _is_known(key.curve):
        raise _no_key(path, "private")
    return key


def _public_key(path: Path) -> ec.EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read_key(path))
    except ValueError as error:
        raise _no_key(path, "public") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not _is_known(key.curve):
        raise _no_key(path, "public")
    return key


def _is_known(curve: ec.EllipticCurve) -> bool:
    return curve.name in ("secp256r1", "secp384r1", "secp521r1")


def _read_key(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}: the key cannot be read ({error.strerror or error}); check "
            "BENTOLINE_PUBLIC_KEY and BENTOLINE_SIGNING_KEY."
        ) from error


def _no_key(path: Path, kind: str) -> ConfigError:
    return ConfigError(
        f"{path}: this is no {kind} key of the curve P-256, P-384 or P-521 in PEM without a "
        "passphrase; make one by openssl ecparam -name prime256v1 -genkey -noout."
    )
