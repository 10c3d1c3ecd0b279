"""The answers to many rows at once, held and written column by column.

A dictionary for each row costs more than the rest of the request: rows are put together only for
who asks for one, and the body is written from parts that all rows share, and their numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import orjson

from service.live import Model
from tabular.predictor import Prediction
from tabular.records import RawColumns

UNSEEN = "a category that training did not see"

RowAnswer = dict[str, Any]
Numbers = npt.NDArray[np.float64]


def warning(column: str) -> dict[str, str]:
    """What an answer says of a column that the model could not use."""
    return {"column": column, "message": UNSEEN}


class Answers(Sequence[RowAnswer]):
    """The answers to n rows, in their order.

    `labels` or `values` are what was predicted, the other is empty; `unseen` counts rows by column.
    `given` are the raw values that were answered, by column.
    """

    def __init__(
        self, model: Model, prediction: Prediction, request_id: str, given: RawColumns
    ) -> None:
        self.given = given
        self._decision = model.predictor.decision
        self._numbers = _numbers(prediction)
        self.labels: list[str] = [] if prediction.labels is None else prediction.labels.tolist()
        self.values = [] if prediction.values is None else prediction.values.tolist()
        self.unseen = {name: int(rows.sum()) for name, rows in prediction.unseen.items()}
        self._warnings = _warnings(prediction.unseen)
        self._has_interval = prediction.low is not None
        self._ids = {"model_version": model.version, "request_id": request_id}

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, row: int) -> RowAnswer: ...
    @overload
    def __getitem__(self, row: slice) -> list[RowAnswer]: ...
    def __getitem__(self, row: int | slice) -> RowAnswer | list[RowAnswer]:
        """One answer, or those of a slice."""
        if isinstance(row, slice):
            return [self[place] for place in range(len(self))[row]]
        place = range(len(self))[row]
        said = self._said(self.labels[place] if self.labels else "", self._numbers[place].tolist())
        return {**said, "warnings": self._warnings.get(place, [])}

    def __iter__(self) -> Iterator[RowAnswer]:
        labels = self.labels or [""] * len(self)
        for row, (label, numbers) in enumerate(zip(labels, self._numbers.tolist(), strict=True)):
            yield {**self._said(label, numbers), "warnings": self._warnings.get(row, [])}

    def _said(self, label: str, numbers: Sequence[Any]) -> RowAnswer:
        if label:
            probabilities = dict(zip(self._decision.classes, numbers, strict=True))
            return {
                "prediction": label,
                "confidence": probabilities[label],
                "probabilities": probabilities,
                "threshold": self._decision.threshold,
                **self._ids,
            }
        return {
            "prediction": numbers[0],
            "unit": self._decision.unit,
            "interval": numbers[1:] if self._has_interval else None,
            "interval_level": self._decision.interval_level if self._has_interval else None,
            **self._ids,
        }

    def columns(self, positive: str | None) -> dict[str, list[Any]]:
        """The answers under the prediction log's names; `positive` is the class it is about."""
        if not self.labels:
            names = ("value", "low", "high") if self._has_interval else ("value",)
            return dict(zip(names, self._numbers.T.tolist(), strict=True))
        if positive is not None:
            probability = self._numbers[:, self._decision.classes.index(positive)]
        else:
            places = self._places()
            said = [places[label] for label in self.labels]
            probability = self._numbers[np.arange(len(said)), said]
        return {"prediction": self.labels, "probability": probability.tolist()}

    def _places(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self._decision.classes)}

    def body(self) -> bytes:
        """The list of all answers as JSON."""
        labels, places = self.labels or [""] * len(self), self._places() or {"": 0}
        forms = {label: self._form(label) for label in places}
        width = self._numbers.shape[1]
        written = orjson.dumps(self._numbers, option=orjson.OPT_SERIALIZE_NUMPY)
        texts = written[2:-2].replace(b"],[", b",").split(b",")
        columns = [texts[place::width] for place in range(width)]
        if self.labels:
            said = [row * width + places[label] for row, label in enumerate(labels)]
            columns.insert(0, list(map(texts.__getitem__, said)))
        # All forms differ in what stands before the first number only.
        rest = next(iter(forms.values()))[1:]
        n_parts = 2 * len(columns) + 1
        parts = [b""] * (n_parts * len(self))
        parts[::n_parts] = [forms[label][0] for label in labels]
        for place, (numbers, between) in enumerate(zip(columns, rest, strict=True)):
            parts[2 * place + 1 :: n_parts] = numbers
            parts[2 * place + 2 :: n_parts] = [between] * len(self)
        for row in self._warnings:
            own = [orjson.dumps(self[row]), b",", *[b""] * (n_parts - 2)]
            parts[row * n_parts : (row + 1) * n_parts] = own
        return b"[" + b"".join(parts)[:-1] + b"]"

    def _form(self, label: str) -> list[bytes]:
        """The JSON of an answer without warnings, and a comma, cut where its numbers stand."""
        n_numbers = self._numbers.shape[1]
        said = self._said(label, [orjson.Fragment(b"\0")] * n_numbers)
        return (orjson.dumps({**said, "warnings": []}) + b",").split(b"\0")


def _numbers(prediction: Prediction) -> Numbers:
    """Probabilities (n, classes), values (n, 1), or values, low and high ends (n, 3)."""
    if prediction.probabilities is not None:
        return np.ascontiguousarray(prediction.probabilities)
    columns = [c for c in (prediction.values, prediction.low, prediction.high) if c is not None]
    return np.stack(columns, axis=1)


def _warnings(unseen: Mapping[str, npt.NDArray[np.bool_]]) -> dict[int, list[dict[str, str]]]:
    by_row: dict[int, list[dict[str, str]]] = {}
    for column, rows in unseen.items():
        for row in rows.nonzero()[0].tolist():
            by_row.setdefault(row, []).append(warning(column))
    return by_row
