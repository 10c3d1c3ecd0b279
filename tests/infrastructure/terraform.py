"""Terraform with its real AWS provider, offline, on a copy of deploy/terraform."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CODE = Path(__file__).parents[2] / "deploy" / "terraform"
PLUGINS = "BENTOLINE_TF_PLUGINS"
# Where people keep providers for `terraform init -plugin-dir`, the two first by Terraform itself.
FOLDERS = (
    Path.home() / ".terraform.d" / "plugins",
    Path("/usr/local/share/terraform/plugins"),
    Path("/opt/tf-plugins"),
)
PROVIDER = "registry.terraform.io/hashicorp/aws"


@dataclass(frozen=True)
class Terraform:
    """A folder where it is initialized, and the variables that it runs with."""

    cli: str
    folder: Path
    environment: dict[str, str]

    def call(self, *arguments: str) -> str:
        """Run one command to its end and return what it printed."""
        done = subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        return [self.cli, f"-chdir={self.folder}", *arguments]

    def plan(self, *variables: str) -> dict[str, Any]:
        """What would be changed, as Terraform's JSON."""
        given = [f"-var={variable}" for variable in variables]
        self.call("plan", "-input=false", "-lock=false", "-out=plan", *given)
        shown: dict[str, Any] = json.loads(self.call("show", "-json", "plan"))
        return shown


def initialized(folder: Path, environment: dict[str, str]) -> Terraform:
    """Copy the code and initialize it; skip where Terraform or its provider is not there."""
    cli = shutil.which("terraform")
    if cli is None:
        pytest.skip("terraform is not on PATH")
    plugins = next((place for place in places() if (place / PROVIDER).is_dir()), None)
    if plugins is None:
        pytest.skip(f"no AWS provider for terraform here; {PLUGINS} may name its plugin folder")
    shutil.copytree(CODE, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    own = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    own |= {**environment, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    terraform = Terraform(cli, folder, own)
    terraform.call("init", f"-plugin-dir={plugins}", "-input=false")
    return terraform


def places() -> list[Path]:
    named = os.environ.get(PLUGINS)
    return [Path(named)] if named else list(FOLDERS)


def planned(plan: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """What would be made whose type has this in its name, by address."""
    resources = plan["planned_values"]["root_module"]["resources"]
    return {
        r["address"]: r["values"] for r in resources if r["mode"] == "managed" and kind in r["type"]
    }
