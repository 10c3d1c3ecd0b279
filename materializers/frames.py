"""Frames as Parquet. Equal frames have equal hashes, so that steps after them stay cached."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from zenml.enums import ArtifactType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType

from tabular.tables.snapshot import table_sha256

FILE = "frame.parquet"


class FrameMaterializer(BaseMaterializer):
    """(n, k) frames with a plain index."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (pd.DataFrame,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    def save(self, data: pd.DataFrame) -> None:
        with self.artifact_store.open(f"{self.uri}/{FILE}", "wb") as file:
            pq.write_table(pa.Table.from_pandas(data, preserve_index=False), file)

    def load(self, data_type: type[Any]) -> pd.DataFrame:  # noqa: ARG002  # ZenML's signature
        with self.artifact_store.open(f"{self.uri}/{FILE}", "rb") as file:
            return pq.read_table(file).to_pandas()

    def compute_content_hash(self, data: pd.DataFrame) -> str:
        return table_sha256(pa.Table.from_pandas(data, preserve_index=False))

    def extract_metadata(self, data: pd.DataFrame) -> dict[str, MetadataType]:
        return {"rows": len(data), "columns": len(data.columns)}
