"""A ZenML server that is named and not there."""

import pytest

from pipelines.store import open_client
from tabular.errors import StoreError
from tests.s3 import free_port


def test_a_server_that_does_not_answer_is_named_with_the_way_out(monkeypatch):
    port = free_port()
    monkeypatch.setenv("ZENML_STORE_URL", f"http://name:secret@127.0.0.1:{port}")
    with pytest.raises(
        StoreError, match=rf":{port} does not answer \(Connection refused\)"
    ) as said:
        open_client()
    assert "secret" not in str(said.value)
