"""How MLflow loads a bundle: MLflow keeps this file's text beside the bundle, and no pickle.

It runs where this project is not installed; what it imports of `tabular` is kept beside it too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tabular.bundle import load_bundle
from tabular.predictor import Predictor


class BundleModel(PythonModel):
    """The predictor of one bundle."""

    def load_context(self, context: PythonModelContext) -> None:
        """Verify every file, and answer the golden rows."""
        self._predictor = Predictor(load_bundle(Path(context.artifacts["bundle"])))
        self._predictor.self_test()

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002  # MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Answer (n, k) raw rows, in their order: `prediction`, and what stands beside it.

        Classes have a column `probability_CLASS` each, values `low` and `high`.
        """
        rows = model_input.astype(object)
        records: list[dict[str, Any]] = rows.where(rows.notna(), None).to_dict(orient="records")  # type: ignore[assignment]
        answer = self._predictor.predict_records(records)
        if answer.probabilities is None:
            spread = {"low": answer.low, "high": answer.high} if answer.low is not None else {}
            return pd.DataFrame({"prediction": answer.values, **spread}, index=model_input.index)
        classes = self._predictor.decision.classes
        shares = {f"probability_{c}": answer.probabilities[:, i] for i, c in enumerate(classes)}
        return pd.DataFrame({"prediction": answer.labels, **shares}, index=model_input.index)


set_model(BundleModel())
