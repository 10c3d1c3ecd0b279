"""ECR: asked through AWS's SDK whether a push may be, spoken to as a registry for the bytes."""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.engine import Engine
from deploy.settings import Settings
from tabular.errors import ConfigError, StoreError

TIMEOUT_S = 10
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in ("docker.distribution.manifest.v2", "oci.image.manifest.v1")
)
EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
REFUSED = (
    "AccessDenied", "AccessDeniedException", "AuthFailure", "InvalidClientTokenId",
    "InvalidSignatureException", "SignatureDoesNotMatch", "UnauthorizedOperation",
    "UnrecognizedClientException",
)  # fmt: skip


@dataclass(frozen=True)
class Repository:
    """One repository of a registry, with a token that is good for some hours.

    `address` is scheme and host. `token` is base64 of USER:PASSWORD.
    """

    address: str
    name: str
    token: str = field(repr=False)

    @property
    def host(self) -> str:
        """Host and port, as an image's name begins with them."""
        return urlsplit(self.address).netloc

    def image(self, tag: str) -> str:
        """An image's name there."""
        return f"{self.host}/{self.name}:{tag}"

    def digest(self, tag: str) -> str | None:
        """The digest of a tag, None where no image has it.

        Raises:
            ConfigError: The registry does not take the token.
            StoreError: The registry does not answer.
        """
        status, headers = self._head(f"/v2/{self.name}/manifests/{tag}")
        if status == 404:
            return None
        if status in (401, 403):
            raise ConfigError(
                f"registry {self.host}: it refused the token for {self.name} (status {status}), "
                "which may have expired; renew your AWS credentials and run it again."
            )
        if status != 200 or "Docker-Content-Digest" not in headers:
            raise StoreError(
                f"registry {self.host}: it answered {status} for {self.name}:{tag}; try it later."
            )
        return str(headers["Docker-Content-Digest"])

    def _head(self, path: str) -> tuple[int, http.client.HTTPMessage]:
        is_plain = self.address.startswith("http://")
        kind = http.client.HTTPConnection if is_plain else http.client.HTTPSConnection
        connection = kind(self.host, timeout=TIMEOUT_S)
        try:
            headers = {"Authorization": f"Basic {self.token}", "Accept": MANIFESTS}
            connection.request("HEAD", path, headers=headers)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise StoreError(
                f"registry {self.host}: it does not answer ({error}); look at the network, and "
                "BENTOLINE_ECR_HOST if you set it. Nothing was pushed."
            ) from error
        else:
            return answer.status, answer.headers
        finally:
            connection.close()


def open_repository(settings: Settings) -> Repository:
    """Look the repository up in ECR and get a token for it.

    Raises:
        ConfigError: There are no credentials, they expired or are refused; there is no such
            repository, or it lets tags be overwritten.
        StoreError: AWS does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = _client()
        found = client.describe_repositories(repositoryNames=[settings.repository])
        given = client.get_authorization_token()["authorizationData"][0]
    except ClientError as error:
        raise _refused(error.response["Error"], settings.repository) from error
    except BotoCoreError as error:
        raise _unreachable(error) from error
    repository = found["repositories"][0]
    if repository.get("imageTagMutability") != "IMMUTABLE":
        raise ConfigError(
            f"ECR: repository '{settings.repository}' lets tags be overwritten; set its tag "
            "immutability to IMMUTABLE (aws ecr put-image-tag-mutability)."
        )
    _, _, name = repository["repositoryUri"].partition("/")
    address = settings.registry_host or given["proxyEndpoint"]
    return Repository(address.rstrip("/"), name, given["authorizationToken"])


def check_tag(repository: Repository, tag: str) -> None:
    """Refuse a tag that an image has already.

    Raises:
        ConfigError: It is taken.
    """
    if digest := repository.digest(tag):
        raise ConfigError(
            f"registry {repository.host}: {repository.name}:{tag} is taken already, by {digest}, "
            "and a tag is never given twice; promote another version, commit what you changed, or "
            "delete it (aws ecr batch-delete-image) where a deployment died after its push."
        )


def push(engine: Engine, image: str, repository: Repository, tag: str) -> str:
    """Push an image of this machine under a free tag, and return its digest.

    Raises:
        ConfigError: The tag is taken.
        EngineError: The registry did not take it.
    """
    check_tag(repository, tag)
    there = repository.image(tag)
    engine.call("tag", image, there, what=f"naming {there}")
    try:
        with logged_in(engine, repository) as own:
            own.call("push", there, what=f"pushing {there}")
    finally:
        engine.tries("rmi", there)  # the name only: the image keeps its local one
    digest = repository.digest(tag)
    if digest is None:
        raise StoreError(f"registry {repository.host}: {there} is not there after its push.")
    return digest


def verify(engine: Engine, image_id: str, repository: Repository, digest: str) -> None:
    """Pull by digest, and hold what came against the image that was tested.

    Raises:
        StoreError: The registry gives another image.
        EngineError: It cannot be pulled.
    """
    there = f"{repository.host}/{repository.name}@{digest}"
    with logged_in(engine, repository) as own:
        own.call("pull", "--quiet", there, what=f"pulling {there}")
    pulled = engine.image_id(there)
    engine.tries("rmi", there)
    if pulled != image_id:
        raise StoreError(
            f"registry {repository.host}: {there} is the image {pulled}, but {image_id} was "
            "tested; delete it there, and find out who else pushes."
        )


@contextmanager
def logged_in(engine: Engine, repository: Repository) -> Iterator[Engine]:
    """The engine with the token, in a folder that is gone afterwards: the user's stays as it is."""
    with tempfile.TemporaryDirectory(prefix="bentoline-") as folder:
        auths = {"auths": {repository.host: {"auth": repository.token}}}
        (Path(folder) / "config.json").write_text(json.dumps(auths), encoding="utf-8")
        yield engine.with_config(Path(folder))


def _client() -> Any:
    from boto3.session import Session
    from botocore.config import Config

    limits = Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"max_attempts": 2})
    return Session().client("ecr", config=limits)


def _refused(error: Mapping[str, Any], repository: str) -> ConfigError:
    code = error.get("Code", "")
    if code == "RepositoryNotFoundException":
        return ConfigError(
            f"ECR: there is no repository '{repository}'; make it (aws ecr create-repository "
            f"--repository-name {repository} --image-tag-mutability IMMUTABLE), or name another by "
            "BENTOLINE_ECR_REPOSITORY."
        )
    if code in EXPIRED:
        return ConfigError("ECR: your AWS credentials expired; renew them and run it again.")
    if code in REFUSED:
        return ConfigError(
            f"ECR: your AWS credentials are refused ({code}); they need "
            "ecr:DescribeRepositories and ecr:GetAuthorizationToken."
        )
    return ConfigError(
        f"ECR: it refused what was asked ({code}: {error.get('Message', '')[:200]})."
    )


def _unreachable(error: Exception) -> ConfigError | StoreError:
    from botocore import exceptions

    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return ConfigError(
            "ECR: there are no AWS credentials; log in (aws sso login), or set AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY."
        )
    if isinstance(error, exceptions.NoRegionError):
        return ConfigError("ECR: no AWS region is named; set AWS_DEFAULT_REGION.")
    if isinstance(error, exceptions.TokenRetrievalError | exceptions.SSOTokenLoadError):
        return ConfigError("ECR: your AWS session expired; log in again (aws sso login).")
    return StoreError(f"ECR: AWS does not answer ({str(error)[:200]}); try again later.")
