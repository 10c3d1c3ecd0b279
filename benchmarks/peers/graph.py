"""The ONNX model on records, for the peers that run it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from benchmarks.peers.rows import CODES, MODEL

_options = ort.SessionOptions()
_options.intra_op_num_threads = 1
_session = ort.InferenceSession(str(MODEL / "model.onnx"), _options)
_features = [(name, CODES["codes"].get(name)) for name in CODES["features"]]


def answer(rows: Sequence[dict[str, Any]]) -> np.ndarray:
    """The raw probability (n,) of the positive class."""
    X = np.array([_encode(row) for row in rows], dtype=np.float32)
    return _session.run(("answer",), {"X": X})[0][:, 1].astype(np.float64)


def _encode(row: dict[str, Any]) -> list[float | None]:
    row["lowest_tariff"] = float(row["Annual_Premium"] == 2630)
    return [row[name] if codes is None else codes.get(row[name], -1.0) for name, codes in _features]
