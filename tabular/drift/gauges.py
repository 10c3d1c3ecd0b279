"""What a monitor found, for Prometheus: its text format, in a file that the service hands on."""

from __future__ import annotations

from pathlib import Path

from tabular.drift.window import Drift
from tabular.files import whole_file

HELP = {
    "bentoline_drift": "Largest effect of a column by its limit; above 1 it alarms.",
    "bentoline_drift_alarm": "1 where a column or the answers moved beyond a limit.",
    "bentoline_monitor_last_run_timestamp_seconds": "When the monitor last looked.",
}


def gauges_text(problem: str, drift: Drift) -> str:
    """The gauges of one problem."""
    label = f'problem="{_escaped(problem)}"'
    drifts = [
        (f'{label},column="{_escaped(one.column)}"', one.drift)
        for one in (*drift.answers, *drift.columns)
    ]
    samples = {
        "bentoline_drift": drifts,
        "bentoline_drift_alarm": [(label, float(bool(drift.alarms)))],
        "bentoline_monitor_last_run_timestamp_seconds": [(label, drift.window.until.timestamp())],
    }
    lines = []
    for name, values in samples.items():
        lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge"]
        lines += [f"{name}{{{labels}}} {value:.10g}" for labels, value in values]
    return "\n".join(lines) + "\n"


def write_gauges(home: Path, problem: str, drift: Drift) -> Path:
    """Write HOME/monitor/PROBLEM.prom, whole or not at all."""
    path = home / "monitor" / f"{problem}.prom"
    with whole_file(path) as unfinished:
        unfinished.write_text(gauges_text(problem, drift), encoding="utf-8")
    return path


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
