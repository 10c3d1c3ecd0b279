"""The answers to many rows: the same as one by one, as JSON and as dictionaries."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.many_answers import UNSEEN, Answers
from tabular.decision import Decision
from tabular.predictor import Prediction

CLASSES = ("no, %d", 'ye"s', "ä\0")
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def answers(prediction: Prediction, **decision) -> Answers:
    """Of a model with nothing but a decision and a version."""
    predictor = SimpleNamespace(decision=Decision(**decision))
    model = SimpleNamespace(predictor=predictor, version="v3")
    return Answers(model, prediction, "id-%s", given={})


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(FLOATS, FLOATS, FLOATS, st.booleans()), min_size=1, max_size=6))
def test_classes_are_written_as_json_writes_their_dictionaries(rows):
    probabilities = np.array([row[:3] for row in rows])
    labels = np.array(CLASSES, dtype=object)[probabilities.argmax(axis=1)]
    unseen = {"city": np.array([row[3] for row in rows]), "car": np.array([True] * len(rows))}
    said = answers(
        Prediction(labels=labels, probabilities=probabilities, unseen=unseen),
        task="multiclass",
        classes=CLASSES,
    )
    expected = [
        {
            "prediction": label,
            "confidence": max(row[:3]),
            "probabilities": dict(zip(CLASSES, row[:3], strict=True)),
            "threshold": None,
            "model_version": "v3",
            "request_id": "id-%s",
            "warnings": [
                {"column": name, "message": UNSEEN} for name in ("city", "car")[not row[3] :]
            ],
        }
        for label, row in zip(labels, rows, strict=True)
    ]
    assert list(said) == expected
    assert [said[place] for place in range(len(said))] == expected
    assert said[1:] == expected[1:]
    assert json.loads(said.body()) == expected
    assert [list(answer) for answer in json.loads(said.body())] == [list(a) for a in expected]
    confidences = [answer["confidence"] for answer in expected]
    assert said.columns(None) == {"prediction": labels.tolist(), "probability": confidences}
    assert said.columns(CLASSES[1])["probability"] == [row[1] for row in rows]
    assert said.unseen == {"city": sum(row[3] for row in rows), "car": len(rows)}


@pytest.mark.parametrize("has_interval", [True, False])
def test_values_are_written_with_their_interval(has_interval):
    values = np.array([26.3, -1e-7, 1e22])
    low, high = (values - 4, values + 4) if has_interval else (None, None)
    said = answers(
        Prediction(values=values, low=low, high=high),
        task="regression",
        unit="min %",
        interval_level=0.9,
    )
    expected = [
        {
            "prediction": value,
            "unit": "min %",
            "interval": [value - 4, value + 4] if has_interval else None,
            "interval_level": 0.9 if has_interval else None,
            "model_version": "v3",
            "request_id": "id-%s",
            "warnings": [],
        }
        for value in values.tolist()
    ]
    assert json.loads(said.body()) == list(said) == expected
    ends = {"low": (values - 4).tolist(), "high": (values + 4).tolist()} if has_interval else {}
    assert said.columns(None) == {"value": values.tolist(), **ends}
    with pytest.raises(IndexError):
        said[3]
