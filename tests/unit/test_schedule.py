"""What starts the monitor by the clock: units that systemd takes, commands that run.py takes."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from run import parse_arguments

ROOT = Path(__file__).parents[2]
SCHEDULE = ROOT / "deploy" / "schedule"
SERVICE = SCHEDULE / "bentoline-monitor@.service"
TIMER = SCHEDULE / "bentoline-monitor@.timer"
CRONTAB = SCHEDULE / "crontab"
WORKFLOW = ROOT / ".github" / "workflows" / "monitor.yml"


def by_systemd():
    return re.search(r"^ExecStart=(.*)$", SERVICE.read_text(), re.M)[1].replace("%i", "iris")


def by_cron():
    return CRONTAB.read_text().strip().splitlines()[-1].rpartition("exec ")[2]


def by_github():
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["monitor"]["steps"]
    (command,) = [step["run"] for step in steps if "run.py" in step.get("run", "")]
    return command.replace('"$SINCE"', "7d")


@pytest.mark.parametrize("command", [by_systemd, by_cron, by_github])
def test_the_command_is_one_that_run_py_takes(command):
    program, script, *arguments = shlex.split(command())
    assert program.endswith(".venv/bin/python")
    assert script == "run.py"
    action, options = parse_arguments(arguments)
    assert (action, options.since, options.retrain) == ("monitor", "7d", True)


def test_all_three_look_every_day_at_the_same_time():
    on = yaml.safe_load(WORKFLOW.read_text())[True]  # YAML 1.1 reads the key "on" as true
    assert on["schedule"] == [{"cron": "30 0 * * *"}]
    assert CRONTAB.read_text().splitlines()[-1].startswith("30 0 * * * ")
    assert "OnCalendar=*-*-* 00:30:00 UTC" in TIMER.read_text()


def test_the_crontab_has_no_percent_sign_which_cron_would_cut_at():
    assert "%" not in CRONTAB.read_text()


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on PATH"
)
def test_systemd_takes_the_units(tmp_path):
    """As they are, but for the user and the program, which are not on this machine."""
    service = SERVICE.read_text().replace("User=bentoline", "User=root")
    (tmp_path / SERVICE.name).write_text(
        service.replace("/opt/bentoline/.venv/bin/python", "/bin/true")
    )
    shutil.copy(TIMER, tmp_path)

    def verify():
        return subprocess.run(
            ["systemd-analyze", "verify", "--man=no", tmp_path / SERVICE.name,
             tmp_path / TIMER.name],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = verify()
    assert (done.returncode, own_findings(done.stderr)) == (0, [])
    (tmp_path / SERVICE.name).write_text(service.replace("Type=oneshot", "Type=sometimes"))
    assert own_findings(verify().stderr)


def own_findings(said):
    """What it says of ours: it reads the machine's other units too."""
    return [line for line in said.splitlines() if "bentoline" in line]
