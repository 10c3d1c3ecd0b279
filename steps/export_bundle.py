"""Put graph, contract, decision, golden rows and drift reference into one folder."""

from typing import Annotated

import pandas as pd
from zenml import ArtifactConfig, log_metadata, step
from zenml.enums import ArtifactType

from tabular import exporting
from tabular.bundle import Bundle, ServedContract
from tabular.decision import Decision
from tabular.partitions import training_partitions
from tabular.problem import Problem
from tabular.tables.snapshot import CheckedRows, Snapshot


@step
def export_bundle(
    model_graph: bytes,
    contract: ServedContract,
    decision: Decision,
    train_rows: pd.DataFrame,
    validation_rows: pd.DataFrame,
    snapshot: Snapshot,
    rows: CheckedRows,
    problem: Problem,
) -> Annotated[Bundle, ArtifactConfig(name="bundle", artifact_type=ArtifactType.MODEL)]:
    """Write the bundle and answer its golden rows from the written files.

    `rows` are read where the model was fitted on partitions of them.
    """
    bundle = exporting.export_bundle(
        model_graph,
        contract,
        decision,
        train_rows,
        validation_rows,
        snapshot,
        problem,
        training_partitions(rows, len(train_rows), problem),
    )
    log_metadata({"model_sha256": bundle.manifest["files"]["model.onnx"]})
    return bundle
