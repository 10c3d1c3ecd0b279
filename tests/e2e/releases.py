"""Releases that are right, and such as must never serve, on two hosts under CodeDeploy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3

from deploy import ec2, ecr
from deploy.ec2 import Rollout
from deploy.engine import Engine
from deploy.image import Release
from deploy.revision import Revision, pack
from deploy.settings import Settings
from tabular.bundle import Bundle
from tests.e2e.codedeploy import CodeDeploy, serving
from tests.e2e.hosts import Machine, machine

PROBLEM = "tiny"
BUCKET = "releases"
BASE = "bentoline:of-releases"
COMMIT = "0123456789ab"
RIGHT, WRONG, SILENT, ENDING, SLOW = "right", "wrong answers", "never ready", "ends", "slow"
# By what is bad: what the image of the service does beside that of a right release. WRONG is right,
# and its revision expects the answers of another model.
CHANGES = {
    SILENT: 'ENTRYPOINT ["sleep", "600"]',
    ENDING: 'ENTRYPOINT ["false"]',
    SLOW: "COPY slow.py /tmp/slow.py\nUSER 0\n"
    "RUN cat /tmp/slow.py >> /bento/src/service/predict.py\nUSER 10001:10001",
}
SLOWER = """

_quick = Predict.__call__


async def _slow(self, request):
    await asyncio.sleep(0.6)
    return await _quick(self, request)


Predict.__call__ = _slow
"""


@dataclass(frozen=True)
class Kinds:
    """What releases are made of: an image, what is changed in it, and what is expected of it."""

    image: str
    bundles: dict[str, Bundle]
    changes: dict[str, str]


@dataclass
class Releases:
    """Makes releases of one built image and rolls them out."""

    engine: Engine
    kinds: Kinds
    repository: ecr.Repository
    settings: Settings
    folder: Path
    machines: list[Machine]
    codedeploy: CodeDeploy
    made: dict[str, str] = field(default_factory=dict)  # by image: what is bad about it

    def revision(self, number: int, kind: str = RIGHT) -> tuple[Revision, str]:
        """Build, push and pack a release; the revision, and the image by digest."""
        release = Release(problem=PROBLEM, version=f"v{number}", commit=COMMIT, bundle="ab")
        context = self.folder / f"image-{number}"
        context.mkdir()
        (context / "slow.py").write_text(SLOWER)
        (context / "Dockerfile").write_text(f"FROM {BASE}\n{self.kinds.changes.get(kind, '')}\n")
        labels = [f"--label={name}={value}" for name, value in release.labels.items()]
        self.engine.call("build", "--tag", release.image, *labels, str(context), what="building")
        digest = ecr.push(self.engine, release.image, self.repository, release)
        image = f"{self.repository.host}/{self.repository.name}@{digest}"
        self.made[image] = release.image
        bundle = self.kinds.bundles.get(kind, self.kinds.bundles[RIGHT])
        return pack(release, image, bundle, region="us-east-1"), image

    def roll_out(self, revision: Revision) -> Rollout:
        """As the step of --deploy does."""
        return ec2.roll_out(self.settings, revision)

    def serving(self) -> list[dict[str, str]]:
        """Containers and their images, by host."""
        return [one.containers(self.engine) for one in self.machines]

    def images(self) -> list[str]:
        """The images that the hosts keep, by digest."""
        listed = self.engine.call(
            "image", "ls", "--digests", "--format={{.Repository}}@{{.Digest}}",
            f"{self.repository.host}/{self.repository.name}", what="listing",
        ).splitlines()  # fmt: skip
        return sorted(image for image in set(listed) if not image.endswith("<none>"))


@contextmanager
def releases(
    engine: Engine, kinds: Kinds, environment: Mapping[str, str], folder: Path
) -> Iterator[Releases]:
    """Two hosts under CodeDeploy, and a bucket for revisions; this process's boto3 finds both.

    Args:
        engine: The engine that all hosts share.
        kinds: What is released.
        environment: Where AWS is, as the environment says it.
        folder: For everything that is written.
    """
    engine.call("tag", kinds.image, BASE, what="naming the image")
    before = dict(os.environ)
    os.environ.update(environment)
    bucket = boto3.client("s3")
    if BUCKET not in [one["Name"] for one in bucket.list_buckets()["Buckets"]]:
        bucket.create_bucket(Bucket=BUCKET)

    def fetch(revision: dict[str, dict[str, str]]) -> bytes:
        place = revision["s3Location"]
        content: bytes = bucket.get_object(Bucket=place["bucket"], Key=place["key"])["Body"].read()
        return content

    settings = Settings.of({**os.environ, "BENTOLINE_RELEASES_BUCKET": BUCKET})
    made: Releases | None = None
    try:
        with ExitStack() as stack:
            machines = [
                stack.enter_context(
                    machine(f"{name}-{os.getpid()}", folder / name, engine, dict(environment))
                )
                for name in ("first", "second")
            ]
            codedeploy = CodeDeploy([one.host for one in machines], fetch)
            os.environ["AWS_ENDPOINT_URL_CODEDEPLOY"] = stack.enter_context(serving(codedeploy))
            repository = ecr.open_repository(settings)
            made = Releases(engine, kinds, repository, settings, folder, machines, codedeploy)
            yield made
    finally:
        os.environ.clear()
        os.environ.update(before)
        engine.tries("rmi", BASE)
        for digest, name in (made.made if made else {}).items():
            engine.tries("rmi", "--force", digest)
            engine.tries("rmi", "--force", name)
