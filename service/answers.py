"""What is answered to a row: prediction, how sure it is, and what the model did not know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from service.errors import broken_contract, error_content, no_number
from service.live import Model
from service.many_answers import Answers, RowAnswer, warning
from tabular.errors import RecordsError
from tabular.predictor import RowPrediction


def answer_record(model: Model, record: Any, request_id: str, missing: dict[str, int]) -> RowAnswer:
    """Answer one record; in `missing` the columns that lack a value are counted.

    Raises:
        RequestError: It breaks the contract, or the model's answer is no number.
    """
    try:
        X = model.predictor.encode_record(record)
    except RecordsError as error:
        raise broken_contract(error) from error
    _count(missing, model.predictor.missing(X))
    row = model.predictor.predict_row(X)
    if not all(map(math.isfinite, row.probabilities or (row.value,))):
        raise no_number(0)
    answer = _of_value(model, row) if not row.probabilities else _of_class(model, row)
    answer["model_version"] = model.version
    answer["request_id"] = request_id
    answer["warnings"] = [warning(column) for column in row.unseen]
    return answer


def _of_class(model: Model, row: RowPrediction) -> RowAnswer:
    probabilities = dict(zip(model.predictor.decision.classes, row.probabilities, strict=True))
    return {
        "prediction": row.label,
        "confidence": probabilities[row.label],
        "probabilities": probabilities,
        "threshold": model.predictor.decision.threshold,
    }


def _of_value(model: Model, row: RowPrediction) -> RowAnswer:
    decision = model.predictor.decision
    return {
        "prediction": row.value,
        "unit": decision.unit,
        "interval": None if row.low is None else (row.low, row.high),
        "interval_level": decision.interval_level if row.low is not None else None,
    }


def answer_records(
    model: Model, records: Sequence[Any], request_id: str, missing: dict[str, int]
) -> Answers:
    """Answer n records, in their order, or none of them; `missing` as in `answer_record`.

    Raises:
        RequestError: One of them breaks the contract, or is answered by no number.
    """
    try:
        return _answers(model, records, request_id, missing)
    except RecordsError as error:
        raise broken_contract(error) from error


def answer_good_records(
    model: Model, records: Sequence[Any], request_id: str, missing: dict[str, int]
) -> Sequence[RowAnswer]:
    """Answer n records, in their order; one that breaks the contract has its error in its place."""
    try:
        return _answers(model, records, request_id, missing)
    except RecordsError as error:
        broken = _errors_by_row(error, request_id)
    good = [record for row, record in enumerate(records) if row not in broken]
    answered = iter(answer_records(model, good, request_id, missing) if good else ())
    return [broken[row] if row in broken else next(answered) for row in range(len(records))]


def _count(missing: dict[str, int], more: dict[str, int]) -> None:
    for column, n in more.items():
        missing[column] = missing.get(column, 0) + n


def _errors_by_row(error: RecordsError, request_id: str) -> dict[int, RowAnswer]:
    by_row: dict[int, list[Any]] = {}
    for violation in error.violations:
        by_row.setdefault(violation.row, []).append(violation)
    return {
        row: {
            "error": error_content("contract", f"row {row} breaks the contract.", violations),
            "request_id": request_id,
        }
        for row, violations in by_row.items()
    }


def _answers(
    model: Model, records: Sequence[Any], request_id: str, missing: dict[str, int]
) -> Answers:
    predictor = model.predictor
    X, given = predictor.read_records(records)
    _count(missing, predictor.missing(X))
    prediction = predictor.predict_matrix(X)
    said = prediction.probabilities if prediction.values is None else prediction.values[:, None]
    assert said is not None  # noqa: S101  # classes or values, never neither
    if not (is_number := np.isfinite(said).all(axis=1)).all():
        raise no_number(int(is_number.argmin()))
    return Answers(model, prediction, request_id, given)
