"""Metrics for Prometheus and the audit's records, from what the code itself makes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from prometheus_client import CollectorRegistry

from docs.generator.tables import code, json_block, table
from service.metrics import Metrics
from tabular.drift.gauges import HELP
from tabular.stores.folder import FolderStore
from tabular.versions.moves import Alias

SUFFIX = {"counter": "_total", "histogram": "_bucket"}
RECORD_KEYS = {
    "alias": "What was moved: candidate, staging or production.",
    "from": "The version that it named before; null at its first move.",
    "to": "The version that it names since.",
    "actor": "Who moved it: a user's name, or a training run.",
    "why": "The words of `--why`, or the verdict's sentence.",
    "override": "Why a gate's refusal did not count; empty where nothing was overridden.",
    "git_commit": "The code that trained the version.",
    "image_digest": "The image that was built of it, where one was by then.",
    "at": "When, in UTC.",
    "seq": "Counts the moves of one alias, from 1.",
    "token": "Names this record.",
    "after": "The token of the move before, so that no record can be left out unseen.",
    "refused": "Why the move did not take place; empty where it did.",
    "format": "Of the document.",
    "sha256": "Of the document, so that a changed one is noticed.",
}
MONITOR_INTRODUCTION = """## From the monitor

Of the last look at each problem, by `problem` and where it says so by `column`. They stand in
`monitor/PROBLEM.prom` of the home, and a service of the same home shows them too."""
AUDIT_INTRODUCTION = """One file for each move of an alias, and for each attempt that was refused:
`PROBLEM/audit/ALIAS/SEQ-TOKEN.json` in the registry. `python run.py --status --json` gives all
of them, oldest first."""
MOVE = {
    "actor": "maria",
    "why": "agreed with the owners",
    "override": "",
    "git_commit": "895535035414501ccc8f3cf1b5fe7e4f863efa9f",
    "image_digest": "",
}


def metrics_page() -> str:
    """Every metric of ours that GET /metrics may show."""
    registry = CollectorRegistry()
    Metrics(registry)
    labels = {c: c._labelnames for c in registry._collector_to_names}  # no public way
    rows = []
    for collector, own in labels.items():
        family = next(iter(collector.describe()))
        name = family.name + SUFFIX.get(family.type, "")
        rows.append((code(name), family.type, ", ".join(map(code, own)), family.documentation))
    drift = [(code(name), "gauge", words) for name, words in HELP.items()]
    return "\n\n".join(
        [
            "# Metrics",
            "`GET /metrics` shows these beside BentoML's own, added up over the workers.",
            table(("metric", "type", "labels", "what it says"), rows),
            MONITOR_INTRODUCTION,
            table(("metric", "type", "what it says"), drift),
        ]
    )


def audit_page() -> str:
    """A record that is really written, and what each of its keys says."""
    with tempfile.TemporaryDirectory() as folder:
        alias = Alias(FolderStore(Path(folder)), "vehicle_insurance", "production")
        alias.move("v3", MOVE, expected=None)
        file = next(Path(folder).rglob("audit/**/*.json"))
        written = json.loads(file.read_text(encoding="utf-8"))
    record = {key: written.pop(key) for key in RECORD_KEYS}
    if written:
        raise KeyError(f"RECORD_KEYS lacks {list(written)}; say what they mean.")
    return "\n\n".join(
        [
            "# Audit records",
            AUDIT_INTRODUCTION,
            table(("key", "meaning"), [(code(key), words) for key, words in RECORD_KEYS.items()]),
            json_block(record),
        ]
    )
