"""A table in a Parquet file: the file itself, and what is known of it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from zenml.enums import ArtifactType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from tabular.tables.snapshot import CheckedRows, Snapshot, TableFile

FILE, FACTS = "table.parquet", "table.json"


class TableFileMaterializer(BaseMaterializer):
    """Puts the file into the artifact store, so that other machines can read it there.

    A store on the same disk gets a second name of the file and no copy: it is never written again.
    """

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (Snapshot, CheckedRows)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: TableFile) -> None:
        place = Path(self.uri) / FILE
        with suppress(OSError):  # a store elsewhere, or on another disk
            os.link(data.path, place)
        if not place.exists():
            with (
                Path(data.path).open("rb") as source,
                self.artifact_store.open(f"{self.uri}/{FILE}", "wb") as copy,
            ):
                shutil.copyfileobj(source, copy, 1 << 20)
        with self.artifact_store.open(f"{self.uri}/{FACTS}", "w") as file:
            file.write(data.model_dump_json())

    def load(self, data_type: type[Any]) -> TableFile:
        with self.artifact_store.open(f"{self.uri}/{FACTS}", "r") as file:
            table: TableFile = data_type.model_validate_json(file.read())
        if Path(table.path).exists():
            return table
        place = Path(self.uri) / FILE
        if not place.exists():
            place = self._downloaded()
        return table.model_copy(update={"path": str(place)})

    def _downloaded(self) -> Path:
        with self.get_temporary_directory(
            delete_after_step_execution=True, delete_at_exit=False
        ) as folder:
            local = Path(folder) / FILE
        with (
            self.artifact_store.open(f"{self.uri}/{FILE}", "rb") as source,
            local.open("wb") as copy,
        ):
            shutil.copyfileobj(source, copy, 1 << 20)
        return local

    def compute_content_hash(self, data: TableFile) -> str:
        return data.sha256

    def extract_metadata(self, data: TableFile) -> dict[str, MetadataType]:
        return {"rows": data.n_rows, "sha256": data.sha256}
