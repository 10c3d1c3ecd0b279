"""GET /metrics hands on what the monitor of the same home wrote, and never breaks of it."""

import asyncio
import os

import pytest

from service.http import Answer
from service.monitored import MAX_BYTES, Monitored

OWN = b"# TYPE up gauge\nup 1.0\n"
GAUGES = b'# TYPE bentoline_drift gauge\nbentoline_drift{problem="tiny",column="age"} 0.5\n'


class Inner:
    """BentoML's part."""

    def __init__(self, answer=None):
        self.answer = answer or Answer(200, OWN, b"text/plain; version=0.0.4")

    async def get(self, request):  # noqa: ARG002  # as the real one
        return self.answer


def scraped(home, inner=None):
    return asyncio.run(Monitored(inner or Inner(), home, "tiny").get(None)).body


def write(home, content):
    (home / "monitor").mkdir(exist_ok=True)
    (home / "monitor" / "tiny.prom").write_bytes(content)


def test_without_a_monitor_the_service_tells_its_own(tmp_path):
    assert scraped(tmp_path) == OWN


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_the_monitors_gauges_stand_behind_the_services_own(tmp_path, end):
    write(tmp_path, GAUGES.rstrip() + end)
    assert scraped(tmp_path) == OWN + GAUGES


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"no metrics at all {", b"up 2.0\n", GAUGES * (MAX_BYTES // len(GAUGES) + 1)],
)
def test_a_damaged_or_foreign_file_is_left_out(tmp_path, content, caplog):
    write(tmp_path, content)
    assert scraped(tmp_path) == OWN
    assert "left out of /metrics" in caplog.text


def test_a_file_that_was_written_anew_is_read_anew(tmp_path):
    page = Monitored(Inner(), tmp_path, "tiny")
    for time_s, content in enumerate((GAUGES, GAUGES.replace(b"0.5", b"0.7"), b"broken {")):
        write(tmp_path, content)
        os.utime(tmp_path / "monitor" / "tiny.prom", (time_s + 1, time_s + 1))
        body = asyncio.run(page.get(None)).body
        assert body == OWN + (content if content.startswith(b"#") else b"")


@pytest.mark.parametrize(
    "answer",
    [Answer(503, b"later", b"text/plain"), Answer(200, b"# EOF", b"application/openmetrics-text")],
)
def test_another_form_of_answer_is_left_as_it_is(tmp_path, answer):
    write(tmp_path, GAUGES)
    assert scraped(tmp_path, Inner(answer)) == answer.body
