"""Dashboards and rules name the metrics that the code has, and leave none of them out."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.metrics import Metrics
from tabular.drift.gauges import HELP

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
RULES = (DEPLOY / "prometheus" / "rules.yml").read_text()
ENDINGS = {"counter": ("_total",), "histogram": ("_bucket",), "gauge": ("",)}


def declared():
    """The names that Prometheus reads, as expressions spell them."""
    registry = CollectorRegistry()
    Metrics(registry)
    found = {metric.name + end for metric in registry.collect() for end in ENDINGS[metric.type]}
    return found | set(HELP)


def used():
    text = RULES + "".join(path.read_text() for path in DASHBOARDS)
    return set(re.findall(r"\bbentoline_[a-z0-9_]+", text))


def test_every_metric_that_is_shown_or_alarmed_on_exists():
    assert used() - declared() == set()


def test_every_metric_that_exists_is_shown():
    assert declared() - used() == set()


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_the_panels_fill_the_page_without_covering_each_other(path):
    dashboard = json.loads(path.read_text())
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + right, place["y"] + down)
                 for right in range(place["w"]) for down in range(place["h"])}  # fmt: skip
        assert not cells & taken, panel["title"]
        taken |= cells
    rows = 1 + max(y for _, y in taken)
    assert taken == {(x, y) for x in range(24) for y in range(rows)}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_each_panel_asks_the_provisioned_source(path):
    sources = (DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text()
    dashboard = json.loads(path.read_text())
    for part in (*dashboard["panels"], *dashboard["annotations"]["list"]):
        assert part["datasource"]["type"] == "prometheus"
        assert f"uid: {part['datasource']['uid']}" in sources
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_recorded_names_that_are_shown_are_recorded():
    shown = "".join(path.read_text() for path in DASHBOARDS)
    recorded = set(re.findall(r"record: (\S+)", RULES))
    assert set(re.findall(r"\bbentoline:[a-z0-9_:]+", shown)) <= recorded
