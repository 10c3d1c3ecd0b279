"""How ZenML is opened: a server that is not there, and what is spared it."""

from importlib import metadata

import pytest

from pipelines.store import Distributions, open_client
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


def test_a_distribution_is_found_by_its_module_with_a_scan_only_where_it_must():
    scans = []
    whole = {"pandas": ["pandas"], "yaml": ["PyYAML"]}
    found = Distributions(lambda: scans.append(1) or whole)
    assert found["pandas"] == whole["pandas"] == metadata.packages_distributions()["pandas"]
    assert scans == []
    assert (found["yaml"], found.get("no_such_module", [])) == (["PyYAML"], [])
    assert dict(found) == whole
    assert scans == [1]
