"""What the service says of itself, and how every answer looks."""

import logging

import pytest

from service.http import Answer, Route
from tests.unit.asgi import Worker, settings
from tests.unit.tiny import RECORDS, write_tiny

SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    facts = {"problem": "tiny", "title": "Tiny", "report": {"title": "Tiny", "task": "binary"}}
    reference = {"columns": {name: {"quantiles": [20.0]} for name in ("age", "fee", "opened")}}
    reference["columns"]["city"] = {"shares": {"Delhi": 0.6, "Mumbai": 0.4}}
    bundle = write_tiny(folder / "v3", facts=facts, reference=reference)
    return Worker(settings(bundle.path))


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty")
    return Worker(settings(registry=str(folder), home=folder))


def test_health_tells_model_problem_version_and_uptime(worker):
    reply = worker.ask("GET", "/health")
    uptime = reply.json.pop("uptime_s")
    assert reply.status == 200
    assert uptime >= 0
    assert {k: v for k, v in reply.json.items() if k != "uptime_s"} == {
        "status": "available",
        "model_loaded": True,
        "problem": "tiny",
        "model_version": "v3",
        "prediction_log": {"state": "off"},
    }


def test_without_a_model_only_life_is_ok(empty):
    for path in ("/health", "/readyz", "/contract", "/model", "/openapi.json"):
        assert empty.ask("GET", path).status == 503, path
    assert empty.ask("GET", "/health").json["status"] == "unavailable"
    assert empty.ask("GET", "/livez").status == 200
    assert empty.ask("POST", "/predict", RECORDS[0]).headers["retry-after"] == "1"


def test_the_published_example_is_answered(worker):
    document = worker.ask("GET", "/openapi.json").json
    examples = [
        document["components"]["schemas"]["Record"]["example"],
        document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"][
            "example"
        ],
        worker.ask("GET", "/contract").json["example"],
    ]
    for example in examples:
        assert worker.ask("POST", "/predict", example).status == 200


def test_the_schema_has_the_problems_own_columns(worker):
    document = worker.ask("GET", "/openapi.json").json
    record = document["components"]["schemas"]["Record"]
    assert document["openapi"] == "3.1.0"
    assert record["required"] == ["age", "fee", "city", "opened"]
    age, city = record["properties"]["age"], record["properties"]["city"]
    assert (age["type"], age["minimum"], age["maximum"]) == ("integer", 18, 90)
    assert (city["type"], city["examples"]) == (["string", "null"], ["Delhi", "Mumbai"])
    answer = document["components"]["schemas"]["Answer"]
    given = worker.ask("POST", "/predict", RECORDS[0]).json
    assert sorted(answer["required"]) == sorted(given)
    assert answer["properties"]["prediction"]["enum"] == ["no", "yes"]
    assert worker.ask("GET", "/docs.json").json == document


def test_the_model_card_is_a_page(worker):
    reply = worker.ask("GET", "/model")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/html")
    assert b"Tiny" in reply.body


def test_the_documentation_needs_nothing_from_elsewhere(worker):
    for path in ("/docs", "/docs/start.js"):
        reply = worker.ask("GET", path)
        assert reply.status == 200
        assert b"//" not in reply.body.replace(b"</", b"")


def test_every_answer_carries_its_id_and_security_headers_and_none_allows_other_sites(worker):
    for method, path in [("GET", "/docs"), ("POST", "/predict"), ("GET", "/x"), ("PUT", "/health")]:
        reply = worker.ask(method, path, RECORDS[0], {"origin": "http://elsewhere"})
        assert {k: reply.headers.get(k) for k in SECURITY} == SECURITY
        assert not [name for name in reply.headers if name.startswith("access-control")]
    page = worker.ask("GET", "/docs").headers["content-security-policy"]
    assert "default-src 'self'" in page


@pytest.mark.parametrize("sane", ["a", "Mine-1.2_3:4", "x" * 64])
def test_a_sane_request_id_is_kept(worker, sane):
    assert (
        worker.ask("GET", "/livez", headers={"x-request-id": sane}).headers["x-request-id"] == sane
    )


@pytest.mark.parametrize("odd", ["", "x" * 65, "a b", "a\r\nb", "<script>", "ä"])
def test_another_request_id_is_replaced_and_no_two_are_alike(worker, odd):
    replies = [worker.ask("GET", "/livez", headers={"x-request-id": odd}) for _ in range(3)]
    ids = {reply.headers["x-request-id"] for reply in replies}
    assert len(ids) == 3
    assert odd not in ids


@pytest.mark.parametrize("path", ["/x", "/predict/", "//predict", "/train", "/static_content/x"])
def test_an_unknown_path_is_not_found_and_counted_under_one_name(worker, path):
    reply = worker.ask("GET", path)
    assert (reply.status, reply.code) == (404, "not_found")
    assert worker.value("bentoline_requests_total", route="unknown", status="404") >= 1


def test_another_method_is_told_what_is_allowed(worker):
    reply = worker.ask("DELETE", "/predict")
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "method_not_allowed", "POST")
    head = worker.ask("HEAD", "/health")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 0


def test_a_defect_of_ours_is_told_without_its_words(worker, monkeypatch, caplog):
    async def broken(request) -> Answer:
        raise RuntimeError("secret word")

    log = logging.getLogger("bentoline.service")
    monkeypatch.setattr(log, "disabled", False)  # other libraries' set-ups silence what they find
    monkeypatch.setattr(log, "handlers", [caplog.handler])
    monkeypatch.setitem(worker.app._routes, "/broken", Route("broken", {"GET": broken}))
    reply = worker.ask("GET", "/broken")
    assert (reply.status, reply.code) == (500, "defect")
    assert b"secret" not in reply.body
    assert reply.json["request_id"] in caplog.text
    assert "secret word" in caplog.text
