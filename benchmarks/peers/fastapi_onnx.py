"""FastAPI, pydantic, and onnxruntime."""

from __future__ import annotations

from fastapi import FastAPI

from benchmarks.peers.graph import answer
from benchmarks.peers.rows import Answer, Row, decide

app = FastAPI()


def _answers(rows: list[Row]) -> list[Answer]:
    raw = answer([row.model_dump() for row in rows])
    return [Answer(prediction=label, probability=share) for label, share in decide(raw)]


@app.post("/predict")
def predict(row: Row) -> Answer:
    """One row."""
    return _answers([row])[0]


@app.post("/batch")
def batch(rows: list[Row]) -> list[Answer]:
    """Several rows."""
    return _answers(rows)
