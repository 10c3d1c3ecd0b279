"""BentoML's own API as its tutorial has it, and a scikit-learn pipeline on a frame."""

from __future__ import annotations

import bentoml
import joblib
import pandas as pd

from benchmarks.peers.rows import MODEL, Answer, Row, decide


@bentoml.service
class Plain:
    """The pipeline."""

    def __init__(self) -> None:
        self.pipeline = joblib.load(MODEL / "pipeline.joblib")

    @bentoml.api(route="/predict")
    def predict(self, row: Row, /) -> Answer:
        """One row."""
        return self._answers([row])[0]

    @bentoml.api(route="/batch")
    def batch(self, rows: list[Row], /) -> list[Answer]:
        """Several rows."""
        return self._answers(rows)

    def _answers(self, rows: list[Row]) -> list[Answer]:
        frame = pd.DataFrame([row.model_dump() for row in rows])
        frame["lowest_tariff"] = (frame["Annual_Premium"] == 2630).astype(float)
        raw = self.pipeline.predict_proba(frame)[:, 1]
        return [Answer(prediction=label, probability=share) for label, share in decide(raw)]
