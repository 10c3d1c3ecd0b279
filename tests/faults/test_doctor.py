"""Faults are planted one by one; the doctor names the right one first, and what to do about it."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

import run
from pipelines.doctor import machine
from pipelines.doctor.examination import Check, examine
from tests.disks import Disk
from tests.integration.mongo_server import Server, guarded  # noqa: F401  # a fixture
from tests.s3 import client, credentials, free_port, moto

ROOT = Path(__file__).parents[2]
BUCKET = "s3://shelf/registry"
LISTING = b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>'

LOG = "BENTOLINE_PREDICTION_LOG"

Doctor = Callable[..., tuple[int, dict[str, Any]]]


@dataclass
class StandIn:
    """A server that answers each method as told, where no real one can be brought to.

    The codes are those that S3 documents.
    """

    address: str
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    date: str = ""

    def refuse(self, method: str, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self.answers[method] = (status, body)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = told.answers.get(self.command, (200, LISTING))
            self.send_response_only(status)
            self.send_header("Date", told.date or self.date_time_string())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = StandIn(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield told
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with moto() as address:
        client(address).create_bucket(Bucket="shelf")
        yield address


@pytest.fixture
def doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Doctor:
    """Examine a home of its own, with further variables; the exit code and the first wrong part."""
    for name in ("MONGODB_URI", "ZENML_STORE_URL", "MLFLOW_TRACKING_URI", "ZENML_CONFIG_PATH", LOG):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BENTOLINE_HOME", str(tmp_path / "home"))

    def examined(*flags: str, **variables: str) -> tuple[int, dict[str, Any]]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        code = run.main(["--doctor", "--json", *flags])
        said = capfd.readouterr()
        assert "s3cret" not in said.out + said.err
        found = json.loads(said.out)["findings"]
        return code, next((one for one in found if one["state"] == "wrong"), {})

    return examined


def test_a_well_machine_has_nothing_to_mend(doctor: Doctor, s3: str) -> None:
    assert doctor(BENTOLINE_REGISTRY=BUCKET, **credentials(s3)) == (0, {})
    assert client(s3).list_objects_v2(Bucket="shelf")["KeyCount"] == 0  # its probe is gone


def test_a_missing_bucket(doctor: Doctor, s3: str) -> None:
    code, first = doctor(BENTOLINE_REGISTRY="s3://absent/registry", **credentials(s3))
    assert (code, first["part"]) == (2, "registry")
    assert "no such bucket; create it" in first["sentence"]


@pytest.mark.parametrize(
    ("method", "status", "code", "sentence"),
    [
        ("PUT", 403, "AccessDenied", "may not write (s3:PutObject)"),
        ("DELETE", 403, "AccessDenied", "may not delete (s3:DeleteObject)"),
        ("GET", 403, "AccessDenied", "may not list (s3:ListBucket)"),
        ("GET", 403, "InvalidAccessKeyId", "nobody knows the access key; check AWS_ACCESS_KEY_ID"),
        ("GET", 403, "SignatureDoesNotMatch", "the secret does not fit the access key"),
        ("GET", 400, "ExpiredToken", "token has expired; log in again"),
        ("GET", 400, "AuthorizationHeaderMalformed", "in another region; set AWS_DEFAULT_REGION"),
        ("GET", 403, "RequestTimeTooSkewed", "clock is off; set it"),
    ],
)
def test_what_s3_refuses(
    doctor: Doctor, stand_in: StandIn, method: str, status: int, code: str, sentence: str
) -> None:
    stand_in.refuse(method, status, code)
    exit_code, first = doctor(BENTOLINE_REGISTRY=BUCKET, **credentials(stand_in.address))
    assert (exit_code, first["part"]) == (2, "registry")
    assert sentence in first["sentence"]


def test_a_clock_that_is_off_though_s3_takes_it(doctor: Doctor, stand_in: StandIn) -> None:
    stand_in.date = format_datetime(datetime.now(UTC) - timedelta(minutes=10), usegmt=True)
    _, first = doctor(BENTOLINE_REGISTRY=BUCKET, **credentials(stand_in.address))
    assert "clock is off" in first["sentence"]
    assert "by 60" in first["sentence"]


def test_an_s3_that_is_away(doctor: Doctor) -> None:
    away = credentials(f"http://127.0.0.1:{free_port()}")
    _, first = doctor(BENTOLINE_REGISTRY=BUCKET, **away)
    assert "cannot be reached" in first["sentence"]
    assert "AWS_ENDPOINT_URL" in first["sentence"]


def test_no_credentials(doctor: Doctor, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = credentials(stand_in.address)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
        del variables[name]
    _, first = doctor(BENTOLINE_REGISTRY=BUCKET, **variables)
    assert "there are no AWS credentials" in first["sentence"]


def test_an_unset_variable(doctor: Doctor, capfd: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--doctor", "--stack", "aws"]) == 2
    assert "BENTOLINE_ARTIFACTS (where artifacts go" in capfd.readouterr().err


def test_no_engine_where_the_stack_needs_one(
    doctor: Doctor, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.engine.DEBIAN", tmp_path / "absent")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
    _, first = doctor(
        "--stack", "docker", BENTOLINE_REGISTRY=BUCKET, BENTOLINE_ARTIFACTS="s3://shelf/zenml",
        PATH=str(tmp_path), **credentials(s3),
    )  # fmt: skip
    assert first["part"] == "engine"
    assert "make engine" in first["sentence"]


@pytest.mark.parametrize("variable", ["ZENML_STORE_URL", "MLFLOW_TRACKING_URI"])
def test_a_server_that_is_down(doctor: Doctor, variable: str) -> None:
    _, first = doctor(**{variable: f"http://127.0.0.1:{free_port()}"})
    assert f"{variable}: 127.0.0.1 cannot be reached" in first["sentence"]


def test_a_zenml_server_of_another_version(doctor: Doctor, stand_in: StandIn) -> None:
    stand_in.answers["GET"] = (200, b'{"version": "0.70.0"}')
    _, first = doctor(ZENML_STORE_URL=stand_in.address)
    assert "the server is ZenML 0.70.0" in first["sentence"]


def test_an_mlflow_that_does_not_know_us(doctor: Doctor, stand_in: StandIn) -> None:
    stand_in.answers["GET"] = (401, b"{}")
    address = stand_in.address.replace("http://", "http://ann:s3cret@")
    _, first = doctor(MLFLOW_TRACKING_URI=address)
    assert "does not let us in (401)" in first["sentence"]


def test_a_mongodb_that_is_down(doctor: Doctor) -> None:
    _, first = doctor(MONGODB_URI=f"mongodb://ann:s3cret@127.0.0.1:{free_port()}")
    assert first["part"] == "MongoDB"
    assert "cannot be reached" in first["sentence"]


def test_a_password_that_mongodb_does_not_take(doctor: Doctor, guarded: Server) -> None:  # noqa: F811
    _, first = doctor(MONGODB_URI=guarded.uri("nobody:s3cret"))
    assert first["part"] == "MongoDB"
    assert "does not accept user and password" in first["sentence"]


def test_a_prediction_log_that_is_well_keeps_no_trace(
    doctor: Doctor,
    s3: str,
    guarded: Server,  # noqa: F811
    tmp_path: Path,
) -> None:
    mongodb = guarded.uri("writer:wr1te", "authSource=shop").replace("/?", "/shop?")
    for place in (str(tmp_path / "log"), "s3://shelf/log", mongodb):
        assert doctor(**{LOG: place}, **credentials(s3)) == (0, {})
    assert list((tmp_path / "log").iterdir()) == []
    assert client(s3).list_objects_v2(Bucket="shelf")["KeyCount"] == 0
    with MongoClient[Any](mongodb) as reader:
        assert reader["shop"].list_collection_names(filter={"name": {"$regex": "doctor"}}) == []


def test_a_log_folder_that_cannot_be_written(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    _, first = doctor(**{LOG: str(tmp_path / "log")})
    assert first["part"] == "prediction log"
    assert "log cannot be written (File exists)" in first["sentence"]
    assert f"set {LOG} to another folder" in first["sentence"]


def test_a_log_on_a_full_disk(doctor: Doctor, disk: Disk) -> None:
    folder = disk("64k")
    with pytest.raises(OSError, match="No space left"):
        (folder / "ballast").write_bytes(bytes(100_000))
    _, first = doctor(**{LOG: str(folder)})
    assert [path.name for path in folder.iterdir()] == ["ballast"]
    assert first["part"] == "prediction log"
    assert "cannot be written (No space left on device); free room" in first["sentence"]


@pytest.mark.parametrize(
    ("method", "sentence"),
    [("PUT", "may not write (s3:PutObject)"), ("GET", "may not list (s3:ListBucket)")],
)
def test_a_log_that_s3_refuses(
    doctor: Doctor, stand_in: StandIn, method: str, sentence: str
) -> None:
    stand_in.refuse(method, 403, "AccessDenied")
    _, first = doctor(**{LOG: "s3://shelf/log"}, **credentials(stand_in.address))
    assert first["part"] == "prediction log"
    assert sentence in first["sentence"]


def test_a_log_in_a_missing_bucket(doctor: Doctor, s3: str) -> None:
    _, first = doctor(**{LOG: "s3://absent/log"}, **credentials(s3))
    assert first["part"] == "prediction log"
    assert "s3://absent/log: there is no such bucket; create it" in first["sentence"]


def test_a_log_in_a_mongodb_that_is_down(doctor: Doctor) -> None:
    _, first = doctor(**{LOG: f"mongodb://ann:s3cret@127.0.0.1:{free_port()}/log"})
    assert first["part"] == "prediction log"
    assert f"no MongoDB server answers; check {LOG}" in first["sentence"]


@pytest.mark.parametrize(
    ("login", "refused"),
    [("writer:s3cret", "failed"), ("reader:r3ad", "insert"), ("shipper:sh1p", "find")],
)
def test_a_log_that_mongodb_does_not_let_us_read_and_write(
    doctor: Doctor,
    guarded: Server,  # noqa: F811
    login: str,
    refused: str,
) -> None:
    uri = guarded.uri(login, "authSource=shop").replace("/?", "/shop?")
    _, first = doctor(**{LOG: uri})
    assert first["part"] == "prediction log"
    assert "the server refuses this user here" in first["sentence"]
    assert refused in first["sentence"]
    assert "grant it readWrite" in first["sentence"]


def test_a_home_that_is_no_folder(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    _, first = doctor()
    assert first["part"] == "home"
    assert "BENTOLINE_HOME" in first["sentence"]


def test_a_full_disk(doctor: Doctor, disk: Disk) -> None:
    _, first = doctor(BENTOLINE_HOME=str(disk("2m")))
    assert first["part"] == "disk"
    assert "0.00 GB are free" in first["sentence"]


def test_a_damaged_zenml_store(doctor: Doctor, tmp_path: Path) -> None:
    database = tmp_path / "home" / "zenml" / "zenml.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"SQLite format 3\x00" + b"\x00" * 4096)
    _, first = doctor()
    assert first["part"] == "ZenML store"
    assert "move the folder" in first["sentence"]


def test_packages_other_than_the_locks(tmp_path: Path) -> None:
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    text = (tmp_path / "requirements.lock").read_text()
    (tmp_path / "requirements.lock").write_text(text.replace("\nzenml==0.98", "\nzenml==0.55"))
    found = examine([Check("packages", lambda: machine.packages(tmp_path))])
    assert found[0].state == "wrong"
    assert "zenml 0.98" in found[0].sentence


def test_a_server_that_never_answers_is_a_finding_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:

        def wait() -> str:
            with socket.create_connection(silent.getsockname()) as line:
                return str(line.recv(1))

        late, good = examine([Check("late", wait), Check("good", lambda: "fine")], limit_s=0.2)
    assert (late.state, good.state) == ("wrong", "good")
    assert "no answer within" in late.sentence
