"""Where a command works: the folders and stores that the environment names, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tabular.prediction_log.location import log_location

if TYPE_CHECKING:
    from tabular.registry import Registry


@dataclass(frozen=True)
class Place:
    """`root` holds the project's code and configs, `home` all that runs write.

    `registry` is a folder or s3://bucket/prefix; AWS_ENDPOINT_URL names an S3-compatible store,
    which boto3 reads itself. `has_mongodb` says whether MONGODB_URI is set: its value may hold a
    password, so it goes into no parameter, and the reading step hands it to `tabular.mongo`.
    `prediction_log` is a folder, s3://bucket/prefix or mongodb://host/database, whose login stays
    in the environment; "" where nothing is logged.
    `mlflow` is the MLflow that follows the registry, "" for none; MLflow reads its credentials
    itself. `public_key` and `signing_key` are PEM files: what is promoted must be signed with the
    other half of the one, and what is published is signed with the other.
    """

    root: Path
    home: Path
    registry: str
    has_mongodb: bool = False
    mlflow: str = ""
    prediction_log: str = ""
    public_key: Path | None = None
    signing_key: Path | None = None

    @classmethod
    def of(cls, root: Path, environ: Mapping[str, str]) -> Place:
        """Read BENTOLINE_HOME, _REGISTRY, _PREDICTION_LOG, _PUBLIC_KEY and _SIGNING_KEY, and two
        servers' addresses, MONGODB_URI and MLFLOW_TRACKING_URI.
        """
        home = Path(environ.get("BENTOLINE_HOME") or root / ".bentoline").resolve()
        return cls(
            root=root,
            home=home,
            registry=environ.get("BENTOLINE_REGISTRY") or str(home / "registry"),
            has_mongodb=bool(environ.get("MONGODB_URI")),
            mlflow=environ.get("MLFLOW_TRACKING_URI", ""),
            prediction_log=log_location(environ.get("BENTOLINE_PREDICTION_LOG", ""), home),
            public_key=_file(environ.get("BENTOLINE_PUBLIC_KEY")),
            signing_key=_file(environ.get("BENTOLINE_SIGNING_KEY")),
        )

    @property
    def problems(self) -> Path:
        """The folder of the problems' YAML files."""
        return self.root / "configs" / "problems"

    @property
    def stacks(self) -> Path:
        """The folder of the stacks' YAML files."""
        return self.root / "configs" / "stacks"

    def open_registry(self) -> Registry:
        """The registry, with the keys that versions are verified and signed with."""
        from tabular.registry import open_registry

        return open_registry(
            self.registry, public_key=self.public_key, signing_key=self.signing_key
        )


def _file(named: str | None) -> Path | None:
    return Path(named).resolve() if named else None
