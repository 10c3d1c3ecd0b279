"""The deployment pipelines, one for each target: wiring only."""

from __future__ import annotations

from deploy.image import Release
from deploy.settings import Settings
from pipelines.unlogged import unlogged
from steps.build_bento import build_bento
from steps.containerize import containerize
from steps.push import push
from steps.roll_out import roll_out
from steps.run_here import run_here
from steps.smoke_test import smoke_test
from steps.update_service import update_service
from steps.verify import verify
from steps.write_manifests import write_manifests


@unlogged()
def deployment_to_ecr(
    release: Release, settings: Settings, registry: str, root: str, home: str, public_key: str
) -> None:
    """From a published version to a tested image in ECR, its digest written down."""
    bento = build_bento(release, registry, root, home, public_key)
    image_id = containerize(bento, release, settings, root, for_registry=True)
    smoke_test(image_id, release, registry, public_key)
    digest = push(image_id, release, settings, after="smoke_test")
    verify(image_id, digest, release, settings, registry)


@unlogged()
def deployment_to_ec2(
    release: Release, settings: Settings, registry: str, root: str, home: str, public_key: str
) -> None:
    """From a published version to a verified image that serves on every host of the group."""
    bento = build_bento(release, registry, root, home, public_key)
    image_id = containerize(bento, release, settings, root, for_registry=True)
    smoke_test(image_id, release, registry, public_key)
    digest = push(image_id, release, settings, after="smoke_test")
    image = verify(image_id, digest, release, settings, registry)
    roll_out(image, release, settings, registry, public_key)


@unlogged()
def deployment_to_apprunner(
    release: Release, settings: Settings, registry: str, root: str, home: str, public_key: str
) -> None:
    """From a published version to a verified image that an App Runner service answers by."""
    bento = build_bento(release, registry, root, home, public_key)
    image_id = containerize(bento, release, settings, root, for_registry=True)
    smoke_test(image_id, release, registry, public_key)
    digest = push(image_id, release, settings, after="smoke_test")
    image = verify(image_id, digest, release, settings, registry)
    update_service(image, release, settings, registry)


@unlogged()
def deployment_to_kubernetes(
    release: Release, settings: Settings, registry: str, root: str, home: str, public_key: str
) -> None:
    """From a published version to a verified image and the manifests that a cluster runs it by."""
    bento = build_bento(release, registry, root, home, public_key)
    image_id = containerize(bento, release, settings, root, for_registry=True)
    smoke_test(image_id, release, registry, public_key)
    digest = push(image_id, release, settings, after="smoke_test")
    image = verify(image_id, digest, release, settings, registry)
    write_manifests(image, release, registry, home)


@unlogged()
def deployment_to_local(
    release: Release, settings: Settings, registry: str, root: str, home: str, public_key: str
) -> None:
    """From a published version to a tested image that serves on this machine."""
    bento = build_bento(release, registry, root, home, public_key)
    image_id = containerize(bento, release, settings, root, for_registry=False)
    smoke_test(image_id, release, registry, public_key)
    run_here(image_id, release, registry, public_key, after="smoke_test")
