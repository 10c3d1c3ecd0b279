"""What the environment says about delivery."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tabular.contract import Frozen

REPOSITORY = "bentoline"
APPLICATION = "bentoline"
GROUP = "bentoline"
SERVICE = "bentoline"


class Settings(Frozen):
    """How an image is built, and where it is pushed. Holds no secret: ZenML shows it.

    `base` stands in for the Dockerfile's own base image where it is not empty. `certificates` is
    the PEM file of a proxy that reads TLS. `registry_host` is asked in place of the registry that
    ECR names, such as http://127.0.0.1:5000. `application` and `group` are CodeDeploy's, and
    `bucket` is where its revisions lie; empty, nothing can be rolled out to EC2. `service` is App
    Runner's.
    """

    base: str = ""
    certificates: str = ""
    repository: str = REPOSITORY
    registry_host: str = ""
    application: str = APPLICATION
    group: str = GROUP
    bucket: str = ""
    service: str = SERVICE

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Settings:
        """Read BENTOLINE_BASE_IMAGE, PIP_CERT, and where to deliver.

        For ECR these are BENTOLINE_ECR_REPOSITORY and BENTOLINE_ECR_HOST; for EC2
        BENTOLINE_CODEDEPLOY_APPLICATION, BENTOLINE_CODEDEPLOY_GROUP and BENTOLINE_RELEASES_BUCKET;
        for App Runner BENTOLINE_APPRUNNER_SERVICE.
        """
        certificates = environ.get("PIP_CERT", "")
        return cls(
            base=environ.get("BENTOLINE_BASE_IMAGE", ""),
            certificates=certificates if Path(certificates).is_file() else "",
            repository=environ.get("BENTOLINE_ECR_REPOSITORY") or REPOSITORY,
            registry_host=environ.get("BENTOLINE_ECR_HOST", ""),
            application=environ.get("BENTOLINE_CODEDEPLOY_APPLICATION") or APPLICATION,
            group=environ.get("BENTOLINE_CODEDEPLOY_GROUP") or GROUP,
            bucket=environ.get("BENTOLINE_RELEASES_BUCKET", ""),
            service=environ.get("BENTOLINE_APPRUNNER_SERVICE") or SERVICE,
        )
