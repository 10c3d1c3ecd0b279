"""The bundle: a trained model on disk, the same folder wherever it is kept or served.

    model.onnx       the graph: float32 (n, k) "X" to float32 (n, c) "answer"
    contract.json    columns, derivations, and the k features in model order
    decision.json    calibration, threshold, interval
    golden.json      [{"record": raw values by column, "answer": c calibrated numbers}]
    reference.json   what drift is measured against
    fitted_rows.bin  optional: sorted 64-bit hashes of the rows it was fitted on (row_hashes.py)
    trees.npz        optional: the graph's trees as tables, for many rows at once (trees/tables.py)
    manifest.json    written last: sha256 of each file and of itself, versions, facts of the run
    model.sig        optional: the signature of all of them (signatures.py)

Needs numpy and pydantic only. docs/adr/0001 says why there is no pickle in it.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from tabular.contract import Contract, Feature, Frozen
from tabular.decision import Decision
from tabular.errors import BundleError, listed
from tabular.files import whole_folder
from tabular.signatures import SIGNATURE, check_signature

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
GRAPH = "model.onnx"
FILES = (GRAPH, "contract.json", "decision.json", "golden.json", "reference.json")
FITTED_ROWS = "fitted_rows.bin"
TREES = "trees.npz"
# Packages whose version can change an answer; those not installed are left out.
RECORDED_PACKAGES = (
    "numpy", "onnxruntime", "scikit-learn", "skl2onnx", "onnxmltools", "lightgbm", "catboost",
)  # fmt: skip


class ServedContract(Frozen):
    """The problem's contract, and the model input that training fixed from it."""

    contract: Contract
    features: tuple[Feature, ...]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files were verified when loaded; the graph is read again when asked for."""

    path: Path
    manifest: dict[str, Any]
    contract: ServedContract
    decision: Decision

    def read(self, name: str) -> bytes:
        """Read a file, verified anew.

        Raises:
            BundleError: It is missing, unreadable, or changed since the manifest was written.
        """
        return _read_verified(self.path, name, self.manifest["files"])

    def read_json(self, name: str) -> Any:
        """Read and parse a JSON file, verified anew."""
        return _parse_json(self.path / name, self.read(name))


def write_bundle(
    folder: Path,
    *,
    graph: bytes,
    contract: ServedContract,
    decision: Decision,
    golden: Sequence[Mapping[str, Any]],
    reference: Mapping[str, Any],
    facts: Mapping[str, Any],
    fitted_rows: bytes | None = None,
    trees: bytes | None = None,
) -> Bundle:
    """Write a bundle, whole or not at all.

    Args:
        folder: Must not exist, or be empty.
        graph: The ONNX model.
        contract: Columns and features.
        decision: What is done with the graph's answers.
        golden: Rows with their expected answers (see the module's docstring).
        reference: Any JSON values; NaN and infinities are written as null.
        facts: Further keys of the manifest, such as the problem's name.
        fitted_rows: Little-endian uint64 in rising order.
        trees: The graph's trees as tables.

    Raises:
        BundleError: There is something in the folder already.
        StoreError: The folder cannot be written, or the disk is full.
    """
    files = {
        GRAPH: graph,
        "contract.json": _dump(contract.model_dump(mode="json")),
        "decision.json": _dump(decision.model_dump(mode="json")),
        "golden.json": _dump(golden),
        "reference.json": _dump(reference),
    }
    optional = {FITTED_ROWS: fitted_rows, TREES: trees}
    files |= {name: content for name, content in optional.items() if content is not None}
    _write(folder, files, facts)
    return load_bundle(folder)


def seal(bundle: Bundle, folder: Path, facts: Mapping[str, Any]) -> Bundle:
    """Write the same files into a new folder, with further facts in the manifest."""
    own = {"format_version", "files", "versions", "sha256"}
    known = {key: value for key, value in bundle.manifest.items() if key not in own}
    files = {name: bundle.read(name) for name in bundle.manifest["files"]}
    _write(folder, files, {**known, **facts}, versions=bundle.manifest["versions"])
    return load_bundle(folder)


def bundle_files(bundle: Bundle) -> dict[str, bytes]:
    """Every file of a bundle by its name, verified as it is read, the manifest last."""
    files = {name: bundle.read(name) for name in bundle.manifest["files"]}
    if (signature := _signature(bundle.path)) is not None:
        files[SIGNATURE] = signature
    return {**files, MANIFEST: _manifest_bytes(bundle.manifest)}


def _write(
    folder: Path,
    files: Mapping[str, bytes],
    facts: Mapping[str, Any],
    *,
    versions: Mapping[str, str] | None = None,
) -> None:
    manifest = plain_json(
        {
            **facts,
            "format_version": FORMAT_VERSION,
            "files": {name: _sha256(content) for name, content in files.items()},
            "versions": versions or _versions(),
        }
    )
    manifest.pop("sha256", None)
    manifest["sha256"] = _sha256(_dump(manifest))
    _write_files(folder, {**files, MANIFEST: _manifest_bytes(manifest)})


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    try:
        with whole_folder(folder) as unfinished:
            for name, content in files.items():
                (unfinished / name).write_bytes(content)
    except FileExistsError as error:
        raise BundleError(
            f"{folder}: there is something in this folder already, and a bundle is never "
            "overwritten; name a new folder."
        ) from error


def load_bundle(folder: Path, public_key: Path | None = None) -> Bundle:
    """Load a bundle and verify each of its files.

    Args:
        folder: The bundle.
        public_key: A PEM file; the manifest must have been signed with its other half.

    Raises:
        BundleError: A file is missing, changed or unreadable (it is named), or the folder is of a
            format that this version does not read, or not signed as asked.
    """
    sealed = _read(folder / MANIFEST)
    manifest = parse_manifest(sealed, folder / MANIFEST)
    if public_key:
        digests = {**manifest["files"], MANIFEST: _sha256(sealed)}
        check_signature(digests, _signature(folder), folder / SIGNATURE, public_key)
    content = {name: _read_verified(folder, name, manifest["files"]) for name in manifest["files"]}
    try:
        contract = ServedContract.model_validate_json(content["contract.json"])
        decision = Decision.model_validate_json(content["decision.json"])
    except ValidationError as error:
        raise BundleError(
            f"{folder}: {error.title} does not fit this version of bentoline "
            f"({error.errors()[0]['msg']}); train the problem again."
        ) from error
    return Bundle(path=folder, manifest=manifest, contract=contract, decision=decision)


def parse_manifest(content: bytes, path: Path | str) -> dict[str, Any]:
    """The manifest in a file's content, whole and unchanged.

    Raises:
        BundleError: It is damaged, was changed, or is of a format that this version does not read.
    """
    manifest = _parse_json(path, content)
    if not isinstance(manifest, dict) or manifest.get("format_version") != FORMAT_VERSION:
        found = manifest.get("format_version") if isinstance(manifest, dict) else None
        raise BundleError(
            f"{path}: format_version must be {FORMAT_VERSION}, got {found!r}; use the bentoline "
            "version that wrote it, or train the problem again."
        )
    unsigned = {key: value for key, value in manifest.items() if key != "sha256"}
    if manifest.get("sha256") != _sha256(_dump(unsigned)) or content != _manifest_bytes(manifest):
        raise changed(path)
    if outside := [name for name in manifest["files"] if Path(name).name != name]:
        raise BundleError(f"{path}: lists files outside its folder: {listed(outside)}.")
    if unlisted := [name for name in FILES if name not in manifest["files"]]:
        raise BundleError(f"{path}: lists no {listed(unlisted)}; train the problem again.")
    return manifest


def _signature(folder: Path) -> bytes | None:
    path = folder / SIGNATURE
    return _read(path) if path.exists() else None


def _read_verified(folder: Path, name: str, sha256: Mapping[str, str]) -> bytes:
    content = _read(folder / name)
    if _sha256(content) != sha256[name]:
        raise changed(folder / name)
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise missing(path) from error
    except OSError as error:
        reason = error.strerror or error
        raise BundleError(f"{path}: cannot be read ({reason}); check its rights.") from error


def missing(path: Path | str) -> BundleError:
    """The sentence for a file that is not there."""
    return BundleError(
        f"{path}: the file is missing, so this is no whole bundle; restore it from where it "
        "was copied, or train the problem again."
    )


def changed(path: Path | str) -> BundleError:
    """The sentence for a file that is not what the manifest says."""
    return BundleError(
        f"{path}: the file was changed after the bundle was written (its sha256 differs); restore "
        "it from where it was copied, or train the problem again."
    )


def _parse_json(path: Path | str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise BundleError(f"{path}: the file is damaged, it is not JSON; restore it.") from error


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _dump(value: Any) -> bytes:
    return json.dumps(
        plain_json(value), allow_nan=False, ensure_ascii=False, separators=(",", ":")
    ).encode()


def _manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as it stands on disk: for people to read, and in one way only."""
    return json.dumps(manifest, allow_nan=False, ensure_ascii=False, indent=1).encode() + b"\n"


def plain_json(value: Any) -> Any:
    """Only what JSON has: numpy becomes Python, NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain_json(value.tolist())
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
