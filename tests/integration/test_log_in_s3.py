"""A prediction log in S3 is counted as one in a folder."""

from pathlib import Path

import pytest

from tabular.drift.counting import count_log, count_there
from tabular.errors import StoreError
from tabular.prediction_log import files
from tabular.prediction_log.files import Span
from tabular.prediction_log.reading import find_log
from tests.s3 import BUCKET, client, credentials, moto
from tests.unit.test_drift_counting import PROBLEM, SINCE, Backwards, log, said, task

__all__ = ["log"]  # a fixture


def test_log_in_s3_is_counted_as_in_a_folder(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "STRETCH_FILES", 2)
    here = said(count_log(task(log), Backwards()))
    with moto() as endpoint:
        store = client(endpoint)
        store.create_bucket(Bucket=BUCKET)
        for path in log.rglob("*.parquet"):
            store.upload_file(str(path), BUCKET, f"logs/{path.relative_to(log)}")
        for name, value in credentials(endpoint).items():
            monkeypatch.setenv(name, value)
        place = f"s3://{BUCKET}/logs"
        assert said(count_log(task(place), Backwards())) == here
        stretch = next(find_log(place, PROBLEM).stretches(Span(SINCE, None)))
        with pytest.raises(StoreError, match=r"s3://\S+: the worker on .* does not see this log"):
            count_there(task(f"s3://{BUCKET}/others"), (0, stretch))
