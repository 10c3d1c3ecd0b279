"""Where a command works: the folders and stores that the environment names, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """`root` holds the project's code and configs, `home` all that runs write.

    `registry` is a folder or s3://bucket/prefix; AWS_ENDPOINT_URL names an S3-compatible store,
    which boto3 reads itself. `has_mongodb` says whether MONGODB_URI is set: its value may hold a
    password, so it goes into no parameter, and `tabular.mongo` is handed it by the reading step.
    """

    root: Path
    home: Path
    registry: str
    has_mongodb: bool = False

    @classmethod
    def of(cls, root: Path, environ: Mapping[str, str]) -> Place:
        """Read BENTOLINE_HOME, BENTOLINE_REGISTRY and MONGODB_URI."""
        home = Path(environ.get("BENTOLINE_HOME") or root / ".bentoline").resolve()
        return cls(
            root=root,
            home=home,
            registry=environ.get("BENTOLINE_REGISTRY") or str(home / "registry"),
            has_mongodb=bool(environ.get("MONGODB_URI")),
        )

    @property
    def problems(self) -> Path:
        """The folder of the problems' YAML files."""
        return self.root / "configs" / "problems"
