"""deploy/terraform: form, plan, and a real apply with AWS's own provider against moto."""

import json
import re
import shutil
import subprocess

import pytest

from tests.infrastructure.terraform import CODE, planned

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

VARIABLES = ("-var=github_repository=someone/something",)
# Attributes that the second plan would set again, since moto 5.2.5 does not give them back.
FORGOTTEN = {
    ("aws_autoscaling_group.this", "capacity_reservation_specification"),
    ("aws_autoscaling_group.this", "launch_template"),  # its version, by the template's below
    ("aws_codedeploy_deployment_group.this", "alarm_configuration"),
    ("aws_codedeploy_deployment_group.this", "autoscaling_groups"),
    ("aws_codedeploy_deployment_group.this", "load_balancer_info"),
    ("aws_launch_template.this", "default_version"),
    ("aws_launch_template.this", "latest_version"),
    ("aws_launch_template.this", "tag_specifications"),  # the template's own tags, twice
    ("aws_vpc_security_group_egress_rule.to_hosts[0]", "description"),
    ("aws_vpc_security_group_ingress_rule.from_load_balancer[0]", "description"),
}
# AWS knows no narrower resource for these.
UNSCOPED = {
    "ecr:GetAuthorizationToken",
    "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeLifecycleHooks",
    "cloudwatch:DescribeAlarms", "ec2:DescribeInstances", "ec2:DescribeInstanceStatus",
    "tag:GetResources",
}  # fmt: skip


@pytest.fixture(scope="module")
def applying(terraform, plan):
    """An apply that has begun: it waits a minute for the load balancer, while other tests run."""
    command = terraform.command("apply", "-auto-approve", "-input=false", "-no-color", *VARIABLES)
    with subprocess.Popen(
        command, env=terraform.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    ) as process:  # fmt: skip
        yield process
        process.kill()


def test_the_plan_is_as_the_tests_beside_the_code_say(applying, terraform):
    report = terraform.call("test", "-no-color")
    assert "13 passed, 0 failed" in report


def test_the_code_is_formatted_and_valid(terraform):
    terraform.call("fmt", "-check", "-recursive", "-diff")
    assert json.loads(terraform.call("validate", "-json"))["diagnostics"] == []


def test_nothing_but_the_service_port_is_open(plan):
    """Whatever rule is added later is held against this too."""
    rules = planned(plan, "ingress_rule")
    assert {(rule["from_port"], rule["to_port"]) for rule in rules.values()} == {(8000, 8000)}
    assert not planned(plan, "aws_security_group_rule")
    groups = [*planned(plan, "aws_security_group").values()]
    assert [group for group in groups if group.get("ingress") or group.get("egress")] == []


def policies(plan):
    """Every policy that a role of ours gets, by address."""
    found = {**planned(plan, "aws_iam_role_policy"), **planned(plan, "aws_iam_policy")}
    return {address: json.loads(values["policy"]) for address, values in found.items()}


def test_no_policy_has_a_wildcard_where_aws_knows_better(plan):
    found = policies(plan)
    assert set(found) == {
        "aws_iam_policy.deploy",
        "aws_iam_role_policy.codedeploy",
        'aws_iam_role_policy.github["deploy"]',
        'aws_iam_role_policy.github["monitor"]',
        "aws_iam_role_policy.host",
    }
    for statement in (one for policy in found.values() for one in policy["Statement"]):
        actions, resources = listed(statement["Action"]), listed(statement["Resource"])
        assert [action for action in actions if "*" in action] == []
        assert statement["Effect"] == "Allow"
        if "*" in resources:
            assert set(actions) <= UNSCOPED
        assert all(r == "*" or (r.startswith("arn:aws:") and "bentoline" in r) or
                   "aws-codedeploy-us-east-1" in r or "CodeDeployDefault" in r
                   for r in resources), resources  # fmt: skip


def test_no_role_gets_a_policy_that_somebody_else_wrote(plan):
    assert not planned(plan, "policy_attachment")


def test_no_secret_stands_in_the_plan(plan):
    """The code makes places for secrets; values are set by hand."""
    assert len(planned(plan, "aws_secretsmanager_secret")) == 3
    assert not planned(plan, "aws_secretsmanager_secret_version")
    assert {value["type"] for value in planned(plan, "aws_ssm_parameter").values()} == {"String"}


def test_it_applies_and_a_second_plan_changes_nothing(applying, terraform):
    output, _ = applying.communicate(timeout=300)
    assert applying.returncode == 0, output
    again = terraform.plan("github_repository=someone/something")
    assert changes(again) == FORGOTTEN
    named = json.loads(terraform.call("output", "-json"))
    assert named["environment"]["value"]["BENTOLINE_CODEDEPLOY_GROUP"] == "bentoline"
    exports = dict(line.split("=") for line in named["exports"]["value"].splitlines())
    assert exports["export BENTOLINE_ECR_REPOSITORY"] == "'bentoline'"


def changes(plan):
    """Address and attribute of what a plan would change; an address alone for more than that."""
    found = set()
    for resource in plan["resource_changes"]:
        change = resource["change"]
        if change["actions"] == ["update"]:
            before, after, unknown = (change[k] for k in ("before", "after", "after_unknown"))
            found |= {
                (resource["address"], name)
                for name in {*before, *after, *unknown}
                if is_unknown(unknown.get(name)) or before.get(name) != after.get(name)
            }
        elif change["actions"] != ["no-op"] and resource["mode"] == "managed":
            found.add((resource["address"], change["actions"][0]))
    return found


def is_unknown(value):
    """Whether any part of it is known after the apply only."""
    if isinstance(value, dict | list):
        return any(
            is_unknown(part) for part in (value.values() if isinstance(value, dict) else value)
        )
    return bool(value)


def test_the_security_audit_finds_nothing():
    """Checkov asks for other versions of what the lock pins, so it comes from PATH."""
    checkov = shutil.which("checkov")
    if checkov is None:
        pytest.skip("checkov is not on PATH; it needs an environment of its own (pipx)")
    done = subprocess.run(
        [checkov, "--directory", str(CODE), "--framework", "terraform", "--quiet", "--compact",
         "--skip-download", "--output", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    audit = json.loads(done.stdout)
    assert [check["check_id"] for check in audit["results"]["failed_checks"]] == []
    assert audit["summary"]["passed"] > 100
    assert audit["summary"]["parsing_errors"] == 0


def test_every_suppressed_finding_has_a_reason():
    code = "".join(file.read_text() for file in CODE.glob("*.tf"))
    suppressed = re.findall(r"checkov:skip=(\w+)(.*)", code)
    assert [check for check, reason in suppressed if len(reason) < 30] == []
    assert len(suppressed) == code.count("checkov:") > 0


def listed(value):
    return value if isinstance(value, list) else [value]
