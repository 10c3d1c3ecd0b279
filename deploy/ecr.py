"""ECR: asked through AWS's SDK whether a push may be, spoken to as a registry for the bytes."""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from deploy import aws
from deploy.engine import Engine
from deploy.image import Release
from deploy.settings import Settings
from tabular.errors import ConfigError, StoreError

MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in ("docker.distribution.manifest.v2", "oci.image.manifest.v1")
)
NEEDS = "ecr:DescribeRepositories and ecr:GetAuthorizationToken"


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
        status, headers, _ = self._ask("HEAD", f"/v2/{self.name}/manifests/{tag}")
        if status == 404:
            return None
        self._check(status, tag)
        if "Docker-Content-Digest" not in headers:
            raise StoreError(f"registry {self.host}: it names no digest for {self.name}:{tag}.")
        return str(headers["Docker-Content-Digest"])

    def labels(self, digest: str) -> dict[str, str]:
        """The labels of an image, read without pulling it.

        Raises:
            ConfigError: The registry does not take the token.
            StoreError: The registry does not answer.
        """
        status, _, manifest = self._ask("GET", f"/v2/{self.name}/manifests/{digest}")
        self._check(status, digest)
        config = json.loads(manifest).get("config", {}).get("digest", "")
        status, headers, found = self._ask("GET", f"/v2/{self.name}/blobs/{config}")
        if status in (302, 307):  # to S3, by an address that is signed itself
            address = urlsplit(headers["Location"])
            path = f"{address.path}?{address.query}"
            elsewhere = Repository(f"{address.scheme}://{address.netloc}", self.name, "")
            status, _, found = elsewhere._ask("GET", path)
        self._check(status, digest)
        return dict(json.loads(found).get("config", {}).get("Labels") or {})

    def _check(self, status: int, tag: str) -> None:
        """Refuse an answer that is none."""
        if status in (401, 403):
            raise ConfigError(
                f"registry {self.host}: it refused the token for {self.name} (status {status}), "
                "which may have expired; renew your AWS credentials and run it again."
            )
        if status != 200:
            raise StoreError(
                f"registry {self.host}: it answered {status} for {self.name}:{tag}; try it later."
            )

    def _ask(self, method: str, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        is_plain = self.address.startswith("http://")
        kind = http.client.HTTPConnection if is_plain else http.client.HTTPSConnection
        connection = kind(self.host, timeout=aws.TIMEOUT_S)
        headers = {"Accept": MANIFESTS}
        if self.token:
            headers["Authorization"] = f"Basic {self.token}"
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise StoreError(
                f"registry {self.host}: it does not answer ({error}); look at the network, and "
                "BENTOLINE_ECR_HOST if you set it. Nothing was pushed."
            ) from error
        finally:
            connection.close()


def open_repository(settings: Settings) -> Repository:
    """Look the repository up in ECR and get a token for it.

    Raises:
        ConfigError: There are no credentials, they expired or are refused; there is no such
            repository, or it lets tags be overwritten.
        StoreError: AWS does not answer.
    """
    name = settings.repository
    missing = (
        f"there is no repository '{name}'; make it (aws ecr create-repository --repository-name "
        f"{name} --image-tag-mutability IMMUTABLE), or name another by BENTOLINE_ECR_REPOSITORY."
    )
    with aws.asking("ECR", NEEDS, {"RepositoryNotFoundException": missing}):
        client = aws.client("ecr")
        found = client.describe_repositories(repositoryNames=[name])
        given = client.get_authorization_token()["authorizationData"][0]
    repository = found["repositories"][0]
    if repository.get("imageTagMutability") != "IMMUTABLE":
        raise ConfigError(
            f"ECR: repository '{settings.repository}' lets tags be overwritten; set its tag "
            "immutability to IMMUTABLE (aws ecr put-image-tag-mutability)."
        )
    _, _, name = repository["repositoryUri"].partition("/")
    address = settings.registry_host or given["proxyEndpoint"]
    return Repository(address.rstrip("/"), name, given["authorizationToken"])


def pushed(repository: Repository, release: Release) -> str | None:
    """The digest of a release that an earlier, killed run pushed; None where its tag is free.

    Raises:
        ConfigError: Another image has the tag.
    """
    digest = repository.digest(release.tag)
    if digest is None or release.labels.items() <= repository.labels(digest).items():
        return digest
    raise ConfigError(
        f"registry {repository.host}: {repository.name}:{release.tag} is taken already, by "
        f"{digest} of another bundle, and a tag is never given twice; promote another version, or "
        "commit what you changed."
    )


def push(engine: Engine, image: str, repository: Repository, release: Release) -> str:
    """Push an image of this machine, unless its tag has it already, and return its digest.

    Raises:
        ConfigError: Another image has the tag.
        EngineError: The registry did not take it.
    """
    if digest := pushed(repository, release):
        return digest
    there = repository.image(release.tag)
    engine.call("tag", image, there, what=f"naming {there}")
    try:
        with logged_in(engine, repository) as own:
            own.call("push", there, what=f"pushing {there}")
    finally:
        engine.tries("rmi", there)  # the name only: the image keeps its local one
    digest = repository.digest(release.tag)
    if digest is None:
        raise StoreError(f"registry {repository.host}: {there} is not there after its push.")
    return digest


def adopt(engine: Engine, repository: Repository, release: Release, digest: str) -> str:
    """Pull what an earlier run pushed, in place of building it again, and return its id.

    Raises:
        EngineError: It cannot be pulled.
    """
    there = f"{repository.host}/{repository.name}@{digest}"
    with logged_in(engine, repository) as own:
        own.call("pull", "--quiet", there, what=f"pulling {there}")
    engine.call("tag", there, release.image, what=f"naming {release.image}")
    engine.tries("rmi", there)
    return engine.image_id(release.image)


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
