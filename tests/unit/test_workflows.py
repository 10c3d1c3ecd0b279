"""GitHub's workflows: what they run exists, what they use is pinned, what they may do is little.

Nothing here ran on GitHub; zizmor and these rules stand in for it.
"""

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import run
from pipelines.commands.deploy import TARGETS
from tests.unit.test_repository import makefile_targets

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"^[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
STAMPS = {".venv/.installed", ".venv/.installed-dev"}
OURS = ("make", "run.py", "deploy/", "-m")


def load(file):
    """A workflow; YAML 1.1 reads the key `on` as true."""
    read = yaml.safe_load(file.read_text())
    return {**read, "on": read[True]}


WORKFLOWS = {file.stem: load(file) for file in FILES}
JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"]]


def steps(name, job):
    return WORKFLOWS[name]["jobs"][job].get("steps", [])


def commands(name, job):
    """Each command of a job's scripts, in words."""
    lines = (line for step in steps(name, job) for line in step.get("run", "").splitlines())
    return [shlex.split(line) for line in lines]


def test_those_that_deliver_are_there():
    assert {"ci", "deploy", "deploy-self-hosted"} <= set(WORKFLOWS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(file):
    used = re.findall(r"uses: (.+)", file.read_text())
    assert [one for one in used if not PINNED.match(one) and not one.startswith("./")] == []


def test_one_version_of_each_action_is_used():
    used = {use for file in FILES for use in re.findall(r"uses: (\S+)@(\S+)", file.read_text())}
    assert len({name for name, _ in used}) == len(used)


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_a_job_may_read_the_code_and_ask_for_a_token_at_most(name, job):
    workflow = WORKFLOWS[name]
    allowed = workflow["jobs"][job].get("permissions", workflow["permissions"])
    signs_in = any("configure-aws-credentials" in step.get("uses", "") for step in steps(name, job))
    assert allowed == {"contents": "read", **({"id-token": "write"} if signs_in else {})}


@pytest.mark.parametrize("name", ["deploy", "deploy-self-hosted"])
def test_deployments_wait_for_each_other(name):
    assert WORKFLOWS[name]["concurrency"] == {"group": name, "cancel-in-progress": False}


def test_main_is_deployed_once_its_tests_pass():
    deploy = WORKFLOWS["deploy"]
    assert deploy["on"]["push"] == {"branches": ["main"]}
    assert deploy["jobs"]["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert deploy["jobs"]["deploy"]["needs"] == "ci"
    assert "workflow_call" in WORKFLOWS["ci"]["on"]


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_a_role_is_assumed_in_the_environment_that_it_trusts(name, job):
    github = (ROOT / "deploy" / "terraform" / "github.tf").read_text()
    trusted = re.findall(r'^    (\w+) += { environment = "(\w+)"', github, re.MULTILINE)
    roles = [
        step["with"]["role-to-assume"]
        for step in steps(name, job)
        if "configure-aws-credentials" in step.get("uses", "")
    ]
    of = {"${{ vars.AWS_ROLE }}": "deploy", "${{ vars.AWS_MONITOR_ROLE }}": "monitor"}
    for role in roles:
        assert dict(trusted)[of[role]] == WORKFLOWS[name]["jobs"][job]["environment"]


def test_no_workflow_knows_a_key_of_aws():
    written = "".join(file.read_text() for file in FILES)
    assert set(re.findall(r"secrets\.(\w+)", written)) <= {"MONGODB_URI"}
    assert not re.search(r"aws-(access-key|secret)", written)


def test_the_self_hosted_runner_only_pulls_and_runs():
    (command,) = commands("deploy-self-hosted", "run")
    assert command[:2] == ["sudo", "deploy/codedeploy/release.sh"]
    assert [
        step.get("uses", "").partition("@")[0] for step in steps("deploy-self-hosted", "run")
    ] == [
        "actions/checkout",
        "",
    ]


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_every_command_of_ours_exists(name, job):
    for words in commands(name, job):
        for place, word in enumerate(words):
            if word == "make":
                assert words[place + 1] in makefile_targets() | {
                    ".venv/.installed",
                    ".venv/.installed-dev",
                }
            if word == "-m":
                assert find_spec(words[place + 1]) is not None
            if word.startswith("deploy/"):
                assert (ROOT / word).stat().st_mode & 0o111
            if word == "run.py":
                action, options = run.parse_arguments(words[place + 1 :])
                assert action in ("deploy", "monitor")
                assert action != "deploy" or options.target in TARGETS


def test_every_command_is_checked_above_or_known():
    known = {"echo"}
    heads = {
        words[0] for name, job in JOBS for words in commands(name, job)
        if not any(ours in word for ours in OURS for word in words)
    }  # fmt: skip
    assert heads <= known


def test_variables_are_those_that_terraform_names():
    outputs = (ROOT / "deploy" / "terraform" / "outputs.tf").read_text()
    named = set(re.findall(r"^\s+((?:AWS|BENTOLINE)_\w+) +=", outputs, re.MULTILINE))
    own = {"BENTOLINE_PROBLEM", "SERVICE_ADDRESS"}  # docs/deploy.md names them
    used = {v for file in FILES for v in re.findall(r"vars\.(\w+)", file.read_text())}
    assert used == named | own


def test_the_security_linter_finds_nothing():
    zizmor = Path(sys.executable).parent / "zizmor"
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", ROOT / ".github" / "workflows"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "No findings to report" in done.stdout
