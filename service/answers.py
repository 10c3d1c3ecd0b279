"""What is answered to a row: prediction, how sure it is, and what the model did not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.errors import broken_contract, error_content
from service.live import Model
from tabular.contract import Matrix
from tabular.errors import RecordsError
from tabular.predictor import Prediction, RowPrediction

UNSEEN = "a category that training did not see"

NO_WARNINGS: tuple[dict[str, str], ...] = ()

RowAnswer = dict[str, Any]


def answer_record(model: Model, record: Any, request_id: str, missing: dict[str, int]) -> RowAnswer:
    """Answer one record; in `missing` the columns that lack a value are counted.

    Raises:
        RequestError: It breaks the contract.
    """
    try:
        X = model.predictor.encode_record(record)
    except RecordsError as error:
        raise broken_contract(error) from error
    _count(missing, model.predictor.missing(X))
    row = model.predictor.predict_row(X)
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


def warning(column: str) -> dict[str, str]:
    """What an answer says of a column that the model could not use."""
    return {"column": column, "message": UNSEEN}


def answer_records(
    model: Model, records: Sequence[Any], request_id: str, missing: dict[str, int]
) -> list[RowAnswer]:
    """Answer n records, in their order, or none of them; `missing` as in `answer_record`.

    Raises:
        RequestError: One of them breaks the contract.
    """
    try:
        X = model.predictor.encode_records(records)
    except RecordsError as error:
        raise broken_contract(error) from error
    return _answers(model, X, request_id, missing)


def answer_good_records(
    model: Model, records: Sequence[Any], request_id: str, missing: dict[str, int]
) -> list[RowAnswer]:
    """Answer n records, in their order; one that breaks the contract has its error in its place."""
    try:
        return _answers(model, model.predictor.encode_records(records), request_id, missing)
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


def _answers(model: Model, X: Matrix, request_id: str, missing: dict[str, int]) -> list[RowAnswer]:
    _count(missing, model.predictor.missing(X))
    prediction = model.predictor.predict_matrix(X)
    if prediction.values is None:
        answers = _of_classes(model, prediction, request_id)
    else:
        answers = _of_values(model, prediction, request_id)
    for column, rows in prediction.unseen.items():
        for row in rows.nonzero()[0].tolist():
            answers[row]["warnings"] = [*answers[row]["warnings"], warning(column)]
    return answers


def _of_classes(model: Model, prediction: Prediction, request_id: str) -> list[RowAnswer]:
    assert prediction.labels is not None  # noqa: S101  # classes or values, never neither
    assert prediction.probabilities is not None  # noqa: S101
    classes = model.predictor.decision.classes
    threshold, version = model.predictor.decision.threshold, model.version
    by_class = [dict(zip(classes, row, strict=True)) for row in prediction.probabilities.tolist()]
    return [
        {
            "prediction": label,
            "confidence": probabilities[label],
            "probabilities": probabilities,
            "threshold": threshold,
            "model_version": version,
            "request_id": request_id,
            "warnings": NO_WARNINGS,
        }
        for label, probabilities in zip(prediction.labels.tolist(), by_class, strict=True)
    ]


def _of_values(model: Model, prediction: Prediction, request_id: str) -> list[RowAnswer]:
    assert prediction.values is not None  # noqa: S101
    decision = model.predictor.decision
    shared: RowAnswer = {
        "unit": decision.unit,
        "interval": None,
        "interval_level": None if prediction.low is None else decision.interval_level,
        "model_version": model.version,
        "request_id": request_id,
        "warnings": NO_WARNINGS,
    }
    answers = [{"prediction": value, **shared} for value in prediction.values.tolist()]
    if prediction.low is not None and prediction.high is not None:
        ends = zip(prediction.low.tolist(), prediction.high.tolist(), strict=True)
        for answer, interval in zip(answers, ends, strict=True):
            answer["interval"] = interval
    return answers
