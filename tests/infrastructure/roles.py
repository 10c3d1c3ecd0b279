"""AWS with enforced permissions: moto, once `reset-auth` has told it to look."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import boto3

from tests.s3 import credentials


def _policy(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


TRUST = _policy({"Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})
EVERYTHING = _policy({"Action": "*", "Resource": "*"})


class Account:
    """An account whose administrator gives out roles."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        anyone = boto3.Session("test", "test", region_name="us-east-1")
        iam = anyone.client("iam", endpoint_url=endpoint)
        iam.create_user(UserName="admin")
        iam.put_user_policy(UserName="admin", PolicyName="all", PolicyDocument=EVERYTHING)
        key = iam.create_access_key(UserName="admin")["AccessKey"]
        self.environment = {  # the administrator's
            **credentials(endpoint),
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
        self._admin = boto3.Session(
            key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1"
        )

    def client(self, service: str) -> Any:
        """The administrator's own client."""
        return self._admin.client(service, endpoint_url=self.endpoint)

    def enforce(self) -> None:
        """From now on every request is held against its policies."""
        request = urllib.request.Request(
            f"{self.endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request).close()

    def assume(self, policy: Mapping[str, Any]) -> dict[str, str]:
        """What the environment says for a new role with this policy."""
        name = f"role-{uuid4().hex[:12]}"
        iam = self.client("iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        given = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return {
            **credentials(self.endpoint),
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }


def as_moto_reads(policy: Mapping[str, Any]) -> dict[str, Any]:
    """The policy in words that moto 5.2.5 understands.

    It compares resources of S3 alone: any other it takes for `*`, whatever is asked, so that a
    narrower one would allow nothing. And HeadBucket, which AWS allows by ListBucket, is an action
    of its own there.
    """
    statements = [
        {
            **s,
            "Action": [*own, *(["s3:HeadBucket"] if "s3:ListBucket" in own else [])],
            "Resource": s["Resource"] if own[0].startswith("s3:") else "*",
        }
        for s in policy["Statement"]
        if (own := listed(s["Action"]))
    ]
    return {**policy, "Statement": statements}


def without(policy: Mapping[str, Any], action: str) -> dict[str, Any]:
    """The policy with one action less."""
    statements = [
        {**s, "Action": left}
        for s in policy["Statement"]
        if (left := [a for a in listed(s["Action"]) if a != action])
    ]
    return {**policy, "Statement": statements}


def actions(policy: Mapping[str, Any]) -> set[str]:
    """Every action that it allows."""
    return {action for s in policy["Statement"] for action in listed(s["Action"])}


def listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
