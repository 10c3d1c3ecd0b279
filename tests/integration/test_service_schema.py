"""The published OpenAPI holds: what it allows and what it forbids is answered as it says.

1,000 cases of POST /predict; SCHEMA_CASES=5000 asks for more.
"""

import os
from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.serving import serving
from tests.unit.tiny import write_tiny

N_CASES = int(os.environ.get("SCHEMA_CASES", "1000"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schema")
    bundle = write_tiny(folder / "v1").path
    with serving(folder, BENTOLINE_BUNDLE=str(bundle)) as server:
        server.wait_for("a model", lambda: server.ask("/readyz")[0] == 200)
        yield server


@pytest.fixture(scope="module")
def api(server):
    return schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")


def statuses(operation, mode, n_cases):
    """How often each status came; every answer is checked against the schema."""
    seen = Counter()

    @settings(
        max_examples=n_cases,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        seen[case.call_and_validate(checks=CHECKS).status_code] += 1

    ask()
    return seen


@pytest.mark.timeout(120 + N_CASES // 5)
def test_every_prediction_answers_as_the_schema_says(api, server):
    predict = api["/predict"]["POST"]
    allowed = statuses(predict, GenerationMode.POSITIVE, N_CASES // 2)
    forbidden = statuses(predict, GenerationMode.NEGATIVE, N_CASES // 2)
    assert allowed.total() + forbidden.total() >= 0.9 * N_CASES
    assert {200} <= allowed.keys() <= {200, 400, 422}
    assert {422} <= forbidden.keys() <= {200, 400, 405, 413, 415, 422}
    assert "Traceback" not in server.log.read_text()


def test_every_document_answers_as_the_schema_says(api):
    paths = api.raw_schema["paths"].keys() - {"/predict"}
    assert "/health" in paths
    for path in paths:
        seen = statuses(api[path]["GET"], GenerationMode.POSITIVE, 3)
        assert seen.keys() == {200}
