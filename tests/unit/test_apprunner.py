"""Target apprunner, against a small server that speaks App Runner's protocol to the real SDK."""

from contextlib import contextmanager

import pytest

from deploy import apprunner, front
from deploy.settings import Settings
from tabular.errors import ConfigError, RefusedError, StoreError
from tests.s3 import credentials
from tests.unit.app_runner import ARN, BEFORE, IMAGE, app_runner

SETTINGS = Settings()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(apprunner, "POLL_S", 0.0)
    monkeypatch.setattr(front, "TIMEOUT_S", 0.0)
    monkeypatch.setattr(front, "POLL_S", 0.0)


@pytest.fixture
def running(monkeypatch):
    @contextmanager
    def run(*states, **how):
        with app_runner(*states, **how) as server:
            for name, value in credentials(server.address).items():
                monkeypatch.setenv(name, value)
            yield server

    return run


def test_a_service_takes_the_image_by_digest_and_answers_by_the_version(running):
    with running("", "PENDING", "IN_PROGRESS", "SUCCEEDED") as server:
        done = apprunner.update(SETTINGS, IMAGE, "v2")
    assert done == apprunner.Update(service="bentoline", operation="op", address=server.address)
    updates = [given for call, given in server.asked if call == "UpdateService"]
    assert updates == [
        {
            "ServiceArn": ARN,
            "SourceConfiguration": {
                "ImageRepository": {
                    "ImageIdentifier": IMAGE,
                    "ImageRepositoryType": "ECR",
                    "ImageConfiguration": {"Port": "8000"},
                },
                "AuthenticationConfiguration": {
                    "AccessRoleArn": "arn:aws:iam::123456789012:role/pull"
                },
                "AutoDeploymentsEnabled": False,
            },
            "HealthCheckConfiguration": {"Protocol": "HTTP", "Path": "/readyz"},
        }
    ]


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (
            "ROLLBACK_SUCCEEDED",
            f"/aws/apprunner/bentoline says why. It runs {BEFORE} again",
        ),
        ("ROLLBACK_FAILED", "See what it runs in AWS's console"),
    ],
)
def test_a_refused_image_is_told_with_what_runs_now(running, ended, told):
    with running("ROLLBACK_IN_PROGRESS", ended), pytest.raises(RefusedError) as raised:
        apprunner.update(SETTINGS, IMAGE, "v2")
    assert told in str(raised.value)


def test_a_service_that_answers_by_another_version_is_no_success(running):
    with (
        running(version="v1"),
        pytest.raises(RefusedError, match=r"/readyz: v1, not v2, after 0 s; see that it leads to"),
    ):
        apprunner.update(SETTINGS, IMAGE, "v2")


def test_an_update_that_does_not_end_is_told(running, monkeypatch):
    monkeypatch.setattr(apprunner, "TIMEOUT_S", 0.0)
    with (
        running("PENDING"),
        pytest.raises(StoreError, match="op has not ended after 0 s"),
    ):
        apprunner.update(SETTINGS, IMAGE, "v2")


def test_a_service_that_can_be_updated_passes_the_check(running):
    with running() as server:
        apprunner.check(SETTINGS)
    assert [call for call, _ in server.asked] == ["ListServices", "ListServices", "DescribeService"]


def test_a_busy_service_is_refused(running):
    with running("busy"), pytest.raises(ConfigError, match="wait until it ends and run it again"):
        apprunner.update(SETTINGS, IMAGE, "v2")


@pytest.mark.parametrize(
    ("how", "name", "told"),
    [
        ({}, "other", "there is no service 'other' in us-east-1; make it"),
        ({"status": "PAUSED"}, "bentoline", "is PAUSED, and only a RUNNING one can be updated"),
        ({"source": {"CodeRepository": {}}}, "bentoline", "builds from source code; make one"),
    ],
)
def test_a_service_that_cannot_be_updated_is_refused_beforehand(running, how, name, told):
    with running(**how), pytest.raises(ConfigError, match=told):
        apprunner.check(Settings(service=name))


def test_the_command_asks_for_the_version_of_a_report(running, tmp_path, capsys):
    report = tmp_path / "deployed.json"
    report.write_text('{"version": "v2"}')
    with running() as server:
        assert front.main([server.address, str(report)]) == 0
        server.version = "v3"
        assert front.main([server.address, str(report)]) == 1
    assert "v3, not v2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "report", "told"),
    [
        ("ftp://host", '{"version": "v1"}', "ftp://host is no address to ask; write https://HOST"),
        ("https://host", "[]", "it is no report of --deploy"),
    ],
)
def test_the_command_refuses_what_it_cannot_ask(tmp_path, capsys, address, report, told):
    file = tmp_path / "deployed.json"
    file.write_text(report)
    assert front.main([address, str(file)]) == 2
    assert told in capsys.readouterr().err


def test_nobody_at_an_address_is_told():
    with pytest.raises(RefusedError, match=r"nobody answers \(.*\), not v1"):
        front.await_version("http://127.0.0.1:1", "v1", timeout_s=0.0)
