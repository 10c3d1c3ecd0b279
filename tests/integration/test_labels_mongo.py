"""`--labels mongodb`: outcomes out of a collection, from a server process."""

from datetime import UTC, datetime

import pytest

from tabular.errors import DataError, StoreError
from tabular.prediction_log.label_sources import read_collection
from tabular.prediction_log.settings import LogConfig
from tabular.problem import load_problem
from tests.integration.mongo_server import mongo
from tests.unit.test_labels import ROOT, answer, take

__all__ = ["mongo"]  # a fixture

PROBLEM = load_problem("vehicle_insurance", ROOT / "configs" / "problems").model_copy(
    update={"log": LogConfig(labels_collection="outcomes")}
)


def test_documents_become_labels_and_a_silent_server_is_said(mongo, tmp_path, monkeypatch):
    at = datetime(2026, 3, 5, tzinfo=UTC)
    with mongo.client() as client:
        outcomes = client[PROBLEM.source.database]["outcomes"]
        outcomes.drop()
        with pytest.raises(DataError, match=r"outcomes is empty; check log\.labels_collection"):
            read_collection(mongo.uri(), PROBLEM)
        outcomes.insert_many(
            [
                {"request_id": "a", "Response": 1, "at": at, "note": "x"},
                {"request_id": "b", "outcome": "interested", "row": 0},
                {"request_id": "never", "outcome": 0},
            ]
        )
    answer(PROBLEM, tmp_path, ["a", "b"])
    report = take(tmp_path, read_collection(mongo.uri(), PROBLEM))
    assert (report.given, report.taken) == (3, 2)
    monkeypatch.setattr("tabular.prediction_log.label_sources.CONNECT_MS", 100)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1"):
        read_collection("mongodb://user:hidden@127.0.0.1:1", PROBLEM)
