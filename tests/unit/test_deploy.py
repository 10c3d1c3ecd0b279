"""What delivery says and refuses where no engine is needed; the engine's own tests are e2e."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploy import engine as engines
from deploy.ecr import Repository
from deploy.engine import Engine, EngineError, find_engine, reason
from deploy.host.checks import Connection
from deploy.image import Release, build_bento, revision
from deploy.settings import Settings
from deploy.smoke import check_golden
from tabular.errors import ConfigError, RefusedError, StoreError
from tests.unit.tiny import write_tiny


@contextmanager
def answering(status, body=b"null", headers=()):
    """Give the port of a server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            for name, value in (*headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_HEAD()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def client(folder, version, script="exit 0"):
    """A docker of some version."""
    folder.mkdir()
    cli = folder / "docker"
    cli.write_text(
        f"#!/bin/sh\n[ $1 = --version ] && echo Docker version {version} && exit\n{script}\n"
    )
    cli.chmod(0o755)
    return cli


def test_a_release_is_named_after_problem_version_and_commit():
    release = Release(problem="iris", version="v3", commit="0123456789ab", bundle="ab")
    assert release.tag == "iris-v3-0123456789ab"
    assert release.image == "bentoline:iris-v3-0123456789ab"
    assert release.labels["org.opencontainers.image.revision"] == "0123456789ab"


def test_settings_come_from_the_environment_and_hold_no_secret(tmp_path):
    (tmp_path / "ca.pem").write_text("")
    settings = Settings.of(
        {"PIP_CERT": str(tmp_path / "ca.pem"), "AWS_SECRET_ACCESS_KEY": "s3cret"}
    )
    assert settings == Settings(certificates=str(tmp_path / "ca.pem"), repository="bentoline")
    assert Settings.of({"PIP_CERT": str(tmp_path / "none.pem")}).certificates == ""


def test_the_first_client_that_can_build_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "DEBIAN", tmp_path / "none")
    client(tmp_path / "a", "28.2.2", "[ $1 = buildx ] && exit 1")
    old = client(tmp_path / "b", "20.10.24")
    client(tmp_path / "c", "28.2.2")
    path = ":".join(str(tmp_path / name) for name in "abc")
    assert find_engine({"PATH": path}) == Engine(old)


def test_a_client_with_its_plugin_can_build(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "DEBIAN", tmp_path / "none")
    new = client(tmp_path / "a", "28.2.2")
    assert find_engine({"PATH": str(tmp_path / "a")}) == Engine(new)


def test_what_an_engine_says_last_is_told(tmp_path):
    cli = client(tmp_path / "a", "20.10.24", "echo 'step 1'; echo 'ERROR: no space.' >&2; exit 1")
    with pytest.raises(EngineError, match=r"engine: building x failed: ERROR: no space$"):
        Engine(cli).call("build", what="building x")


@pytest.mark.parametrize(
    ("output", "told"),
    [("", "it said nothing"), ("a\nb.\n", "b"), ("error: x\nmore\n", "error: x")],
)
def test_the_reason_is_the_line_with_the_error_or_the_last(output, told):
    assert reason(output) == told


def test_code_outside_of_a_checkout_has_no_revision(tmp_path):
    with pytest.raises(ConfigError, match=r"is no git checkout, .* clone the repository"):
        revision(tmp_path)


def test_a_folder_without_a_service_gives_no_bento(tmp_path):
    with pytest.raises(StoreError, match=r"bentoml build of .* failed: .*Nothing was built"):
        build_bento(tmp_path, tmp_path / "home", root=tmp_path, public_key=None)


def repository(port):
    return Repository(f"http://127.0.0.1:{port}", "bentoline", "dG9rZW4=")


def test_a_tag_has_the_digest_that_the_registry_names():
    with answering(200, headers=[("Docker-Content-Digest", "sha256:ab")]) as port:
        assert repository(port).digest("t") == "sha256:ab"
    with answering(404) as port:
        assert repository(port).digest("t") is None


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (401, ConfigError, "may have expired; renew your AWS credentials"),
        (403, ConfigError, r"refused the token for bentoline \(status 403\)"),
        (500, StoreError, "it answered 500 for bentoline:t"),
        (200, StoreError, "it names no digest for bentoline:t"),
    ],
)
def test_a_registry_that_does_not_tell(status, error, sentence):
    with answering(status) as port, pytest.raises(error, match=sentence) as raised:
        repository(port).digest("t")
    assert "dG9rZW4" not in str(raised.value) + repr(repository(1))


NEAR, FAR = 1e-9, 1e-3


@pytest.mark.parametrize("shift", [NEAR, FAR])
@pytest.mark.parametrize(
    ("task", "label"), [("binary", "yes"), ("binary", "no"), ("regression", "")]
)
def test_golden_rows_must_be_answered_as_the_bundle_does(tmp_path, task, label, shift):
    bundle = write_tiny(tmp_path / "v1", task=task)
    golden = bundle.read_json("golden.json")[0]["answer"]
    is_right = shift == NEAR and label != "no"  # the threshold is 0.4, and this row well above
    answer = {"prediction": golden[0] + shift}
    if task == "binary":
        answer = {
            "prediction": label,
            "probabilities": {"no": golden[0] - shift, "yes": golden[1] + shift},
        }
    with answering(200, json.dumps([answer]).encode()) as port:
        if is_right:
            assert check_golden(Connection(port), bundle) == 1
            return
        with pytest.raises(RefusedError, match=r"golden row 0 is answered .* the bundle says"):
            check_golden(Connection(port), bundle)


def test_golden_rows_must_be_answered_at_all(tmp_path):
    bundle = write_tiny(tmp_path / "v1")
    with (
        answering(503, b"[]") as port,
        pytest.raises(RefusedError, match="of 1 golden rows was answered 503"),
    ):
        check_golden(Connection(port), bundle)
    with pytest.raises(RefusedError, match="POST /predict was not answered"):
        check_golden(Connection(port), bundle)


def test_a_bundle_without_golden_rows_cannot_be_tested(tmp_path):
    with pytest.raises(RefusedError, match="has no golden rows to test it with"):
        check_golden(Connection(1), write_tiny(tmp_path / "v1", golden=[]))
