"""A token for ECR by the instance's role: one signed request, since the host has no AWS library."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .errors import HostError

TIMEOUT_S = 10
TARGET = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
# Where an instance asks for what it is allowed; a public address of AWS, the same on every host.
METADATA = "http://169.254.169.254"
ROLE = "/latest/meta-data/iam/security-credentials/"


@dataclass(frozen=True)
class Credentials:
    """A key of AWS; `session` is empty for one that does not expire."""

    key: str
    secret: str = field(repr=False)
    session: str = field(repr=False)


def authorization(region: str, environ: Mapping[str, str]) -> str:
    """Ask ECR for a token of some hours: base64 of USER:PASSWORD.

    Raises:
        HostError: The host has no role, or it does not allow this, or ECR does not answer.
    """
    address = environ.get("AWS_ENDPOINT_URL_ECR") or environ.get("AWS_ENDPOINT_URL")
    address = (address or f"https://api.ecr.{region}.amazonaws.com").rstrip("/")
    host = urlsplit(address).netloc
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = signed(find_credentials(environ), region, host, "{}", stamp)
    status, answer = _ask("POST", address, "/", headers, "{}")
    if status != 200:
        raise HostError(
            f"ECR refuses a token ({_code(answer) or status}); the instance's role needs "
            "ecr:GetAuthorizationToken, ecr:BatchGetImage and ecr:GetDownloadUrlForLayer."
        )
    return str(json.loads(answer)["authorizationData"][0]["authorizationToken"])


def _code(answer: str) -> str:
    """The name of ECR's error; empty where something else than ECR answered."""
    try:
        return str(json.loads(answer).get("__type", "")).rpartition("#")[2]
    except ValueError:
        return ""


def find_credentials(environ: Mapping[str, str]) -> Credentials:
    """Those of the environment, else those of the instance's role (IMDSv2).

    Raises:
        HostError: There are none.
    """
    if environ.get("AWS_ACCESS_KEY_ID"):
        return Credentials(
            environ["AWS_ACCESS_KEY_ID"],
            environ.get("AWS_SECRET_ACCESS_KEY", ""),
            environ.get("AWS_SESSION_TOKEN", ""),
        )
    address = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or METADATA
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = _metadata("PUT", address, "/latest/api/token", lifetime)
    own = {"X-aws-ec2-metadata-token": token}
    role = _metadata("GET", address, ROLE, own).strip().partition("\n")[0]
    found = json.loads(_metadata("GET", address, ROLE + role, own))
    return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["Token"])


def signed(
    credentials: Credentials, region: str, host: str, body: str, stamp: str
) -> dict[str, str]:
    """The request's headers by AWS's Signature Version 4; `stamp` is UTC, 20260131T235959Z."""
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": host,
        "x-amz-date": stamp,
        **({"x-amz-security-token": credentials.session} if credentials.session else {}),
        "x-amz-target": TARGET,
    }
    names = ";".join(headers)
    lines = [f"{name}:{value}" for name, value in headers.items()]
    request = "\n".join(["POST", "/", "", *lines, "", names, _sha256(body)])
    scope = (stamp[:8], region, "ecr", "aws4_request")
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(scope), _sha256(request)])
    key = f"AWS4{credentials.secret}".encode()
    for part in (*scope, text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.key}/{'/'.join(scope)}, "
        f"SignedHeaders={names}, Signature={key.hex()}"
    )
    return headers


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _metadata(method: str, address: str, path: str, headers: Mapping[str, str]) -> str:
    status, answer = _ask(method, address, path, headers)
    if status != 200 or not answer:
        raise HostError(
            f"the instance has no role to pull with (its metadata answered {status}); give it an "
            "instance profile that may read from ECR."
        )
    return answer


def _ask(
    method: str, address: str, path: str, headers: Mapping[str, str], body: str = ""
) -> tuple[int, str]:
    parts = urlsplit(address)
    kind = http.client.HTTPConnection if parts.scheme == "http" else http.client.HTTPSConnection
    connection = kind(parts.netloc, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body or None, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise HostError(
            f"{parts.netloc} does not answer ({error}); look at the network."
        ) from error
    finally:
        connection.close()
