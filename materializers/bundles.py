"""A bundle: the same folder in the artifact store as in the registry, verified when loaded.

What this process saved in a remote store it reads from its own disk: an artifact never changes.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from tabular.bundle import Bundle, load_bundle


class BundleMaterializer(BaseMaterializer):
    """Copies the bundle's files as they are."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Bundle,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL
    _saved: ClassVar[dict[str, Path]] = {}

    def save(self, data: Bundle) -> None:
        for file in sorted(data.path.iterdir()):
            with (
                file.open("rb") as source,
                self.artifact_store.open(f"{self.uri}/{file.name}", "wb") as copy,
            ):
                shutil.copyfileobj(source, copy, 1 << 20)
        self._saved[self.uri] = data.path

    def load(self, data_type: type[Any]) -> Bundle:  # noqa: ARG002  # ZenML's signature
        for here in (Path(self.uri), self._saved.get(self.uri)):  # no copy is needed
            if here is not None and here.is_dir():
                return load_bundle(here)
        with self.get_temporary_directory(
            delete_after_step_execution=True, delete_at_exit=False
        ) as folder:
            local = Path(folder)
        for name in self.artifact_store.listdir(self.uri):
            with (
                self.artifact_store.open(f"{self.uri}/{name}", "rb") as source,
                (local / Path(str(name)).name).open("wb") as copy,
            ):
                shutil.copyfileobj(source, copy, 1 << 20)
        return load_bundle(local)

    def compute_content_hash(self, data: Bundle) -> str:
        files = data.manifest["files"]
        digests = "".join(str(files[name]) for name in sorted(files))
        return hashlib.sha256(digests.encode()).hexdigest()

    def extract_metadata(self, data: Bundle) -> dict[str, MetadataType]:
        return {"model_sha256": str(data.manifest["files"]["model.onnx"])}
