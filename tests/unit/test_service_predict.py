"""POST /predict: what is answered, and what is refused with which words."""

import asyncio
import json
import re

import pytest

from service.intake import BUFFERED_BODIES
from tabular.serving import Serving
from tests.unit.asgi import GONE, NEVER, Worker, settings
from tests.unit.tiny import RECORDS, write_tiny

GOOD = RECORDS[0]
NAN, DEEP = b'{"age": NaN}', b"[" * 5000 + b"]" * 5000
FORM = "multipart/form-data; boundary=x"
CSV = "age,fee,city,opened\n30,1.5,Delhi,09:30\n61,-2,Bombay,23:59\n"


def served(folder, task="binary", **serving):
    facts = {"problem": "tiny", "serving": Serving(**serving).model_dump()}
    return Worker(settings(write_tiny(folder / "v3", task, facts=facts).path))


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    return served(tmp_path_factory.mktemp("binary"), max_rows=50, max_body_bytes=20_000)


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    return served(tmp_path_factory.mktemp("regression"), "regression")


def test_a_record_is_answered_by_its_class(worker):
    reply = worker.ask("POST", "/predict", GOOD)
    answer = reply.json
    assert reply.status == 200
    expected = worker.app.live.model.predictor.predict_records([GOOD])
    probabilities = dict(zip(("no", "yes"), expected.probabilities[0], strict=True))
    assert answer["prediction"] == expected.labels[0]
    assert answer["probabilities"] == pytest.approx(probabilities)
    assert answer["confidence"] == answer["probabilities"][answer["prediction"]]
    assert (answer["threshold"], answer["model_version"], answer["warnings"]) == (0.4, "v3", [])
    assert answer["request_id"] == reply.headers["x-request-id"]


def test_a_record_is_answered_by_its_value_and_interval(regression):
    answer = regression.ask("POST", "/predict", GOOD).json
    low, high = answer["interval"]
    assert (low + high) / 2 == pytest.approx(answer["prediction"])
    assert high - low == pytest.approx(5.0)
    assert (answer["unit"], answer["interval_level"]) == ("min", 0.9)


@pytest.mark.parametrize("task", ["worker", "regression"])
def test_every_form_of_the_same_rows_is_answered_alike(task, request):
    worker = request.getfixturevalue(task)
    rows = worker.ask("POST", "/predict", RECORDS[:2]).json
    for row in rows:
        del row["request_id"]
    form = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
        b"Content-Type: text/csv\r\n\r\n" + CSV.encode() + b"\r\n--x--\r\n"
    )
    others = [
        worker.ask("POST", "/predict", CSV.encode(), {"content-type": "text/csv"}).json,
        worker.ask(
            "POST", "/predict", form, {"content-type": "multipart/form-data; boundary=x"}
        ).json,
        worker.ask("POST", "/predict?partial=true", RECORDS[:2]).json,
        [
            worker.ask("POST", "/predict", RECORDS[0]).json,
            worker.ask("POST", "/predict", {"features": list(RECORDS[1].values())}).json,
        ],
        worker.ask("POST", "/predict", [part.encode() for part in json.dumps(RECORDS[:2])]).json,
    ]
    for answers in others:
        for answer, row in zip(answers, rows, strict=True):
            del answer["request_id"]
            numbers = "probabilities" if "probabilities" in row else "interval"
            assert answer[numbers] == pytest.approx(row[numbers])
            assert answer["prediction"] == pytest.approx(row["prediction"])
            assert answer.keys() == row.keys()


def test_an_unseen_category_is_answered_with_a_warning(worker):
    alone = worker.ask("POST", "/predict", RECORDS[2]).json
    rows = worker.ask("POST", "/predict", [RECORDS[0], RECORDS[2]]).json
    assert [w["column"] for w in alone["warnings"]] == ["city"]
    assert [[w["column"] for w in row["warnings"]] for row in rows] == [[], ["city"]]
    assert worker.value("bentoline_unseen_categories_total", column="city") >= 2


def test_partial_answers_the_good_rows_and_names_what_is_wrong_with_the_others(worker):
    rows = worker.ask("POST", "/predict?partial=true", [GOOD, {**GOOD, "age": 17}, 5, GOOD]).json
    assert [sorted(row)[:1] for row in rows] == [
        ["confidence"],
        ["error"],
        ["error"],
        ["confidence"],
    ]
    assert rows[1]["error"]["details"] == [
        {"row": 1, "column": "age", "value": "17", "allowed": "in [18, 90]"}
    ]
    all_bad = worker.ask("POST", "/predict?partial=1", [{}, None])
    assert all_bad.status == 200
    assert ["error" in row for row in all_bad.json] == [True, True]


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (NAN, 400, "bad_json", "NaN and Infinity are not JSON"),
        (b'{"age": 1e999', 400, "bad_json", "line 1"),
        (b"\xff\xfe{}", 400, "bad_json", "UTF-8"),
        (DEEP, 400, "bad_json", "not JSON"),
        (b"", 400, "bad_json", "not JSON"),
        (b"[]", 422, "empty", "no row"),
        (b"7", 422, "no_record", "got a number"),
        (b"null", 422, "no_record", "got null"),
        (b'"x"', 422, "no_record", "got a text"),
        (b'{"features": [1]}', 422, "features", "4 values in contract order .*, got 1 values"),
        (b'{"features": "x"}', 422, "features", "got a text"),
        (b"{}", 422, "contract", "4 of 4 columns missing"),
        (b"[[1, 2], [3]]", 422, "contract", "row 0 must be an object"),
        (b'[{"age": {"a": [1]}, "fee": 1, "city": [], "opened": null}]', 422, "contract", "age"),
    ],
)
def test_what_is_no_record_is_refused(worker, body, status, code, words):
    reply = worker.ask("POST", "/predict", body)
    assert (reply.status, reply.code) == (status, code)
    assert re.search(words, reply.json["error"]["message"])


def test_all_bad_rows_of_a_list_are_refused_with_twenty_named(worker):
    rows = [{**GOOD, "age": 17}] * 30 + [GOOD]
    reply = worker.ask("POST", "/predict", rows)
    error = reply.json["error"]
    assert (reply.status, reply.code, len(error["details"]), error["n_more"]) == (
        422,
        "contract",
        20,
        10,
    )
    assert error["details"][3] == {
        "row": 3,
        "column": "age",
        "value": "17",
        "allowed": "in [18, 90]",
    }


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"age,fee\n1,2,3\n", "bad_csv", "row 0 of the CSV has 3 values"),
        (b"age,age\n1,2\n", "bad_csv", "names a column twice"),
        (b"\xff\xff", "bad_csv", "not UTF-8"),
        (b"age,fee\n", "empty", "no row"),
        (b"", "empty", "no row"),
        (b"age,fee,city,opened\n17,,,\n", "contract", "age"),
    ],
)
def test_a_bad_csv_is_refused(worker, body, code, words):
    reply = worker.ask("POST", "/predict", body, {"content-type": "text/csv"})
    assert (reply.status // 100, reply.code) == (4, code)
    assert words in reply.json["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-encoding": "gzip"},
    ],
)
def test_another_content_type_is_refused(worker, headers):
    reply = worker.ask("POST", "/predict", GOOD, headers)
    assert (reply.status, reply.code) == (415, "unsupported_media_type")


def test_a_form_without_a_file_is_refused(worker):
    for body in (b"", b"--x--\r\n", b"junk"):
        reply = worker.ask(
            "POST", "/predict", body, {"content-type": "multipart/form-data; boundary=x"}
        )
        assert (reply.status, reply.code) == (400, "bad_form")
    reply = worker.ask("POST", "/predict", b"x", {"content-type": "multipart/form-data"})
    assert (reply.status, reply.code) == (400, "bad_form")


def test_more_than_the_limits_is_refused(worker):
    long = b" " * 20_001
    for body, headers in [
        (long, {}),
        (b"{}", {"content-length": "20001"}),
        ([long[:15_000], long[:15_000]], {}),
    ]:
        reply = worker.ask("POST", "/predict", body, headers)
        assert (reply.status, reply.code) == (413, "body_too_large")
        assert reply.headers["connection"] == "close"
    reply = worker.ask("POST", "/predict", [GOOD] * 51)
    assert (reply.status, reply.code) == (413, "too_many_rows")


def test_a_body_that_stays_away_is_refused(tmp_path):
    worker = served(tmp_path, timeout_s=0.05)
    for parts in ([NEVER], [b"{", NEVER]):
        reply = worker.ask("POST", "/predict", parts)
        assert (reply.status, reply.code) == (400, "slow_body")
        assert reply.headers["connection"] == "close"


def test_a_client_that_left_is_not_answered(worker):
    for parts in ([GONE], [b"{", GONE]):
        assert worker.ask("POST", "/predict", parts).status == 0


def test_slow_bodies_beyond_the_queue_are_sent_away_and_whole_ones_are_answered(tmp_path):
    worker = served(tmp_path, timeout_s=0.2, max_waiting=2)

    async def crowd():
        slow = [
            asyncio.create_task(worker.send("POST", "/predict", [b"{", NEVER], {}))
            for _ in range(5)
        ]
        await asyncio.sleep(0)
        quick = await worker.send("POST", "/predict", [json.dumps(GOOD).encode()], {})
        return quick, await asyncio.gather(*slow)

    quick, slow = asyncio.run(crowd())
    assert quick.status == 200
    assert sorted(reply.code for reply in slow) == ["overloaded"] * 3 + ["slow_body"] * 2
    away = next(reply for reply in slow if reply.code == "overloaded")
    assert (away.status, away.headers["retry-after"]) == (503, "1")


def test_large_bodies_together_are_bounded(tmp_path):
    worker = served(tmp_path, timeout_s=0.2, max_body_bytes=1_000)

    async def crowd():
        parts = [b" " * 500, b" " * 400, NEVER]
        return await asyncio.gather(
            *(worker.send("POST", "/predict", list(parts), {}) for _ in range(12))
        )

    codes = [reply.code for reply in asyncio.run(crowd())]
    assert set(codes) == {"slow_body", "overloaded"}
    assert codes.count("slow_body") <= BUFFERED_BODIES * 1_000 / 900
    assert worker.ask("POST", "/predict", GOOD).status == 200


@pytest.mark.parametrize("query", ["partial=maybe", "partial="])
def test_partial_is_a_truth_value(worker, query):
    reply = worker.ask("POST", f"/predict?{query}", [GOOD])
    assert reply.status == (400 if query.endswith("maybe") else 200)


def test_every_answer_is_counted(worker):
    before = worker.value("bentoline_rows_total")
    worker.ask("POST", "/predict", [GOOD, GOOD])
    assert worker.value("bentoline_rows_total") == before + 2
    assert worker.value("bentoline_requests_total", route="predict", status="200") > 0
    assert worker.value("bentoline_request_seconds_count", route="predict", status="200") > 0


@pytest.mark.parametrize("n_rows", [1, 3])
def test_rows_in_which_the_model_missed_a_value_are_counted_by_column(tmp_path, n_rows):
    worker = served(tmp_path)
    body = {**GOOD, "city": None}
    worker.ask("POST", "/predict", body if n_rows == 1 else [body] * n_rows)
    worker.ask("POST", "/predict", GOOD)
    for column, n_missing in (("city", n_rows), ("age", None)):
        assert worker.value("bentoline_missing_values_total", column=column) == n_missing


def test_predicted_numbers_are_counted_in_a_histogram(tmp_path):
    worker = served(tmp_path, "regression")
    values = [row["prediction"] for row in worker.ask("POST", "/predict", RECORDS[:3]).json]
    for bound in ("50.0", "1e+06"):
        expected = sum(value <= float(bound) for value in values)
        assert worker.value("bentoline_values_bucket", le=bound) == expected
    assert worker.value("bentoline_values_sum") == pytest.approx(sum(values))


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("n_rows", [1, 3])
def test_an_answer_that_is_no_number_is_no_answer(tmp_path, task, n_rows, caplog, monkeypatch):
    worker = served(tmp_path, task)
    predictor = worker.app.live.model.predictor
    right = predictor.answer_matrix

    def spoiled(X):
        raw = right(X)
        raw[-1] = float("nan")
        return raw

    monkeypatch.setattr(predictor, "answer_matrix", spoiled)
    reply = worker.ask("POST", "/predict", [GOOD] * n_rows if n_rows > 1 else GOOD)
    assert (reply.status, reply.json["error"]["code"]) == (500, "no_number")
    assert f"answer to row {n_rows - 1} is no finite number" in reply.json["error"]["message"]
    assert reply.json["request_id"] in caplog.text
    assert worker.value("bentoline_requests_total", route="predict", status="500") == 1


@pytest.mark.parametrize("value", [True, False])
def test_a_truth_value_is_refused_where_a_number_is_meant(worker, value):
    reply = worker.ask("POST", "/predict", [GOOD, {**GOOD, "fee": value}])
    assert reply.status == 422
    assert reply.json["error"]["details"] == [
        {"row": 1, "column": "fee", "value": str(value).lower(), "allowed": "type number"}
    ]
