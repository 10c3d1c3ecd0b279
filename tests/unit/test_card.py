"""The model card: small, safe with hostile names, complete, and free of NaN."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tabular import charts
from tabular.card import number, percent, render_card

HOSTILE = "</title></svg><script>alert(1)</script>\"' onload=x {{ 7*7 }}"
VOID = {"meta", "link", "br"}


class Tags(HTMLParser):
    """Collects tags and their attributes, and fails where they do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def metric(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def gate(name: str, limit: str, value: float, passed: bool, severity: str) -> dict[str, Any]:
    return {
        "metric": name,
        "limit": limit,
        "value": value,
        "passed": passed,
        "severity": severity,
        "sentence": f"{name} must be {limit}",
    }


def full_report(task: str = "binary", column: str = "column_{}") -> dict[str, Any]:
    """A report at the sizes that the interfaces allow, and past them where names are free."""
    names = {
        "binary": ("roc_auc", "pr_auc", "f1", "precision", "recall", "accuracy", "brier"),
        "regression": ("mae", "rmse", "r2", "p95_error", "coverage", "interval_width"),
    }[task]
    line = [[i / 99, (i / 99) ** 0.5] for i in range(100)]
    curves = (
        {"roc": line, "pr": line, "calibration": line}
        if task == "binary"
        else {
            "residuals": [[i * 1.37 % 50, i / 8] for i in range(400)],
            "error_histogram": [[i - 50.0, 100 - abs(i - 50)] for i in range(100)],
        }
    )
    trial = {
        "params": {f"param_{i}": i / 7 for i in range(12)},
        "sd": 0.0123,
        "seconds": 1.5,
        "resample": "none",
    }
    trials = [
        {**trial, "candidate": f"candidate_{i % 20}", "mean": 0.8 - i / 1e4} for i in range(160)
    ]
    return {
        "problem": "made_up",
        "title": "A made-up problem",
        "task": task,
        "unit": "minutes",
        "synthetic": True,
        "source": {"kind": "csv", "path": "rows.csv"},
        "snapshot": "ab" * 32,
        "seed": 7,
        "version": "v3",
        "bundle": "bundles/made_up/v3",
        "git_commit": "c" * 40,
        "created_at": "2025-01-02 03:04",
        "search_metric": names[0],
        "rows": {"read": 1000, "refused": 2, "train": 698, "validation": 100, "test": 200},
        "metrics": dict.fromkeys(names, metric(0.8)),
        "slices": [
            {
                "column": column.format(i // 10),
                "value": f"value {i}",
                "n_rows": 100,
                "metrics": dict.fromkeys(names, 0.7 + i / 1000.0),
            }
            for i in range(300)
        ],
        "curves": curves,
        "importances": {column.format(i): 1 / (i + 1) for i in range(200)},
        "trials": trials,
        "chosen": trials[0],
        "resampling": [
            {"method": m, "f1": 0.4, "pr_auc": 0.3, "brier": 0.1, "seconds": 2.0}
            for m in ("none", "smote_tomek", "smote_enn", "class_weight")
        ],
        "parity": {
            "n_rows": 500,
            "label_disagreement_share": 0.0,
            "parity_share": 0.9997,
            "worst_difference": 1e-6,
            "worst_row": 3,
        },
        "latency_ms": {"median": 0.05, "p99": 0.1, "pipeline_median": 5.0},
        "decision": {
            "task": task,
            "classes": ["no", "yes"] if task == "binary" else [],
            "positive": 1 if task == "binary" else None,
            "calibration": "none",
            "threshold": 0.31 if task == "binary" else None,
            "unit": "minutes",
            "interval_level": 0.9,
            "interval_half_width": 6.5,
        },
        "quarantine": {
            "n_rows": 1000,
            "n_refused": 2,
            "by_rule": {f"{column.format(i)}: outside 0 to 9": 2 for i in range(200)},
            "missing_share": {column.format(i): 0.5 for i in range(200)},
        },
        "verdict": {
            "accepted": False,
            "sentence": "Refused.",
            "results": [
                gate(names[0], "at least 0.75", 0.8, True, "block"),
                gate(names[1], "at least 0.9", 0.8, False, "block"),
                gate("latency_ms", "at most 1e-05", 0.05, False, "warn"),
                gate("parity_share", "at least 0.999", 0.9997, True, "block"),
            ],
        },
        "steps": [
            {"name": f"step_{i}", "rows": 10, "seconds": 0.1, "cached": i > 2} for i in range(12)
        ],
    }


def without_numbers(value: Any) -> Any:
    """Return the report with NaN in place of every float."""
    if isinstance(value, dict):
        return {k: without_numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_numbers(v) for v in value]
    return math.nan if isinstance(value, float) else value


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_card_stays_under_100_kb_with_a_full_report(task: str) -> None:
    page = render_card(full_report(task, column="x" * 5000 + "{}"))
    assert 10_000 < len(page.encode()) < 100_000


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_card_nests_its_tags_and_asks_for_nothing_from_outside(task: str) -> None:
    page = render_card(full_report(task))
    for tag, attributes in Tags(page).seen:
        assert tag not in {"script", "link", "img", "iframe"}
        assert not {"src", "href"} & attributes.keys()
    assert "url(" not in page
    assert "@import" not in page


def test_card_escapes_hostile_names_wherever_they_come_in() -> None:
    report = full_report(column=HOSTILE + "{}")
    report |= {"title": HOSTILE, "problem": HOSTILE, "unit": HOSTILE, "source": {HOSTILE: HOSTILE}}
    report["decision"]["classes"] = [HOSTILE, HOSTILE]
    report["trials"][0]["candidate"] = report["chosen"]["candidate"] = HOSTILE
    report["metrics"][HOSTILE] = metric(0.5)
    report["curves"][HOSTILE] = [[0, 1], [1, 2]]
    report["verdict"]["results"].append(gate(HOSTILE, HOSTILE, 0.5, False, "block"))
    report["slices"][0]["value"] = HOSTILE
    page = render_card(report)
    assert "<script" not in page
    assert "49" not in re.findall(r"onload=x (\S+)", page)
    for _, attributes in Tags(page).seen:
        assert not [name for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_card_shows_every_gate_with_its_mark(task: str) -> None:
    report = full_report(task)
    page = render_card(report)
    table = page[page.index('<table class="gates">') :]
    body = table[table.index("<tbody>") : table.index("</tbody>")]
    for result in report["verdict"]["results"]:
        assert result["limit"] in body
    assert body.count("<tr>") == 4
    marks = [body.count(f'class="mk {kind}"') for kind in ("passed", "failed", "warning")]
    assert marks == [2, 1, 1]
    assert body.count('class="lim"') == 4


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_card_shows_no_nan_where_every_number_is_nan(task: str) -> None:
    page = render_card(without_numbers(full_report(task)))
    text = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert re.findall(r"\b(?:nan|inf)\b", text, flags=re.IGNORECASE) == []
    Tags(page)


@pytest.mark.parametrize(
    ("carries", "words"),
    [
        ({"candidate": True, "staging": True}, "may be tried in staging"),
        ({"candidate": True, "staging": False}, "must not be served"),
    ],
)
def test_card_of_a_refused_version_says_how_far_it_goes(
    carries: dict[str, bool], words: str
) -> None:
    report = full_report()
    report["verdict"] |= {"accepted": False, "carries": {**carries, "production": False}}
    assert words in render_card(report)


@pytest.mark.parametrize(("accepted", "word"), [(True, "Accepted"), (False, "Refused")])
def test_card_says_the_verdict_in_words(accepted: bool, word: str) -> None:
    report = full_report()
    report["verdict"]["accepted"] = accepted
    page = render_card(report)
    assert f'<p class="word">{word}</p>' in page
    assert ". The bundle m" in page


def test_card_warns_of_synthetic_data_only_where_it_is() -> None:
    report = full_report()
    assert "Synthetic data." in render_card(report)
    assert "Synthetic data." not in render_card(report | {"synthetic": False})


def test_card_of_a_report_with_nothing_measured_is_still_a_page() -> None:
    page = render_card({"problem": "iris", "task": "multiclass", "seed": 1})
    assert "No verdict was reached." in page
    Tags(page)


def test_card_lists_candidates_by_the_best_trial_of_each() -> None:
    report = full_report()
    report["trials"] = [
        {"candidate": name, "mean": mean, "sd": 0.1, "seconds": 1.0, "params": {}}
        for name, mean in (("slow", 0.3), ("good", 0.2), ("slow", 0.25), ("bad", 0.9))
    ]
    report |= {"chosen": report["trials"][1], "search_metric": "log_loss"}
    assert re.findall(
        r"<td>(\w+)(?: <em>chosen</em>)?</td><td class=\"n nb\">([\d.]+)", render_card(report)
    ) == [("good", "0.2000"), ("slow", "0.2500"), ("bad", "0.9000")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (381109, "381,109"),
        (0.85712, "0.857"),
        (3.1164, "3.12"),
        (-0.5, "−0.500"),
        (3e-7, "3e-07"),
        (0.0, "0.000"),
        (0.9997, "> 0.999"),
        (1.0, "1.000"),
        (math.nan, "–"),
        (math.inf, "–"),
        (None, "–"),
        (True, "–"),
    ],
)
def test_number_is_written_for_a_reader(value: object, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.0004, "< 0.1 %"),
        (0.125, "12.5 %"),
        (0.9997, "> 99.9 %"),
        (1.0, "100 %"),
        (math.nan, "–"),
    ],
)
def test_percent_never_rounds_to_none_or_all(share: float, text: str) -> None:
    assert percent(share) == text


def test_ticks_are_round_and_inside() -> None:
    assert charts.ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert charts.ticks(-15.2, 31) == [-10, 0, 10, 20, 30]
