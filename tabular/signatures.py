"""Ed25519 signatures of a bundle's manifest, which holds the sha256 of every other file.

`manifest.sig` is the signature's 64 bytes, so that anybody can check it without bentoline:
`openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in manifest.json -sigfile manifest.sig`.
Make the keys by `openssl genpkey -algorithm ed25519 -out private.pem` and
`openssl pkey -in private.pem -pubout -out public.pem`. docs/adr/0008 says why not model-signing.

`cryptography` is imported only where a key is named.
"""

from __future__ import annotations

from pathlib import Path

from tabular.errors import BundleError, ConfigError

SIGNATURE = "manifest.sig"


def sign(manifest: bytes, key: Path) -> bytes:
    """Sign a manifest with the private key in a PEM file.

    Raises:
        ConfigError: The file holds no unencrypted Ed25519 private key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(_read_key(key), password=None)
    except (ValueError, TypeError) as error:
        raise _no_key(key, "private") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise _no_key(key, "private")
    return private.sign(manifest)


def check_signature(manifest: bytes, signature: bytes | None, where: Path, key: Path) -> None:
    """Refuse a manifest that was not signed with the other half of a public key.

    Args:
        manifest: Its bytes.
        signature: 64 bytes, or None where there is none.
        where: The signature's path.
        key: A PEM file.

    Raises:
        BundleError: The signature is missing or wrong.
        ConfigError: The file holds no Ed25519 public key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        public = load_pem_public_key(_read_key(key))
    except ValueError as error:
        raise _no_key(key, "public") from error
    if not isinstance(public, Ed25519PublicKey):
        raise _no_key(key, "public")
    if signature is None:
        raise BundleError(
            f"{where}: the signature is missing, and {key} asks for one; publish the bundle with "
            "BENTOLINE_SIGNING_KEY set, or unset BENTOLINE_PUBLIC_KEY."
        )
    try:
        public.verify(signature, manifest)
    except InvalidSignature as error:
        raise BundleError(
            f"{where}: the signature does not fit manifest.json and the key {key}; the bundle was "
            "signed with another key, or was changed. Do not use it."
        ) from error


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
        f"{path}: this is no Ed25519 {kind} key in PEM without a passphrase; make one by openssl "
        "genpkey -algorithm ed25519."
    )
