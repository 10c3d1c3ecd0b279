"""The alert rules by Prometheus' own tool: each one fires when it should, and only then."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
RULES = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
ALERTS = {rule["alert"] for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not on PATH; Debian's package prometheus brings it",
)


def promtool(*arguments):
    done = subprocess.run(
        ["promtool", *map(str, arguments)], cwd=PROMETHEUS, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@needs_promtool
def test_the_configuration_and_its_rules_are_valid():
    code, said = promtool("check", "config", "prometheus.yml")
    assert (code, "rule files found" in said) == (0, True), said


@needs_promtool
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_alert_fires_when_it_should_and_only_then(path):
    code, said = promtool("test", "rules", path)
    assert code == 0, said


@needs_promtool
@pytest.mark.parametrize(
    ("was", "becomes", "path"),
    [("> 0.25", "> 0.5", "slow.yml"), ("> 0.01", "> 0.03", "errors.yml"),
     ("for: 1m", "for: 9m", "down.yml"), ("== 1", "== 2", "drift.yml")],
)  # fmt: skip
def test_a_changed_threshold_is_noticed(was, becomes, path, tmp_path):
    shutil.copytree(PROMETHEUS, tmp_path, dirs_exist_ok=True)
    rules = (tmp_path / "rules.yml").read_text()
    assert was in rules
    (tmp_path / "rules.yml").write_text(rules.replace(was, becomes))
    code, _ = promtool("test", "rules", tmp_path / "tests" / path)
    assert code != 0


def test_each_alert_has_a_file_that_says_when_it_fires_and_when_not():
    tested = {}
    for path in TESTS:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for one in case.get("alert_rule_test", []):
                outcomes = tested.setdefault(one["alertname"], set())
                outcomes.add(bool(one["exp_alerts"]))
    assert tested == {alert: {True, False} for alert in ALERTS}
