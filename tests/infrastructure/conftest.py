"""One Terraform folder, and one plan that the tests read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infrastructure.terraform import Terraform, initialized
from tests.s3 import credentials, moto


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    """Initialized; AWS is a moto of its own."""
    with moto() as endpoint:
        folder = tmp_path_factory.mktemp("terraform") / "code"
        yield initialized(folder, credentials(endpoint))


@pytest.fixture(scope="session")
def plan(terraform: Terraform) -> dict[str, Any]:
    """Everything, from nothing: with a role for GitHub, and hosts that follow the registry."""
    return terraform.plan("github_repository=someone/something", "follow_registry_of=iris")
