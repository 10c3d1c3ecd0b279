"""Put graph, contract, decision, golden rows and drift reference into one folder."""

from typing import Annotated

import pandas as pd
from zenml import ArtifactConfig, log_metadata, step
from zenml.enums import ArtifactType

from tabular import exporting
from tabular.bundle import Bundle, ServedContract
from tabular.decision import Decision
from tabular.problem import Problem
from tabular.tables.snapshot import Snapshot


@step
def export_bundle(
    model_graph: bytes,
    contract: ServedContract,
    decision: Decision,
    train_rows: pd.DataFrame,
    validation_rows: pd.DataFrame,
    snapshot: Snapshot,
    problem: Problem,
) -> Annotated[Bundle, ArtifactConfig(name="bundle", artifact_type=ArtifactType.MODEL)]:
    """Write the bundle and answer its golden rows from the written files."""
    bundle = exporting.export_bundle(
        model_graph, contract, decision, train_rows, validation_rows, snapshot, problem
    )
    log_metadata({"model_sha256": bundle.manifest["files"]["model.onnx"]})
    return bundle
