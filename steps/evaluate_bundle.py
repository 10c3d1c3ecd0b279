"""Measure the bundle itself on the test part: the one use of the test target."""

from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from tabular import judging
from tabular.bundle import Bundle
from tabular.judging import BundleEvaluation
from tabular.problem import Problem


@step
def evaluate_bundle(
    bundle: Bundle,
    test_rows: pd.DataFrame,
    pipeline_answers: pd.DataFrame,
    validation_rows: pd.DataFrame,
    problem: Problem,
) -> Annotated[BundleEvaluation, "evaluation"]:
    """Metrics with intervals, slices, parity with the fitted pipeline, latency, importances."""
    result = judging.evaluate_bundle(bundle, test_rows, pipeline_answers, validation_rows, problem)
    log_metadata({"rows": len(test_rows)})
    log_metadata({name: metric.value for name, metric in result.scores.metrics.items()})
    return result
