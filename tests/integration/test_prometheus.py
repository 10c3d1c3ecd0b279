"""The real Prometheus scrapes the running service: what it reads is what was asked."""

import http.client
import json
import re
import shutil
import subprocess
import time
from bisect import bisect_left
from pathlib import Path

import pytest
import yaml
from prometheus_client.multiprocess import MultiProcessCollector

from service.metrics import BUCKETS
from tabular.registry import open_registry
from tests.integration.serving import serving
from tests.prometheus_server import prometheus
from tests.unit.tiny import RECORDS, write_tiny

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None,
    reason="prometheus is not on PATH; Debian's package prometheus brings it",
)

ROOT = Path(__file__).parents[2]
# One connection and slow requests: what the client waits for is the service, not a queue before it.
BATCH = RECORDS[:2] * 1_000
LOAD_S = 4
N_EXPLAINED, N_REFUSED, N_UNKNOWN = 60, 25, 10


GAUGES = {
    "bentoline_drift": 'problem="tiny",column="age"',
    "bentoline_drift_alarm": 'problem="tiny"',
    "bentoline_monitor_last_run_timestamp_seconds": 'problem="tiny"',
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scraped")
    (folder / "home" / "monitor").mkdir(parents=True)
    lines = [f"# TYPE {name} gauge\n{name}{{{labels}}} 0.5\n" for name, labels in GAUGES.items()]
    (folder / "home" / "monitor" / "tiny.prom").write_text("".join(lines))
    registry = open_registry(str(folder / "registry"))
    registry.publish("tiny", write_tiny(folder / "a").path)
    registry.set_alias("tiny", "production", "v1", actor="test", why="test")
    with serving(folder, BENTOLINE_REGISTRY=registry.location, BENTOLINE_WORKERS="2") as server:
        server.wait_for("both workers", lambda: len(server.workers()) == 2)
        server.wait_for("a model", lambda: all(server.ask("/readyz")[0] == 200 for _ in range(9)))
        server.folder = folder
        yield server


@pytest.fixture(scope="module")
def load_p99_s(server, tmp_path_factory):
    """What the client measured over all good requests to /predict."""
    body = tmp_path_factory.mktemp("body") / "rows.json"
    body.write_text(json.dumps(BATCH))
    return by_wrk(server, body) if shutil.which("wrk") else by_loop(server, body)


def by_wrk(server, body):
    script = ROOT / "benchmarks" / "wrk" / "post.lua"
    url = f"http://127.0.0.1:{server.port}/predict"
    done = subprocess.run(
        ["wrk", "-t1", "-c1", f"-d{LOAD_S}s", "-s", str(script), url, "--", str(body)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert (told["refused"], told["unanswered"]) == (0, 0)
    return told["p99_ms"] / 1e3


def by_loop(server, body, n=100):
    took = []
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for _ in range(n):
        begun = time.perf_counter()
        connection.request("POST", "/predict", body.read_bytes())
        assert connection.getresponse().read()
        took.append(time.perf_counter() - begun)
    return sorted(took)[int(0.99 * n)]


@pytest.fixture(scope="module")
def scraped(server, load_p99_s, tmp_path_factory):
    """Prometheus beside the service, after load of every kind."""
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus(folder, f"127.0.0.1:{server.port}") as scraped:
        scraped.wait_until('up{job="bentoline"}', 1)
        for _ in range(N_EXPLAINED):
            assert server.ask("/explain", RECORDS[0])[0] == 200
        for _ in range(N_REFUSED):
            assert server.ask("/predict", {"age": "old"})[0] == 422
        for _ in range(N_UNKNOWN):
            assert server.ask("/nothing")[0] == 404
        assert server.ask("/predict", RECORDS)[0] == 200  # one of them has a category from nowhere
        scraped.wait_until('bentoline_requests_total{route="unknown"}', N_UNKNOWN)
        scraped.wait_until("count(count_over_time(bentoline_unseen_categories_total[5m]) > 1)", 1)
        yield scraped


@pytest.mark.parametrize(
    ("labels", "n"),
    [
        ('route="explain", status="200"', N_EXPLAINED),
        ('route="predict", status="422"', N_REFUSED),
        ('route="unknown", status="404"', N_UNKNOWN),
    ],
)
def test_every_request_is_counted_once_over_both_workers(scraped, labels, n):
    scraped.wait_until(f"bentoline_requests_total{{{labels}}}", n)
    assert scraped.value(f"bentoline_request_seconds_count{{{labels}}}") == n


def test_both_workers_had_a_share_in_what_was_counted(server, scraped):
    counted = {}
    for path in server.folder.rglob("counter_*.db"):
        for metric in MultiProcessCollector.merge([str(path)]):
            if metric.name == "bentoline_requests":
                counted[path.name] = sum(s.value for s in metric.samples if s.labels["route"] in
                                         ("explain", "unknown"))  # fmt: skip
    assert sum(counted.values()) == N_EXPLAINED + N_UNKNOWN
    assert sum(n > 0 for n in counted.values()) == 2


def test_the_p99_of_the_histogram_is_the_loads_within_a_bucket(scraped, load_p99_s):
    told = scraped.value(
        "histogram_quantile(0.99, sum by (le) "
        '(bentoline_request_seconds_bucket{route="predict", status="200"}))'
    )
    assert abs(bisect_left(BUCKETS, told) - bisect_left(BUCKETS, load_p99_s)) <= 1


def expressions():
    """Every expression of both dashboards and of the rules, by where it stands."""
    found = {}
    for path in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                found[f"{path.stem}: {panel['title']} {target['refId']}"] = target["expr"]
        for annotation in dashboard["annotations"]["list"]:
            found[f"{path.stem}: {annotation['name']}"] = annotation["expr"]
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            found[f"rules: {rule.get('alert') or rule['record']}"] = rule["expr"]
    return found


# What has no series while all is well, and where no outcome was sent.
EMPTY = re.compile(r"rules: Bentoline\w+|service: Alerts A|model: Outcomes that came in A")


@pytest.mark.parametrize("place", expressions())
def test_each_expression_of_dashboards_and_rules_is_answered(scraped, place):
    expression = expressions()[place].replace("$__rate_interval", "5m")
    values = scraped.values(expression)
    assert values or EMPTY.fullmatch(place), f"{place}: no series for {expression}"


def test_every_rule_is_healthy_and_none_fires(scraped):
    rules = [rule for group in scraped.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}  # unknown until it ran once
    firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
    assert firing <= {"BentolineMonitorStale"}  # the gauges say half a second after 1970


@pytest.mark.parametrize("name", GAUGES)
def test_what_the_monitor_found_is_read_too(scraped, name):
    assert scraped.value(f"{name}{{{GAUGES[name]}}}") == 0.5


def test_the_recorded_shares_are_those_of_the_load(scraped):
    asked = scraped.value('sum(bentoline_requests_total{route=~"predict|explain"})')
    assert asked > N_EXPLAINED + N_REFUSED
    assert scraped.value("bentoline:error_share:rate5m") == 0
