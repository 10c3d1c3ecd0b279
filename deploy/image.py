"""A published bundle becomes an image: first a Bento, then the Dockerfile around it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.engine import Engine, reason
from deploy.settings import Settings
from tabular.bundle import Bundle, load_bundle
from tabular.contract import Frozen
from tabular.errors import ConfigError, StoreError
from tabular.registry import Registry, open_registry

NAME = "bentoline"
DIRTY = "-dirty"
BUILDS = "builds"  # the folder under home where Bentos are built
# What goes into an image besides the bundle: its tag names a commit only if these are as committed.
SOURCES = (
    "Dockerfile", "bentofile.yaml", "requirements-serve.lock", "service", "tabular",
)  # fmt: skip
SHORT = 12


class Release(Frozen):
    """One published version, built from the code of one commit.

    `bundle` is the sha256 of its manifest, which names every other file: versions of two registries
    may have the same name.
    """

    problem: str
    version: str
    commit: str
    bundle: str

    @property
    def tag(self) -> str:
        """PROBLEM-VERSION-COMMIT: never given to another image."""
        return f"{self.problem}-{self.version}-{self.commit}"

    @property
    def image(self) -> str:
        """The image's name on this machine."""
        return f"{NAME}:{self.tag}"

    @property
    def labels(self) -> dict[str, str]:
        """What the image says of itself, so that a release is known again where it was pushed."""
        return {
            "org.opencontainers.image.title": f"{NAME} {self.problem}",
            "org.opencontainers.image.version": self.version,
            "org.opencontainers.image.revision": self.commit,
            f"{NAME}.bundle": self.bundle,
        }


def release_of(registry: Registry, problem: str, version: str, root: Path) -> Release:
    """What a version is called when it is built from the checkout as it stands.

    Raises:
        ConfigError: The folder is no git checkout, or there is no such version.
    """
    bundle = registry.manifest(problem, version)["sha256"]
    return Release(problem=problem, version=version, commit=revision(root), bundle=bundle)


def released_bundle(release: Release, registry: str, public_key: str) -> Bundle:
    """The bundle of a release, verified, with the PEM file of `public_key` where it is not empty.

    Raises:
        BundleError: A file of it is missing or changed, or it is not signed as asked.
    """
    key = Path(public_key) if public_key else None
    found = open_registry(registry, public_key=key).fetch(release.problem, release.version)
    return load_bundle(found, key)


def revision(root: Path) -> str:
    """The first 12 digits of the commit that the image's sources stand at; `-dirty` where changed.

    Raises:
        ConfigError: The folder is no git checkout.
    """
    commit = _git(root, "rev-parse", f"--short={SHORT}", "HEAD")
    if commit is None:
        raise ConfigError(
            f"--deploy: {root} is no git checkout, and an image's tag names the commit that it was "
            "built from; clone the repository, or commit it once."
        )
    return f"{commit}{DIRTY}" if _git(root, "status", "--porcelain", "--", *SOURCES) else commit


def build_bento(bundle: Path, folder: Path, *, root: Path, public_key: Path | None) -> Path:
    """`bentoml build` with one bundle.

    Args:
        bundle: A whole bundle, verified while it is copied.
        folder: BentoML's home for this build; it must be new.
        root: The checkout.
        public_key: The bundle must be signed with its other half, where given.

    Returns:
        The Bento's folder.

    Raises:
        StoreError: BentoML could not build it.
    """
    own = {
        "BENTOML_HOME": str(folder),
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOLINE_BUNDLE": str(bundle),
        **({"BENTOLINE_PUBLIC_KEY": str(public_key)} if public_key else {}),
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BENTOLINE_")}
    done = subprocess.run(  # noqa: S603  # our own command, with folders of ours
        [str(Path(sys.executable).parent / "bentoml"), "build", "--output", "tag", "."],
        cwd=root,  # BentoML reads nothing outside of the folder where it runs
        env={**kept, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    tag = re.search(r"__tag__:([\w.-]+):(\S+)", done.stdout)
    if done.returncode or tag is None:
        raise StoreError(
            f"bentoml build of {bundle} failed: {reason(done.stderr or done.stdout)}. "
            "Nothing was built."
        )
    return folder / "bentos" / tag[1] / tag[2]


def build_image(
    engine: Engine, bento: Path, release: Release, *, dockerfile: Path, settings: Settings
) -> str:
    """Build the image of a Bento under the release's name and return its id.

    Raises:
        EngineError: The base image or a package could not be had, or the disk is full.
    """
    arguments = ["build", "--file", str(dockerfile), "--tag", release.image]
    if settings.base:
        arguments += ["--build-arg", f"BASE={settings.base}"]
    if settings.certificates:
        arguments += ["--secret", f"id=certificates,src={settings.certificates}"]
    for name, value in release.labels.items():
        arguments += ["--label", f"{name}={value}"]
    before = engine.inspect("image", release.image)
    engine.call(*arguments, str(bento), what=f"building {release.image}")
    image_id = engine.image_id(release.image)
    if before and before["Id"] != image_id:
        engine.tries("rmi", before["Id"])  # nameless now; it stays where a container runs it
    return image_id


def _git(root: Path, *arguments: str) -> str | None:
    """What git says, None where this is no checkout or there is no git."""
    if (git := shutil.which("git")) is None:
        return None
    done = subprocess.run(  # noqa: S603  # git, with words of ours
        [git, "-C", str(root), *arguments], capture_output=True, text=True, check=False
    )
    return None if done.returncode else done.stdout.strip()
