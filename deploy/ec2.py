"""Target ec2: CodeDeploy releases a revision host by host, and goes back by itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from deploy import aws
from deploy.engine import reason
from deploy.revision import Revision
from deploy.settings import Settings
from tabular.contract import Frozen
from tabular.errors import ConfigError, RefusedError, StoreError

POLL_S = 1.0
TIMEOUT_S = 1800.0
UNDERWAY = ["Created", "Queued", "InProgress", "Baking", "Ready"]
SUCCEEDED = "Succeeded"
PERSON = "user"
NEEDS = (
    "codedeploy:GetDeploymentGroup, ListDeployments, CreateDeployment, GetDeployment, "
    "GetDeploymentConfig, ListDeploymentTargets, BatchGetDeploymentTargets, "
    "RegisterApplicationRevision and GetApplicationRevision"
)
BUCKET_NEEDS = "s3:PutObject and s3:GetObject of the bucket"


class Rollout(Frozen):
    """A deployment that went well, and the hosts that serve it."""

    deployment: str
    revision: str
    hosts: tuple[str, ...]


def check(settings: Settings) -> None:
    """Refuse a target that could not be rolled out to, before anything is built.

    Raises:
        ConfigError: No bucket is named or it is not there, there is no such group, the group does
            not go back by itself, or AWS refuses us.
        StoreError: AWS does not answer.
    """
    if not settings.bucket:
        raise ConfigError(
            "--deploy --target ec2: no bucket is named for revisions; set "
            "BENTOLINE_RELEASES_BUCKET (terraform output environment)."
        )
    missing = f"there is no bucket '{settings.bucket}'; make it (terraform apply)."
    with aws.asking("S3", BUCKET_NEEDS, {"404": missing, "NoSuchBucket": missing}):
        aws.client("s3").head_bucket(Bucket=settings.bucket)
    group = _group(aws.client("codedeploy"), settings)
    events = group.get("autoRollbackConfiguration") or {}
    if not events.get("enabled") or "DEPLOYMENT_FAILURE" not in events.get("events", []):
        raise ConfigError(
            f"CodeDeploy: group '{settings.group}' does not go back after a failure; switch its "
            "automatic rollback on (deploy/terraform does)."
        )


def roll_out(settings: Settings, revision: Revision) -> Rollout:
    """Release a revision on every host of the group, and wait for it.

    A deployment of the same revision that runs already, after a killed command, is waited for.

    Raises:
        RefusedError: A host refused it; which one, why, and what serves now.
        ConfigError: Another deployment runs.
        StoreError: AWS does not answer, or the deployment does not end.
    """
    client = aws.client("codedeploy")
    before = _group(client, settings).get("lastSuccessfulDeployment") or {}
    running = _running(client, settings, revision.key)
    if running is None:
        _upload(settings, revision)
        running = _create(client, settings, _location(settings.bucket, revision.key))
    info = _ended(client, running)
    targets = _targets(client, running)
    failed = [target for target in targets if target["status"] != SUCCEEDED]
    if info["status"] == SUCCEEDED and not failed:
        hosts = tuple(sorted(str(target["targetId"]) for target in targets))
        return Rollout(deployment=running, revision=revision.key, hosts=hosts)
    why = _why(info, failed)
    raise RefusedError(f"{why} {_gone_back(client, settings, info, before)}")


def _group(client: Any, settings: Settings) -> dict[str, Any]:
    application, group = settings.application, settings.group
    known = {
        "ApplicationDoesNotExistException": (
            f"there is no application '{application}'; make it (terraform apply), or name another "
            "by BENTOLINE_CODEDEPLOY_APPLICATION."
        ),
        "DeploymentGroupDoesNotExistException": (
            f"application '{application}' has no group '{group}'; make it (terraform apply), or "
            "name another by BENTOLINE_CODEDEPLOY_GROUP."
        ),
    }
    with aws.asking("CodeDeploy", NEEDS, known):
        found = client.get_deployment_group(applicationName=application, deploymentGroupName=group)
    info: dict[str, Any] = found["deploymentGroupInfo"]
    return info


def _running(client: Any, settings: Settings, key: str) -> str | None:
    """The deployment of this very revision that runs already.

    One that CodeDeploy began itself, to go back or for a new host, is waited for.

    Raises:
        ConfigError: Another one runs.
    """
    with aws.asking("CodeDeploy", NEEDS):
        found = client.list_deployments(
            applicationName=settings.application,
            deploymentGroupName=settings.group,
            includeOnlyStatuses=UNDERWAY,
        )["deployments"]
    for deployment in found:
        info = _info(client, deployment)
        if info["revision"].get("s3Location", {}).get("key") == key:
            return str(deployment)
        if info.get("creator", PERSON) == PERSON:
            raise ConfigError(
                f"CodeDeploy: deployment {deployment} runs in group '{settings.group}', and there "
                "can be one at a time; wait until it ends, or stop it (aws deploy "
                "stop-deployment)."
            )
        _ended(client, deployment)
    return None


def _upload(settings: Settings, revision: Revision) -> None:
    with aws.asking("S3", BUCKET_NEEDS):
        aws.client("s3").put_object(
            Bucket=settings.bucket,
            Key=revision.key,
            Body=revision.content,
            ContentType="application/zip",
            ChecksumAlgorithm="SHA256",
        )


def _create(client: Any, settings: Settings, revision: Mapping[str, Any]) -> str:
    """Begin a deployment as the group is set: one host at a time, and back where it fails."""
    busy = "another deployment began just now; wait until it ends and run it again."
    with aws.asking("CodeDeploy", NEEDS, {"DeploymentLimitExceededException": busy}):
        made = client.create_deployment(
            applicationName=settings.application,
            deploymentGroupName=settings.group,
            revision=revision,
            description="bentoline",
        )
    return str(made["deploymentId"])


def _location(bucket: str, key: str) -> dict[str, Any]:
    return {
        "revisionType": "S3",
        "s3Location": {"bucket": bucket, "key": key, "bundleType": "zip"},
    }


def _info(client: Any, deployment: str) -> dict[str, Any]:
    with aws.asking("CodeDeploy", NEEDS):
        info: dict[str, Any] = client.get_deployment(deploymentId=deployment)["deploymentInfo"]
    return info


def _ended(client: Any, deployment: str) -> dict[str, Any]:
    """Wait for the end of a deployment, and return what is known of it.

    Raises:
        StoreError: It does not end.
    """
    begun = time.monotonic()
    while (info := _info(client, deployment))["status"] in UNDERWAY:
        if time.monotonic() - begun > TIMEOUT_S:
            raise StoreError(
                f"CodeDeploy: deployment {deployment} has not ended after {TIMEOUT_S:g} s; see it "
                f"by aws deploy get-deployment --deployment-id {deployment}."
            )
        time.sleep(POLL_S)
    return info


def _targets(client: Any, deployment: str) -> list[dict[str, Any]]:
    """What became of each host."""
    with aws.asking("CodeDeploy", NEEDS):
        pages = client.get_paginator("list_deployment_targets").paginate(deploymentId=deployment)
        names = [name for page in pages for name in page["targetIds"]]
        found = []
        for first in range(0, len(names), 25):  # as many as one call may name
            answer = client.batch_get_deployment_targets(
                deploymentId=deployment, targetIds=names[first : first + 25]
            )
            found += [target["instanceTarget"] for target in answer["deploymentTargets"]]
    return found


def _why(info: Mapping[str, Any], failed: list[dict[str, Any]]) -> str:
    """The first host's reason, else CodeDeploy's own."""
    for target in failed:
        for event in target.get("lifecycleEvents", []):
            if event["status"] == "Failed":
                told = event.get("diagnostics", {})
                why = reason(told.get("logTail") or told.get("message") or "").rstrip(".")
                why = why.removeprefix("[stderr]").removeprefix("bentoline: ")
                return (
                    f"host {target['targetId']} refused it at {event['lifecycleEventName']}: {why}."
                )
    said = (info.get("errorInformation") or {}).get("message", info["status"])
    return f"deployment {info['deploymentId']} failed: {str(said).rstrip('.')}."


def _gone_back(
    client: Any, settings: Settings, info: Mapping[str, Any], before: Mapping[str, Any]
) -> str:
    """Wait for the rollback, which CodeDeploy begins by itself, and say how it went.

    It begins none where only the last host failed, since it calls that a success.
    """
    if not before:
        return "It was the first one, so nothing serves; mend it and deploy again."
    rollback = (info.get("rollbackInfo") or {}).get("rollbackDeploymentId")
    if rollback is None:
        good = _info(client, str(before["deploymentId"]))["revision"]
        rollback = _create(client, settings, good)
    if _ended(client, str(rollback))["status"] == SUCCEEDED:
        return f"What served before serves on every host again (deployment {rollback})."
    return (
        f"Going back failed too: see aws deploy get-deployment --deployment-id {rollback}; hosts "
        "serve what they served."
    )
