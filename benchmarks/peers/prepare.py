"""Write what the peers read: the model of a bundle as a scikit-learn pipeline, and request bodies.

    python -m benchmarks.peers.prepare BUNDLE FOLDER

The pipeline takes a frame of records, as its users write one: encoders by column, then the
estimator. It is fitted on the bundle's own training rows, so that every server has the same model.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from tabular.bundle import Bundle, load_bundle
from tabular.candidates import Trial, fit_pipeline
from tabular.checks.quarantine import check_table
from tabular.contract import Feature, encode
from tabular.exporting import to_records
from tabular.problem import Problem, load_problem
from tabular.sources import open_rows
from tabular.split import split_table
from tabular.tables.frames import frame_columns, typed_columns
from tabular.tables.snapshot import save_snapshot

ROOT = Path(__file__).resolve().parents[2]
SIZES = (1, 100, 10_000)


def main(bundle_folder: Path, folder: Path) -> None:
    """Fill the folder: pipeline.joblib, model.onnx, codes.json, and rows-N.json for each size."""
    bundle = load_bundle(bundle_folder)
    problem = load_problem(str(bundle.manifest["problem"]), ROOT / "configs" / "problems")
    train = _training_rows(problem)
    features = bundle.contract.features
    columns = typed_columns(train, problem)
    trial = Trial.model_validate(bundle.manifest["report"]["chosen"])
    X, y = encode(features, columns), train[problem.target.column].to_numpy()
    fitted = fit_pipeline(problem, trial, features, X, y).steps[-1][1]
    records = to_records(frame_columns(train, problem.contract), problem, max(SIZES))
    pipeline = _on_frames(fitted, features, pd.DataFrame(records))
    joblib.dump(pipeline, folder / "pipeline.joblib")
    shutil.copy(bundle.path / "model.onnx", folder)
    (folder / "codes.json").write_text(json.dumps(_codes(bundle)))
    for size in SIZES:
        body = records[0] if size == 1 else records[:size]
        (folder / f"rows-{size}.json").write_text(json.dumps(body))


def _training_rows(problem: Problem) -> pd.DataFrame:
    """The part of the built-in sample that the bundle was fitted on."""
    source = open_rows(problem, data="", root=ROOT, mongodb_uri="", needs_target=True)
    with tempfile.TemporaryDirectory() as home:
        snapshot = save_snapshot(
            source.batches, Path(home), source=source.source, synthetic=source.synthetic
        )
        rows, _, _ = check_table(snapshot, problem, home=Path(home))
        return split_table(rows, problem).train


def _on_frames(estimator: Any, features: tuple[Feature, ...], frame: pd.DataFrame) -> Pipeline:
    """The fitted estimator behind what its users put before it: frames in, columns in its order."""
    if "n_jobs" in estimator.get_params():
        estimator.set_params(n_jobs=1)  # every server has one core; more threads are slower there
    frame = frame.assign(lowest_tariff=(frame["Annual_Premium"] == 2630).astype(float))
    texts = [feature for feature in features if feature.kind == "category"]
    numbers = [feature.name for feature in features if feature.kind == "number"]
    encoder = OrdinalEncoder(
        categories=[list(feature.categories) for feature in texts],
        handle_unknown="use_encoded_value",
        unknown_value=-1,
        dtype=np.float32,
    )
    names = [feature.name for feature in texts]
    columns = ColumnTransformer([("codes", encoder, names), ("numbers", "passthrough", numbers)])
    order = [[*names, *numbers].index(feature.name) for feature in features]
    reorder = FunctionTransformer(partial(np.take, indices=order, axis=1))
    prepare = Pipeline([("columns", columns), ("order", reorder)]).fit(frame)
    return Pipeline([*prepare.steps, ("estimate", estimator)])


def _codes(bundle: Bundle) -> dict[str, Any]:
    decision = bundle.decision
    if decision.positive is None or decision.calibration != "sigmoid":
        raise SystemExit("the peers compute a binary answer with sigmoid calibration only")
    return {
        "features": [feature.name for feature in bundle.contract.features],
        "codes": {
            feature.name: dict(feature.codes)
            for feature in bundle.contract.features
            if feature.kind == "category"
        },
        "slope": decision.slope,
        "intercept": decision.intercept,
        "threshold": decision.threshold,
        "positive": decision.classes[decision.positive],
        "negative": decision.classes[1 - decision.positive],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
