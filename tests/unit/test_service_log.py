"""What the service logs of its answers: every row once, whatever happens to the disk."""

import asyncio
import hashlib
import hmac
import shutil
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from service import prediction_log
from service.log_folder import LogFolder
from service.many_answers import Answers
from tabular.errors import StoreError
from tabular.prediction_log.layout import log_schema
from tabular.prediction_log.names import FRAMES, OPEN
from tabular.prediction_log.reading import read_log
from tabular.prediction_log.sealing import seal_all
from tabular.records import named_columns
from tests.unit.asgi import Worker, settings
from tests.unit.tiny import CONTRACT, RECORDS, SERVED, write_tiny

SINCE = datetime(2020, 1, 1, tzinfo=UTC)


def logging_worker(folder, task="binary", location=None, **changes):
    facts = {"problem": "tiny", "log": changes.pop("log", {})}
    bundle = write_tiny(folder / "v3", task, facts=facts, **changes)
    where = str(location or folder / "log")
    return Worker(settings(bundle.path, prediction_log=where, log_key=b"key"))


def turn(worker):
    """One turn of the log's thread."""
    log = worker.app.log
    log._settle(log._write(log._take()))


def give(worker, records):
    """Let the request that waits have had other records: not every model answers all of these."""
    (entry,) = worker.app.log._waiting
    worker.app.log._waiting[0] = entry._replace(records=records)
    if isinstance(entry.answers, Answers):
        entry.answers.given = named_columns(CONTRACT, records)


def rows(folder, **options):
    batches = list(read_log(str(folder / "log"), "tiny", SINCE, **options))
    return pa.Table.from_batches(batches).to_pylist() if batches else []


def journals(folder):
    return sorted((folder / "log").glob(f"*/{OPEN}/*{FRAMES}"))


def test_one_turn_writes_single_rows_and_tables_in_their_order(tmp_path):
    worker = logging_worker(tmp_path)
    renamed = [{("Fee in EUR" if k == "fee" else k): v for k, v in r.items()} for r in RECORDS[:2]]
    bodies = (RECORDS[:2], RECORDS[0], RECORDS[2:3], RECORDS[1:], renamed, RECORDS[1])
    for place, body in enumerate(bodies):
        worker.ask("POST", "/predict", body, {"x-request-id": f"r{place}"})
    turn(worker)
    logged = [(r["request_id"], r["row"], r["in.fee"]) for r in rows(tmp_path)]
    fees = [float(row["fee"]) for row in RECORDS]
    assert logged == [
        ("r0", 0, fees[0]), ("r0", 1, fees[1]), ("r1", 0, fees[0]), ("r2", 0, fees[2]),
        ("r3", 0, fees[1]), ("r3", 1, fees[2]), ("r3", 2, fees[3]),
        ("r4", 0, fees[0]), ("r4", 1, fees[1]), ("r5", 0, fees[1]),
    ]  # fmt: skip


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_every_answered_row_is_logged_as_it_was_answered(tmp_path, task):
    worker = logging_worker(tmp_path, task)
    single = worker.ask("POST", "/predict", RECORDS[0], {"x-request-id": "one"}).json
    many = worker.ask("POST", "/predict", RECORDS, {"x-request-id": "many"}).json
    turn(worker)
    logged = rows(tmp_path)
    assert [(r["request_id"], r["row"]) for r in logged] == [
        ("one", 0), ("many", 0), ("many", 1), ("many", 2), ("many", 3),
    ]  # fmt: skip
    assert {(r["version"], r["role"]) for r in logged} == {("v3", "production")}
    for answer, row in zip([single, *many], logged, strict=True):
        if task == "binary":
            assert row["prediction"] == answer["prediction"]
            assert row["probability"] == answer["probabilities"]["yes"]
            assert (row["value"], row["low"], row["high"]) == (None, None, None)
        else:
            assert (row["value"], row["prediction"]) == (answer["prediction"], None)
            assert [row["low"], row["high"]] == answer["interval"]
            assert row["probability"] is None


def test_inputs_are_logged_as_they_came_and_what_is_missing_as_null(tmp_path):
    worker = logging_worker(tmp_path)
    worker.ask("POST", "/predict", [*RECORDS, RECORDS[0]])
    give(worker, [*RECORDS, {**RECORDS[0], "fee": "NA", "city": 28.0, "opened": " "}])
    turn(worker)
    schema = log_schema(CONTRACT, "binary")
    assert next(read_log(str(tmp_path / "log"), "tiny", SINCE)).schema == schema
    found = [(r["in.age"], r["in.fee"], r["in.city"], r["in.opened"]) for r in rows(tmp_path)]
    assert found == [
        (30.0, 1.5, "Delhi", "09:30"),
        (61.0, -2.0, "Bombay", "23:59"),
        (44.0, 0.25, "Paris", "0.5"),
        (18.0, 3000.0, None, "24:05:00"),
        (30.0, None, "28", None),
    ]


def test_a_column_by_its_other_name_and_half_a_surrogate_are_logged(tmp_path):
    worker = logging_worker(tmp_path)
    record = {"age": 30, "Fee in EUR": 7, "city": "a\ud800b", "opened": "09:30"}
    worker.ask("POST", "/predict", RECORDS[0])
    give(worker, [record])
    turn(worker)
    (row,) = rows(tmp_path)
    assert (row["in.fee"], row["in.city"]) == (7.0, "a?b")


def test_a_refused_row_of_a_partial_request_is_not_logged(tmp_path):
    worker = logging_worker(tmp_path)
    worker.ask("POST", "/predict?partial=true", [RECORDS[0], {**RECORDS[0], "age": 5}, RECORDS[1]])
    worker.ask("POST", "/predict?partial=true", [{**RECORDS[0], "age": 5}])
    turn(worker)
    assert [(row["row"], row["in.age"]) for row in rows(tmp_path)] == [(0, 30.0), (2, 61.0)]


@pytest.mark.parametrize("sensitive", ["hash", "omit"])
def test_a_sensitive_column_is_hashed_with_the_key_or_left_out(tmp_path, sensitive):
    columns = {
        name: column.model_copy(update={"sensitive": name in ("age", "city")})
        for name, column in CONTRACT.columns.items()
    }
    contract = SERVED.model_copy(
        update={"contract": CONTRACT.model_copy(update={"columns": columns})}
    )
    worker = logging_worker(tmp_path, contract=contract, log={"sensitive": sensitive})
    worker.ask("POST", "/predict", [RECORDS[0], RECORDS[3]])
    turn(worker)
    first, second = rows(tmp_path)
    if sensitive == "omit":
        assert {"in.age", "in.city"}.isdisjoint(first)
        return
    for name, text in (("in.age", b"30"), ("in.city", b"Delhi")):
        assert first[name] == hmac.new(b"key", text, hashlib.sha256).hexdigest()[:16]
    assert second["in.city"] is None
    assert b"Delhi" not in journals(tmp_path)[0].read_bytes()


def test_without_a_key_the_home_makes_one_and_keeps_it(tmp_path):
    from service.log_sink import own_key

    key = own_key(tmp_path)
    assert (len(key), own_key(tmp_path)) == (64, key)
    assert (tmp_path / "log.key").stat().st_mode & 0o077 == 0


def test_a_full_queue_drops_and_counts_rows(tmp_path, monkeypatch):
    worker = logging_worker(tmp_path)
    monkeypatch.setattr(prediction_log, "MAX_WAITING_ROWS", 5)
    for _ in range(3):
        assert worker.ask("POST", "/predict", RECORDS[:2]).status == 200
    assert worker.value("bentoline_prediction_log_dropped_total") == 2
    assert worker.app.log.n_waiting == 4
    turn(worker)
    assert len(rows(tmp_path)) == 4
    assert worker.app.log.n_waiting == worker.value("bentoline_prediction_log_waiting_rows") == 0


def test_rows_that_the_disk_refused_wait_and_are_written_once(tmp_path, monkeypatch):
    worker = logging_worker(tmp_path)
    worker.ask("POST", "/predict", RECORDS[0], {"x-request-id": "a"})
    turn(worker)
    worker.ask("POST", "/predict", RECORDS[0], {"x-request-id": "b"})
    with monkeypatch.context() as full:
        full.setattr("os.fsync", no_space)
        turn(worker)
    worker.ask("POST", "/predict", RECORDS[0], {"x-request-id": "c"})
    state = worker.ask("GET", "/health").json["prediction_log"]
    assert (state["state"], state["waiting_rows"]) == ("failing", 2)
    assert "No space left" in state["reason"]
    assert str(tmp_path) not in state["reason"]
    turn(worker)
    seal_all(tmp_path / "log")
    assert sorted(row["request_id"] for row in rows(tmp_path)) == ["a", "b", "c"]
    assert worker.ask("GET", "/health").json["prediction_log"]["state"] == "on"


def no_space(descriptor):
    raise OSError(28, "No space left on device")


def test_a_folder_that_was_taken_away_is_made_anew_with_what_its_journal_held(tmp_path):
    worker = logging_worker(tmp_path)
    for name in ("a", "b"):
        worker.ask("POST", "/predict", RECORDS[0], {"x-request-id": name})
        turn(worker)
        shutil.rmtree(tmp_path / "log")
    worker.ask("POST", "/predict", RECORDS[0], {"x-request-id": "c"})
    turn(worker)
    assert [row["request_id"] for row in rows(tmp_path)] == ["a", "b", "c"]
    assert "taken away" in worker.ask("GET", "/health").json["prediction_log"]["reason"]


def test_a_defect_costs_its_own_rows_only(tmp_path, monkeypatch):
    worker = logging_worker(tmp_path)
    worker.ask("POST", "/predict", RECORDS[0], {"x-request-id": "odd"})
    give(worker, [{"age": object()}])
    turn(worker)
    worker.ask("POST", "/predict", RECORDS[0], {"x-request-id": "good"})
    turn(worker)
    assert [row["request_id"] for row in rows(tmp_path)] == ["good"]
    assert worker.value("bentoline_prediction_log_dropped_total") == 1


def test_what_waits_is_written_and_sealed_when_the_worker_stops(tmp_path):
    worker = logging_worker(tmp_path)
    worker.ask("POST", "/predict", RECORDS)

    async def stop():
        draining = asyncio.create_task(worker.app.log.drain())
        await asyncio.sleep(0)
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)

    asyncio.run(stop())
    assert journals(tmp_path) == []
    assert len(rows(tmp_path)) == 4


def test_a_full_journal_is_sealed_beside_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("service.journals.SEAL_ROWS", 3)
    worker = logging_worker(tmp_path)
    for _ in range(3):
        worker.ask("POST", "/predict", RECORDS[:2])
        turn(worker)
    worker.app.log._sink._sealer.wait()
    assert len(list((tmp_path / "log").glob("problem=tiny/date=*/*.parquet"))) == 1
    assert len(journals(tmp_path)) == 1
    assert len(rows(tmp_path)) == 6


def test_an_idle_log_starts_no_process(tmp_path):
    folder = LogFolder(tmp_path, "tiny", None)
    folder.tend()
    folder._sealer.wait()
    first = folder._sealer
    folder.tend()
    assert folder._sealer is first


def test_no_log_is_kept_where_none_is_named(tmp_path):
    worker = Worker(settings(write_tiny(tmp_path / "v3").path))
    worker.ask("POST", "/predict", RECORDS[0])
    assert worker.app.log.n_waiting == 0
    assert worker.ask("GET", "/health").json["prediction_log"] == {"state": "off"}


def test_the_spool_of_a_log_in_s3_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("service.log_uploads.MAX_SPOOL_BYTES", 100)
    worker = logging_worker(tmp_path, location="s3://bucket/log")
    sink = worker.app.log._sink
    sink._stopping.set()  # nothing is sent here
    for n in range(2):
        worker.ask("POST", "/predict", RECORDS[0], {"x-request-id": str(n)})
        turn(worker)
    assert worker.app.log.n_waiting == 1
    assert "spool is full" in worker.app.log.trouble
    (entry,) = worker.app.log._waiting
    with pytest.raises(StoreError, match="rows are dropped until the store"):
        sink.write([entry])
