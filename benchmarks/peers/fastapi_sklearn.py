"""FastAPI, pydantic, and a scikit-learn pipeline on a frame."""

from __future__ import annotations

import joblib
import pandas as pd
from fastapi import FastAPI

from benchmarks.peers.rows import MODEL, Answer, Row, decide

app = FastAPI()
pipeline = joblib.load(MODEL / "pipeline.joblib")


def _answers(rows: list[Row]) -> list[Answer]:
    frame = pd.DataFrame([row.model_dump() for row in rows])
    frame["lowest_tariff"] = (frame["Annual_Premium"] == 2630).astype(float)
    raw = pipeline.predict_proba(frame)[:, 1]
    return [Answer(prediction=label, probability=share) for label, share in decide(raw)]


@app.post("/predict")
def predict(row: Row) -> Answer:
    """One row."""
    return _answers([row])[0]


@app.post("/batch")
def batch(rows: list[Row]) -> list[Answer]:
    """Several rows."""
    return _answers(rows)
