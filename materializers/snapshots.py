"""A snapshot: the Parquet file itself, and what is known of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from tabular.snapshot import Snapshot

FILE, FACTS = "snapshot.parquet", "snapshot.json"


class SnapshotMaterializer(BaseMaterializer):
    """Copies the file into the artifact store, so that other machines can read it there."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Snapshot,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: Snapshot) -> None:
        with (
            Path(data.path).open("rb") as source,
            self.artifact_store.open(str(Path(self.uri) / FILE), "wb") as copy,
        ):
            shutil.copyfileobj(source, copy, 1 << 20)
        with self.artifact_store.open(str(Path(self.uri) / FACTS), "w") as file:
            file.write(data.model_dump_json())

    def load(self, data_type: type[Any]) -> Snapshot:  # noqa: ARG002  # ZenML's signature
        with self.artifact_store.open(str(Path(self.uri) / FACTS), "r") as file:
            snapshot = Snapshot.model_validate_json(file.read())
        if Path(snapshot.path).exists():
            return snapshot
        with self.get_temporary_directory(
            delete_after_step_execution=True, delete_at_exit=False
        ) as folder:
            local = Path(folder) / FILE
        with (
            self.artifact_store.open(str(Path(self.uri) / FILE), "rb") as source,
            local.open("wb") as copy,
        ):
            shutil.copyfileobj(source, copy, 1 << 20)
        return snapshot.model_copy(update={"path": str(local)})

    def compute_content_hash(self, data: Snapshot) -> str:
        return data.sha256

    def extract_metadata(self, data: Snapshot) -> dict[str, MetadataType]:
        return {"rows": data.n_rows, "sha256": data.sha256, "source": data.source}
