"""A release on a host, as far as it needs no engine: the rest is tests/e2e."""

import ast
import io
import json
import socket
import stat
import sys
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from deploy.host import __main__ as host_command
from deploy.host import checks, ecr
from deploy.host.checks import Connection
from deploy.host.errors import HostError, UnfitError
from deploy.host.proxy import BLUE, GREEN, SLOTS, SPARE, Proxy
from deploy.host.settings import Host, Release
from deploy.image import Release as Built
from deploy.revision import pack
from tests.unit.tiny import write_tiny

ROOT = Path(__file__).parents[2]
RELEASE = Built(problem="tiny", version="v1", commit="0123456789ab", bundle="ab")
IMAGE = "host/bentoline@sha256:ab"


@contextmanager
def answering(*answers):
    """A server that gives these answers in turn, the last one again and again; and its port."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = left[0] if len(left) == 1 else left.pop(0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.do_GET()

        def do_PUT(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_the_code_needs_python_3_9_and_its_library_only():
    names = set()
    for file in (ROOT / "deploy" / "host").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(), feature_version=(3, 9))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.partition(".")[0])
            assert not isinstance(node, ast.Match)
    assert {"subprocess", "fcntl"} <= names <= set(sys.stdlib_module_names)


def unpacked(revision):
    return zipfile.ZipFile(io.BytesIO(revision.content))


def test_a_revision_has_all_that_its_hooks_need(tmp_path):
    bundle = write_tiny(tmp_path / "v1", facts={"problem": "tiny", "serving": {"port": 5080}})
    revision = pack(RELEASE, IMAGE, bundle, region="eu-west-1")
    with unpacked(revision) as zipped:
        names = set(zipped.namelist())
        hooks = yaml.safe_load(zipped.read("appspec.yml"))["hooks"]
        for scripts in hooks.values():
            for script in scripts:
                mode = zipped.getinfo(script["location"]).external_attr >> 16
                assert mode & stat.S_IXUSR
        zipped.extractall(tmp_path / "revision")
    assert list(hooks) == [
        "ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService",
    ]  # fmt: skip
    code = {f"host/{file.name}" for file in (ROOT / "deploy" / "host").glob("*.py")}
    assert code | {"release.sh", "release.json", "golden.json"} <= names
    release = Release.read(tmp_path / "revision")
    assert (release.image, release.port, release.region) == (IMAGE, 5080, "eu-west-1")
    answer = bundle.read_json("golden.json")[0]["answer"]
    assert release.golden[0]["values"] == pytest.approx(answer, abs=1e-6)
    assert release.golden[0]["label"] in ("no", "yes")


def test_the_same_release_is_the_same_revision(tmp_path):
    bundle = write_tiny(tmp_path / "v1")
    first, second = (pack(RELEASE, IMAGE, bundle, region="eu-west-1") for _ in range(2))
    other = pack(RELEASE, f"{IMAGE}cd", bundle, region="eu-west-1")
    assert first == second
    assert first.key.startswith("tiny/tiny-v1-0123456789ab-")
    assert other.key != first.key


@pytest.mark.parametrize("session", ["", "of an hour"])
def test_a_request_to_ecr_is_signed_as_by_awss_own_library(session):
    stamp, host = "20260131T235959Z", "api.ecr.eu-west-1.amazonaws.com"
    ours = ecr.signed(ecr.Credentials("key", "secret", session), "eu-west-1", host, "{}", stamp)
    request = AWSRequest("POST", f"https://{host}/", data="{}", headers={
        name: ours[name] for name in ("content-type", "x-amz-target")
    })  # fmt: skip
    request.context["timestamp"] = stamp
    request.headers["X-Amz-Date"] = stamp
    auth = SigV4Auth(BotoCredentials("key", "secret", session or None), "ecr", "eu-west-1")
    if session:
        request.headers["X-Amz-Security-Token"] = session
    text = auth.string_to_sign(request, auth.canonical_request(request))
    assert ours["authorization"].endswith(f"Signature={auth.signature(text, request)}")


def test_the_token_comes_by_the_keys_of_the_instances_role():
    role = {"AccessKeyId": "key", "SecretAccessKey": "secret", "Token": "session"}
    answers = ((200, b"imds"), (200, b"a-role"), (200, json.dumps(role).encode()))
    with answering(*answers) as port:
        environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{port}"}
        found = ecr.find_credentials(environ)
    assert found == ecr.Credentials("key", "secret", "session")
    assert "secret" not in repr(found)


def test_an_instance_without_a_role_is_told_what_it_needs():
    with answering((200, b"imds"), (404, b"")) as port:
        environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{port}"}
        with pytest.raises(HostError, match=r"no role .* give it an instance profile"):
            ecr.find_credentials(environ)


def test_a_role_that_may_not_pull_is_told_what_it_needs():
    with answering((400, b'{"__type": "com.amazon#AccessDeniedException"}')) as port:
        environ = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "key"}
        with pytest.raises(HostError, match=r"\(AccessDeniedException\).*BatchGetImage"):
            ecr.authorization("eu-west-1", environ)


@pytest.fixture
def proxy(tmp_path):
    """A proxy whose nginx takes everything."""
    host = Host(sites=str(tmp_path), nginx=("true",), address="127.0.0.1")
    return Proxy(host, "bentoline-tiny", tmp_path, 8000)


def test_files_say_which_container_answers(proxy):
    assert (proxy.active, proxy.idle) == (BLUE, (GREEN, SPARE))
    assert [proxy.port_of(slot) for slot in SLOTS] == [8001, 8002, 8003]
    proxy.configure()
    site = (proxy.state / "bentoline-tiny.conf").read_text()
    assert site.index(f"if (-f {proxy.state}/green)") < site.index(f"if (-f {proxy.state}/spare)")


@pytest.mark.parametrize("before", SLOTS)
@pytest.mark.parametrize("after", SLOTS)
def test_every_slot_follows_every_slot(proxy, before, after):
    proxy.answer_by(before)
    proxy.answer_by(after)
    assert proxy.active == after
    assert set(proxy.idle) == set(SLOTS) - {after}


def test_a_flip_that_is_killed_half_way_is_none_or_whole(proxy):
    """As after SIGKILL between the rename that decides and the unlink after it."""
    proxy.answer_by(GREEN)
    (proxy.state / SPARE).touch()
    assert proxy.active == SPARE
    proxy.answer_by(BLUE)
    assert proxy.active == BLUE
    assert not (proxy.state / GREEN).exists()


def test_a_site_of_another_release_has_its_own_port(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as nginx:
        port = nginx.getsockname()[1]
        host = Host(sites=str(tmp_path), nginx=("true",), address="127.0.0.1")
        (tmp_path / "any.conf").write_text(f"server {{\n    listen 127.0.0.1:{port};\n}}\n")
        Proxy(host, "any", tmp_path, port).check()
        with pytest.raises(HostError, match=f"port {port} of this host is taken; end what"):
            Proxy(host, "other", tmp_path, port).check()


def test_a_site_that_nginx_refuses_is_taken_back(tmp_path):
    proxy = Proxy(Host(sites=str(tmp_path), nginx=("false",)), "bentoline-tiny", tmp_path, 8000)
    with pytest.raises(HostError, match=r"nginx does not take .*bentoline-tiny\.conf"):
        proxy.configure()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "bentoline-tiny.conf").write_text("# as it was")
    with pytest.raises(HostError, match="nginx does not take"):
        proxy.configure()
    assert (tmp_path / "bentoline-tiny.conf").read_text() == "# as it was"


@pytest.mark.parametrize(
    ("nginx", "sentence"),
    [
        ("false", r"does not run; start it \(systemctl"),
        ("no-nginx", "no nginx on this host's PATH"),
    ],
)
def test_a_host_without_its_proxy_is_refused(tmp_path, nginx, sentence):
    with pytest.raises(HostError, match=sentence):
        Proxy(Host(sites=str(tmp_path), nginx=(nginx,)), "any", tmp_path, 8000).check()


def test_few_slow_rows_are_enough_to_refuse():
    golden = [{"record": {}, "label": "", "values": [1.0]}]
    with (
        answering((200, b"{}")) as port,
        pytest.raises(UnfitError, match=r"3 of 3 single rows took longer than .* of 0\.0001"),
    ):
        checks.check_latency(Connection(port), golden, 0.0001)


def test_a_row_that_is_not_answered_is_refused():
    golden = [{"record": {}, "label": "", "values": [1.0]}]
    with answering((200, b"{}"), (503, b"{}")) as port, pytest.raises(UnfitError, match="503"):
        checks.check_latency(Connection(port), golden, 1e6)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"prot": 5080}', r"must be an object with keys of \['name', 'state'"),
        ("[]", "must be an object"),
        ("{", r"cannot be read .*; deploy the release again"),
    ],
)
def test_a_hosts_file_that_is_wrong_is_refused(tmp_path, text, sentence):
    (tmp_path / "host.json").write_text(text)
    with pytest.raises(HostError, match=sentence):
        Host.read(tmp_path / "host.json")


def test_a_host_needs_no_file(tmp_path):
    assert Host.read(tmp_path / "none.json") == Host()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["release", "bentoline:latest"], "no IMAGE@sha256:DIGEST; a tag could change"),
        (["before-install"], r"release.json: it cannot be read"),
    ],
)
def test_what_is_not_a_release_ends_with_a_sentence(
    tmp_path, monkeypatch, capsys, arguments, sentence
):
    monkeypatch.setenv("BENTOLINE_HOST_FILE", str(tmp_path / "none.json"))
    assert host_command.main([*arguments, "--revision", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
