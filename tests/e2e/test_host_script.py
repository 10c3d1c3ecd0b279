"""A new host's user data, run in a container; what it installs with is stood in for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.checkout import ROOT, git

pytestmark = pytest.mark.timeout(900)

SCRIPT = "deploy/terraform/host.sh"
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "BENTOLINE_PORT": "5080",
    "BENTOLINE_PARAMETERS": "/bentoline/environment",
    "BENTOLINE_SECRETS": "bentoline/BENTOLINE_TOKEN bentoline/MONGODB_URI",
}
# Each writes down how it was called; a unit that is started runs its script.
STANDINS = {
    "dnf": "",
    "systemctl": '[ "$1 $2" != "start bentoline-environment.service" ] || bentoline-environment',
    "wget": 'echo "$@" | grep -q "https://aws-codedeploy-eu-central-1.s3.eu-central-1"',
    "ruby": "",
    "aws": """case $1 in
ssm) printf '/bentoline/environment/BENTOLINE_PREDICTION_LOG\\ts3://store/predictions\\n' ;;
secretsmanager) [ "$4" = bentoline/BENTOLINE_TOKEN ] && echo 's3cret=$x' ;;
esac""",
}


@pytest.fixture(scope="module")
def host(engine, machine, tmp_path_factory):
    """What the script left, by file, and how it called what it needs."""
    folder = tmp_path_factory.mktemp("host")
    for name, body in STANDINS.items():
        standin = folder / name
        standin.write_text(f'#!/bin/bash\necho "{name} $*" >> /var/calls\n{body}\n')
        standin.chmod(0o755)
    exports = "".join(f"export {name}='{value}'\n" for name, value in ENVIRONMENT.items())
    (folder / "user-data").write_text(f"#!/bin/bash\n{exports}{(ROOT / SCRIPT).read_text()}")
    show = "; ".join(
        f"echo '--- {file}'; cat {file}"
        for file in ("/etc/bentoline/host.json", "/etc/bentoline/container.env", "/var/calls")
    )
    printed = engine.call(
        "run", "--rm", f"--volume={folder}:/standins:ro", machine.base, "bash", "-c",
        f"export PATH=/standins:/usr/local/sbin:$PATH; bash /standins/user-data && {show}; "
        "echo '--- mode'; stat -c %a /etc/bentoline/container.env",
        what="running the user data",
    )  # fmt: skip
    parts = [part.partition("\n") for part in printed.split("--- ")[1:]]
    return {name: content for name, _, content in parts}


def test_the_proxy_gets_the_port_of_terraform(host):
    assert json.loads(host["/etc/bentoline/host.json"]) == {"port": 5080}


def test_the_container_gets_parameters_and_the_secrets_that_have_a_value(host):
    assert host["/etc/bentoline/container.env"].splitlines() == [
        "AWS_DEFAULT_REGION=eu-central-1",
        "BENTOLINE_PREDICTION_LOG=s3://store/predictions",
        "BENTOLINE_TOKEN=s3cret=$x",
    ]
    assert host["mode"].strip() == "600"


def test_the_environment_is_there_before_the_agent_fetches_the_last_release(host):
    calls = host["/var/calls"].splitlines()
    started = calls.index("systemctl start bentoline-environment.service")
    assert started < calls.index("systemctl enable --now codedeploy-agent")
    assert "systemctl enable --now bentoline-environment.timer" in calls
    assert calls[0] == "dnf install --assumeyes --quiet docker nginx ruby wget"


def test_every_script_passes_shellcheck():
    scripts = git(ROOT, "ls-files", "*.sh", ".ci/run").split()
    assert SCRIPT in scripts
    command = [Path(sys.executable).parent / "shellcheck", *scripts]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
