"""Each role can do its work under Terraform's policy, and not with any one action less.

The policies are those of the plan. moto enforces actions, and resources of S3 only; other resources
are held against the plan in test_terraform.py.
"""

import json
import os

import pytest
from botocore.exceptions import ClientError

from deploy import aws, ec2, ecr
from deploy.host.ecr import authorization
from deploy.host.errors import HostError
from deploy.revision import Revision
from deploy.settings import Settings
from tabular.errors import BentolineError, StoreError
from tabular.registry import open_registry
from tabular.stores.s3 import S3Store
from tests.infrastructure.roles import Account, actions, as_moto_reads, without
from tests.infrastructure.terraform import planned
from tests.s3 import moto
from tests.unit.tiny import write_tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STORE, RELEASES = (f"bentoline-{name}-123456789012-us-east-1" for name in ("store", "releases"))
REGISTRY = f"s3://{STORE}/registry"
SETTINGS = Settings(bucket=RELEASES)
# One for each roll-out: moto's deployments never end, and a group bears one at a time.
GROUPS = [f"group-{n}" for n in range(20)]
IMAGE = {"imageTag": "tiny-v1-0"}
DIGEST = "sha256:" + "0" * 64
MANIFEST = json.dumps({"schemaVersion": 2, "layers": [], "config": {"digest": DIGEST}})


@pytest.fixture(scope="module")
def account(plan, tmp_path_factory):
    """What Terraform makes, as far as the work below needs it."""
    with moto() as endpoint:
        made = Account(endpoint)
        s3, codedeploy = made.client("s3"), made.client("codedeploy")
        for bucket in (STORE, RELEASES):
            s3.create_bucket(Bucket=bucket)
        made.client("ecr").create_repository(
            repositoryName="bentoline", imageTagMutability="IMMUTABLE"
        )
        codedeploy.create_application(applicationName="bentoline", computePlatform="Server")
        for group in ("bentoline", *GROUPS):
            codedeploy.create_deployment_group(
                applicationName="bentoline",
                deploymentGroupName=group,
                serviceRoleArn="arn:aws:iam::123456789012:role/bentoline-codedeploy",
                autoRollbackConfiguration={"enabled": True, "events": ["DEPLOYMENT_FAILURE"]},
            )
        made.client("secretsmanager").create_secret(
            Name="bentoline/BENTOLINE_TOKEN", SecretString="s3cret"
        )
        made.client("ssm").put_parameter(
            Name="/bentoline/environment/BENTOLINE_PREDICTION_LOG", Value="off", Type="String"
        )
        s3.put_object(Bucket=RELEASES, Key="tiny/release.zip", Body=b"zip")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in made.environment.items():
                patch.setenv(name, value)
            registry = open_registry(REGISTRY)
            registry.publish("tiny", write_tiny(tmp_path_factory.mktemp("tiny") / "v1").path)
            registry.set_alias("tiny", "production", "v1", actor="test", why="test")
        made.enforce()
        yield made


def look_up_repository():
    ecr.open_repository(SETTINGS)


def read_registry():
    assert open_registry(REGISTRY).resolve("tiny", "production") == "v1"


def list_registry():
    assert open_registry(REGISTRY).versions("tiny") == ["v1"]


def record_fact():
    open_registry(REGISTRY).record_fact("tiny", "v1", "image_digest", "sha256:0")


def find_group():
    ec2.check(SETTINGS)


def roll_out():
    """Until moto's deployment is waited for."""
    settings = Settings(bucket=RELEASES, group=GROUPS.pop())
    revision = Revision(key="tiny/release.zip", content=b"zip")
    with pytest.raises(StoreError, match="has not ended after 0 s"):
        ec2.roll_out(settings, revision)


def ask_codedeploy(call, **arguments):
    """A call of `ec2.roll_out` that comes after a deployment's end, which moto has none of."""
    return lambda: getattr(aws.client("codedeploy"), call)(**arguments)


def ask_registry(call, **arguments):
    """What the registry asks for at a `docker push` or `pull`, since its bytes are not moto's."""
    return lambda: getattr(aws.client("ecr"), call)(repositoryName="bentoline", **arguments)


def host_logs_in():
    assert authorization("us-east-1", os.environ)


def agent_fetches(**version):
    return lambda: aws.client("s3").get_object(Bucket=RELEASES, Key="tiny/release.zip", **version)


def log_predictions():
    S3Store(f"s3://{STORE}/predictions").create("problem=tiny/date=2026-01-31/a.parquet", b"rows")


def read_environment():
    """As host.sh does by the command line."""
    found = aws.client("ssm").get_parameters_by_path(Path="/bentoline/environment")
    assert [parameter["Value"] for parameter in found["Parameters"]] == ["off"]


def read_secret():
    aws.client("secretsmanager").get_secret_value(SecretId="bentoline/BENTOLINE_TOKEN")


DEPLOY = {
    "ecr:GetAuthorizationToken": look_up_repository,
    "ecr:DescribeRepositories": look_up_repository,
    "ecr:BatchCheckLayerAvailability": ask_registry(
        "batch_check_layer_availability", layerDigests=[DIGEST]
    ),
    "ecr:InitiateLayerUpload": ask_registry("initiate_layer_upload"),
    "ecr:UploadLayerPart": ask_registry(
        "upload_layer_part", uploadId="0", partFirstByte=0, partLastByte=0, layerPartBlob=b"0"
    ),
    "ecr:CompleteLayerUpload": ask_registry(
        "complete_layer_upload", uploadId="0", layerDigests=[DIGEST]
    ),
    "ecr:PutImage": ask_registry("put_image", imageManifest=MANIFEST),
    "ecr:BatchGetImage": ask_registry("batch_get_image", imageIds=[IMAGE]),
    "ecr:GetDownloadUrlForLayer": ask_registry("get_download_url_for_layer", layerDigest=DIGEST),
    "s3:ListBucket": list_registry,
    "s3:GetObject": read_registry,
    "s3:PutObject": record_fact,
    "codedeploy:GetDeploymentGroup": find_group,
    "codedeploy:ListDeployments": roll_out,
    "codedeploy:CreateDeployment": roll_out,
    "codedeploy:GetDeployment": roll_out,
    "codedeploy:ListDeploymentTargets": ask_codedeploy("list_deployment_targets", deploymentId="d"),
    "codedeploy:BatchGetDeploymentTargets": ask_codedeploy(
        "batch_get_deployment_targets", deploymentId="d", targetIds=["i"]
    ),
}
HOST = {
    "ecr:GetAuthorizationToken": host_logs_in,
    "ecr:BatchGetImage": ask_registry("batch_get_image", imageIds=[IMAGE]),
    "ecr:GetDownloadUrlForLayer": ask_registry("get_download_url_for_layer", layerDigest=DIGEST),
    "s3:GetObject": agent_fetches(),
    "s3:PutObject": log_predictions,
    "s3:ListBucket": list_registry,
    "ssm:GetParametersByPath": read_environment,
    "secretsmanager:GetSecretValue": read_secret,
}
MONITOR = {
    "s3:ListBucket": list_registry,
    "s3:GetObject": read_registry,
    "s3:PutObject": record_fact,
}
# Allowed, and never asked for by moto, each for its reason.
UNPROVEN = {
    # Asked by CodeDeploy itself while it makes a deployment; AWS's guide names them.
    "deploy": {
        "codedeploy:GetApplicationRevision", "codedeploy:GetDeploymentConfig",
        "codedeploy:RegisterApplicationRevision",
    },
    # moto asks s3:GetObject for a named version too.
    "host": {"s3:GetObjectVersion"},
    # AWS's own service works under this role; nothing here could.
    "codedeploy": {
        "autoscaling:CompleteLifecycleAction", "autoscaling:DeleteLifecycleHook",
        "autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeLifecycleHooks",
        "autoscaling:PutLifecycleHook", "autoscaling:RecordLifecycleActionHeartbeat",
        "autoscaling:ResumeProcesses", "autoscaling:SuspendProcesses",
        "cloudwatch:DescribeAlarms", "ec2:DescribeInstanceStatus", "ec2:DescribeInstances",
        "tag:GetResources",
    },
}  # fmt: skip
PROVEN = {"deploy": DEPLOY, "host": HOST, "monitor": MONITOR, "codedeploy": {}}
CASES = [(role, action) for role, work in PROVEN.items() for action in work]


def policy_of(plan, role):
    address = f"aws_iam_role_policy.{role}"
    if role in ("deploy", "monitor"):
        address = f'aws_iam_role_policy.github["{role}"]'
    return json.loads(planned(plan, "aws_iam_role_policy")[address]["policy"])


def is_denied(error):
    """Whether permissions are the reason, at any depth."""
    links = [error]
    while cause := links[-1].__cause__:
        links.append(cause)
    return any(
        word in str(link)
        for link in links
        for word in ("AccessDenied", "Forbidden", "403", "is not allowed")
    )


def work_under(account, policy, work, patch):
    """Whether the work is let through; that moto then knows no more of it is not denied."""
    for name, value in account.assume(as_moto_reads(policy)).items():
        patch.setenv(name, value)
    try:
        work()
    except (BentolineError, ClientError, HostError) as error:
        return not is_denied(error)
    return True


@pytest.mark.parametrize(("role", "action"), CASES, ids=[f"{r}-{a}" for r, a in CASES])
def test_the_role_needs_the_action_and_has_it(role, action, account, plan, monkeypatch):
    monkeypatch.setattr(ec2, "TIMEOUT_S", 0.0)
    monkeypatch.setattr(ec2, "POLL_S", 0.0)
    policy, work = policy_of(plan, role), PROVEN[role][action]
    assert work_under(account, policy, work, monkeypatch)
    assert not work_under(account, without(policy, action), work, monkeypatch)


@pytest.mark.parametrize("role", PROVEN)
def test_every_action_is_proven_or_named_as_unproven(role, plan):
    assert actions(policy_of(plan, role)) == set(PROVEN[role]) | UNPROVEN.get(role, set())


def test_a_person_who_deploys_has_the_policy_of_github(plan):
    person = planned(plan, "aws_iam_policy")["aws_iam_policy.deploy"]
    assert json.loads(person["policy"]) == policy_of(plan, "deploy")


@pytest.mark.parametrize(
    ("role", "work"),
    [
        ("deploy", lambda: S3Store(REGISTRY).create("tiny/aliases/staging.json", b"{}")),
        ("deploy", lambda: S3Store(f"s3://{STORE}/predictions").create("rows", b"")),
        ("host", lambda: S3Store(REGISTRY).create("tiny/facts/v1.json", b"{}")),
        ("host", lambda: S3Store(f"s3://{RELEASES}").create("tiny/release.zip", b"")),
        ("host", lambda: S3Store(f"s3://{STORE}/predictions").read("rows")),
        ("host", roll_out),
        ("monitor", roll_out),
        ("monitor", look_up_repository),
    ],
    ids=[
        "move an alias",
        "log",
        "record a fact",
        "release",
        "read the log",
        "roll out",
        "monitor rolls out",
        "monitor pushes",
    ],
)
def test_what_is_not_its_work_is_denied(role, work, account, plan, monkeypatch):
    assert not work_under(account, policy_of(plan, role), work, monkeypatch)
