"""Target apprunner: an App Runner service takes the image, and goes back by itself."""

from __future__ import annotations

import time
from typing import Any

from deploy import aws, front
from deploy.settings import Settings
from tabular.contract import Frozen
from tabular.errors import ConfigError, RefusedError, StoreError

POLL_S = 5.0
TIMEOUT_S = 1200.0
NEEDS = (
    "apprunner:ListServices, DescribeService, UpdateService and ListOperations, and iam:PassRole "
    "of the service's access role"
)
RUNNING = "RUNNING"
UNDERWAY = ("PENDING", "IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
BACK = "ROLLBACK_SUCCEEDED"


class Update(Frozen):
    """A service that runs the image, and where it answers."""

    service: str
    operation: str
    address: str


def check(settings: Settings) -> None:
    """Refuse a service that could not be updated, before anything is built.

    Raises:
        ConfigError: There is no such service, it does not run, it builds from source code, or AWS
            refuses us.
        StoreError: AWS does not answer.
    """
    service = _find(aws.client("apprunner"), settings.service)
    name, status = settings.service, service["Status"]
    if status != RUNNING:
        raise ConfigError(
            f"App Runner: service '{name}' is {status}, and only a {RUNNING} one can be updated; "
            "wait until it is, or resume it (aws apprunner resume-service)."
        )
    if "ImageRepository" not in service["SourceConfiguration"]:
        raise ConfigError(
            f"App Runner: service '{name}' builds from source code; make one from an image of ECR "
            "(docs/deploy.md), and name it by BENTOLINE_APPRUNNER_SERVICE."
        )


def update(settings: Settings, image: str, version: str) -> Update:
    """Let the service take an image by digest; return once it answers by the version.

    Everything else of the service stays as it is, but that App Runner asks /readyz for its health.

    Raises:
        RefusedError: The service did not become healthy, and what it runs now; or it is, and
            answers by another version.
        ConfigError: The service is not there, is busy, or AWS refuses us.
        StoreError: AWS does not answer, or the update does not end.
    """
    client = aws.client("apprunner")
    service = _find(client, settings.service)
    source = service["SourceConfiguration"]
    before = source["ImageRepository"]["ImageIdentifier"]
    repository = {**source["ImageRepository"], "ImageIdentifier": image}
    busy = "another operation runs; wait until it ends and run it again."
    with aws.asking("App Runner", NEEDS, {"InvalidStateException": busy}):
        operation = client.update_service(
            ServiceArn=service["ServiceArn"],
            SourceConfiguration={
                **source,
                "ImageRepository": repository,
                "AutoDeploymentsEnabled": False,  # a digest never changes
            },
            HealthCheckConfiguration={"Protocol": "HTTP", "Path": "/readyz"},
        )["OperationId"]
    ended = _ended(client, service["ServiceArn"], operation)
    if ended != "SUCCEEDED":
        now = f"It runs {before} again." if ended == BACK else "See what it runs in AWS's console."
        raise RefusedError(
            f"App Runner: service '{settings.service}' refused {image} ({ended}); its log group "
            f"/aws/apprunner/{settings.service} says why. {now}"
        )
    front.await_version(service["ServiceUrl"], version)
    return Update(service=settings.service, operation=operation, address=service["ServiceUrl"])


def _find(client: Any, name: str) -> dict[str, Any]:
    """A service by its name, with all that is known of it."""
    with aws.asking("App Runner", NEEDS):
        page = client.list_services()
        services = page["ServiceSummaryList"]
        while token := page.get("NextToken"):
            page = client.list_services(NextToken=token)
            services += page["ServiceSummaryList"]
        arn = next((one["ServiceArn"] for one in services if one["ServiceName"] == name), None)
        if arn is None:
            raise ConfigError(
                f"App Runner: there is no service '{name}' in {client.meta.region_name}; make it "
                "(docs/deploy.md), or name another by BENTOLINE_APPRUNNER_SERVICE."
            )
        service: dict[str, Any] = client.describe_service(ServiceArn=arn)["Service"]
    return service


def _ended(client: Any, arn: str, operation: str) -> str:
    """Wait for the end of an operation, and return how it ended.

    Raises:
        StoreError: It does not end.
    """
    begun = time.monotonic()
    while (status := _status(client, arn, operation)) in UNDERWAY:
        if time.monotonic() - begun > TIMEOUT_S:
            raise StoreError(
                f"App Runner: operation {operation} has not ended after {TIMEOUT_S:g} s; see it by "
                f"aws apprunner list-operations --service-arn {arn}."
            )
        time.sleep(POLL_S)
    return status


def _status(client: Any, arn: str, operation: str) -> str:
    """An operation is listed among the newest; one that is not yet there is about to be."""
    with aws.asking("App Runner", NEEDS):
        listed = client.list_operations(ServiceArn=arn, MaxResults=20)["OperationSummaryList"]
    return next((str(one["Status"]) for one in listed if one["Id"] == operation), UNDERWAY[0])
