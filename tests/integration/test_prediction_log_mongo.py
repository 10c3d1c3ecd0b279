"""A prediction log in MongoDB: what was answered is there once, whatever befalls the server."""

import json
import signal
from datetime import timedelta

import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from tabular.errors import ConfigError, DataError, StoreError
from tabular.prediction_log.files import Span
from tabular.prediction_log.labels import UNKNOWN
from tabular.prediction_log.layout import log_schema
from tabular.prediction_log.mongo_location import VARIABLE, location_of
from tabular.prediction_log.names import SEALED
from tabular.prediction_log.reading import (
    EARLIEST,
    find_log,
    find_request,
    joined_labels,
    read_log,
)
from tabular.prediction_log.shipping import ship_all
from tests.integration.mongo_server import guarded, mongo, serving
from tests.unit.test_labels import ANSWERED, INSURANCE, answer, take
from tests.unit.test_service_log import logging_worker, turn
from tests.unit.tiny import CONTRACT, RECORDS

__all__ = ["guarded", "mongo"]  # fixtures


@pytest.fixture
def place(mongo, request, monkeypatch):
    """A database of the test's own."""
    uri = f"{mongo.uri()}{request.node.name[:40]}"
    monkeypatch.setenv(VARIABLE, uri)
    return location_of(uri)


def worker_at(folder, location):
    worker = logging_worker(folder, location=location)
    if "://" in str(location):
        worker.app.log._sink._is_started = True  # its turns are taken here
    return worker


def log_request(worker, name, records=RECORDS):
    assert worker.ask("POST", "/predict", records, {"x-request-id": name}).status == 200
    turn(worker)
    worker.app.log._sink._folder.close()


def rows_at(location):
    return [row for batch in read_log(location, "tiny", EARLIEST) for row in batch.to_pylist()]


def test_rows_come_back_as_from_a_folder_and_twice_sent_are_there_once(tmp_path, place):
    folder, worker = worker_at(tmp_path, tmp_path / "log"), worker_at(tmp_path / "m", place)
    folder.ask("POST", "/predict", RECORDS, {"x-request-id": "a"})
    turn(folder)
    log_request(worker, "a")
    sink = worker.app.log._sink
    (spooled,) = sink._spool.rglob(f"*{SEALED}")
    content = spooled.read_bytes()
    sink._upload_all()
    assert (sink.trouble, spooled.exists()) == ("", False)
    spooled.write_bytes(content)  # as if the sender was killed before it took the file away
    sink._upload_all()
    assert not spooled.exists()
    rows = rows_at(place)
    assert len(rows) == len(RECORDS)
    assert [row | {"at": 0} for row in rows] == [
        row | {"at": 0} for row in rows_at(str(tmp_path / "log"))
    ]
    (batch,) = read_log(place, "tiny", EARLIEST)
    assert batch.schema == log_schema(CONTRACT, "binary")
    middle = rows[0]["at"]
    assert not list(read_log(place, "tiny", EARLIEST, middle))
    (asked,) = read_log(place, "tiny", middle, columns=["in.age", "row", "in.never"])
    assert asked.to_pylist()[1] == {"in.age": RECORDS[1]["age"], "row": 1, "in.never": None}
    assert find_request(place, "tiny", "a", 2)["in.city"] == RECORDS[2]["city"]


class Asked(CommandListener):
    """Clients that are opened, and what they search for."""

    def __init__(self):
        self.n_clients, self.searches = 0, []

    def client(self, *args, **options):
        self.n_clients += 1
        return MongoClient(*args, event_listeners=[self], **options)

    def started(self, event):
        if event.command.get("filter"):
            self.searches.append(event.command)

    def succeeded(self, event):
        pass

    failed = succeeded


@pytest.fixture
def asked(monkeypatch):
    asked = Asked()
    monkeypatch.setattr("tabular.prediction_log.documents.MongoClient", asked.client)
    return asked


def test_a_request_and_a_time_are_found_by_an_index_and_files_go_by_one_client(
    tmp_path, place, mongo, asked
):
    worker = worker_at(tmp_path, place)
    names = ("a", "b", "c")
    for name in names:
        log_request(worker, name)
    assert ship_all(worker.app.log._sink._spool, place) == []
    assert asked.n_clients == 1
    first, later = rows_at(place)[0]["at"], timedelta(days=3)
    assert find_request(place, "tiny", "b", 2)["in.city"] == RECORDS[2]["city"]
    assert find_request(place, "tiny", "b", 4) is None
    assert not list(read_log(place, "tiny", first + later))
    assert not list(read_log(place, "tiny", EARLIEST, first - later))
    examined = []
    with mongo.client() as client:
        for search in asked.searches:
            wanted = {k: v for k, v in search.items() if k in ("find", "filter", "sort", "hint")}
            told = client[search["$db"]].command("explain", wanted, verbosity="executionStats")
            assert "IXSCAN" in str(told["queryPlanner"]["winningPlan"])
            examined.append(told["executionStats"]["totalDocsExamined"])
    assert examined == [len(names) * len(RECORDS), 1, 0, 0, 0]


def test_inputs_that_nobody_asks_for_stay_on_the_server(tmp_path, place, asked):
    worker = worker_at(tmp_path, place)
    log_request(worker, "a")
    ship_all(worker.app.log._sink._spool, place)
    (answers,) = read_log(place, "tiny", EARLIEST, columns=["row", "prediction"])
    assert (answers.schema.names, answers.num_rows) == (["row", "prediction"], len(RECORDS))
    assert set(asked.searches[-1]["projection"]) == {"row", "prediction"}


def test_a_day_at_a_time_gives_what_one_reading_gives(place):
    answer(INSURANCE, place, ["a", "b", "c"])  # b and c after midnight
    log, names = find_log(place, INSURANCE.name), ["request_id", "at"]
    for moment, days, ids in (
        (ANSWERED, ["20260301", "20260302"], ["a", "b", "c"]),
        (ANSWERED + timedelta(seconds=2), ["20260301", "20260302"], ["c"]),
        (ANSWERED + timedelta(days=3), [], []),
    ):
        span = Span(moment, None)
        parts = [part for stretch in log.stretches(span) for part in stretch]
        assert [part.stem for part in parts] == days
        batches = [batch for part in parts for batch in log.rows_of(part, span, names, None)]
        assert [one for batch in batches for one in batch["request_id"].to_pylist()] == ids
        assert batches == list(read_log(place, INSURANCE.name, moment, columns=names))


def test_who_may_only_insert_ships_and_the_missing_index_is_told_once(
    tmp_path, guarded, monkeypatch, caplog
):
    uri = f"{guarded.uri('shipper:sh1p')}shop?authSource=shop"
    monkeypatch.setenv(VARIABLE, uri)
    worker = worker_at(tmp_path, location_of(uri))
    sink = worker.app.log._sink
    for name in ("ship-1", "ship-2"):
        log_request(worker, name)
        sink._upload_all()
        assert (sink.trouble, sink.size_bytes()) == ("", 0)
    (said,) = [one.getMessage() for one in caplog.records if "index" in one.getMessage()]
    assert "shop.predictions.tiny: has no index by request_id yet (not authorized" in said
    assert said.endswith("{request_id: 1, row: 1}.")
    monkeypatch.setenv(VARIABLE, f"{guarded.uri('writer:wr1te')}shop?authSource=shop")
    found = [row["request_id"] for row in rows_at(location_of(uri))]
    assert [found.count(name) for name in ("ship-1", "ship-2")] == [len(RECORDS)] * 2


def test_while_the_server_is_away_rows_wait_and_then_arrive_once(tmp_path, monkeypatch):
    with serving(tmp_path / "server") as server:
        uri = f"{server.uri()}log"
        monkeypatch.setenv(VARIABLE, uri)
        worker = worker_at(tmp_path, location_of(uri))
        sink = worker.app.log._sink
        log_request(worker, "before")
        sink._upload_all()
        server.stop(signal.SIGKILL)
        log_request(worker, "during")
        sink._upload_all()
        turn(worker)
        state = worker.ask("GET", "/health").json["prediction_log"]
        assert (state["state"], state["dropped_rows"]) == ("failing", 0)
        assert "no MongoDB server answers" in state["reason"]
        server.start()
        for _ in range(2):
            sink._upload_all()
        assert (sink.trouble, sink.size_bytes()) == ("", 0)
        found = [(row["request_id"], row["row"]) for row in rows_at(location_of(uri))]
    assert sorted(found) == [(name, row) for name in ("before", "during") for row in range(4)]


def test_outcomes_join_there_and_a_second_time_change_nothing(place):
    with pytest.raises(DataError, match="there is no prediction log of vehicle_insurance here"):
        take(place, [{"request_id": "a", "Response": 1}])
    answer(INSURANCE, place, ["a", "b"])
    given = [{"request_id": "a", "Response": 1}, {"request_id": "never", "Response": 0}]
    first, second = take(place, given), take(place, given)
    assert (first.taken, first.refused, second.taken, second.known) == (1, {UNKNOWN: 1}, 0, 1)
    joined = joined_labels(place, INSURANCE.name, EARLIEST).to_pylist()
    assert [(row["request_id"], row["outcome"]) for row in joined] == [("a", "1")]


@pytest.mark.parametrize(
    ("login", "error", "words"),
    [("writer:wr1te", None, ""), ("writer:s3cret", ConfigError, "refuses this user")],
)
def test_a_login_is_used_and_never_shown(tmp_path, guarded, monkeypatch, login, error, words):
    uri = f"{guarded.uri(login)}shop?authSource=shop"
    monkeypatch.setenv(VARIABLE, uri)
    place = location_of(uri)
    assert place == f"mongodb://127.0.0.1:{guarded.port}/shop"
    worker = worker_at(tmp_path, place)
    log_request(worker, "a")
    sink = worker.app.log._sink
    sink._upload_all()
    if error is None:
        assert sink.trouble == ""
        assert find_request(place, "tiny", "a", 3)["in.city"] == RECORDS[3]["city"]
        return
    with pytest.raises(error, match=words) as raised:
        ship_all(sink._spool, place)
    assert words in sink.trouble
    turn(worker)
    shown = str(raised.value) + json.dumps(worker.ask("GET", "/health").json)
    assert "s3cret" not in shown
    assert "writer" not in shown


@pytest.mark.parametrize(
    "uri", ["mongodb://", "mongodb://user:se/cret@host", "mongodb://user:se@cret@host/x y"]
)
def test_what_is_no_address_is_refused_without_showing_it(uri):
    with pytest.raises(ConfigError, match="not a MongoDB address") as raised:
        location_of(uri)
    assert "cret" not in str(raised.value)


def test_a_server_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr("tabular.prediction_log.documents.CONNECT_MS", 100)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/log: no MongoDB server answers"):
        list(read_log("mongodb://127.0.0.1:1/log", "tiny", EARLIEST))
