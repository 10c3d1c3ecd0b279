"""What the environment says about serving, read once when a process starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tabular.errors import ConfigError
from tabular.prediction_log.location import log_location

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_PROBLEM = "vehicle_insurance"
BAKED = "bundle"  # ROOT/bundle/PROBLEM/VERSION: what `bentoml build` puts into a Bento
MAX_WORKERS = 64
# As in `tabular.bundle`, whose imports would cost BentoML's supervisor a quarter of a second.
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Settings:
    """Where the model comes from, and who may start training.

    `bundle` is the one bundle to serve for ever, `registry` where the production alias is looked
    up; one of them is given. `public_key` verifies what is loaded. `follows` says whether the alias
    is watched once a model serves. `token` and `trainer` are "" where the deployment names none.
    `prediction_log` is a folder, s3://bucket/prefix or mongodb://host/database, whose login stays
    in the environment; "" for none. `log_key` hashes what is sensitive in it, and is made in the
    home where it is empty.
    """

    problem: str
    bundle: Path | None
    registry: str
    follows: bool
    public_key: Path | None
    home: Path
    token: str
    trainer: str
    workers: int
    prediction_log: str = ""
    log_key: bytes = b""

    @classmethod
    def of(cls, environ: Mapping[str, str], root: Path = ROOT) -> Settings:
        """Read the variables BENTOLINE_PROBLEM, REGISTRY, BUNDLE, PUBLIC_KEY, HOME, TOKEN, TRAINER,
        WORKERS, PREDICTION_LOG and LOG_KEY.

        Raises:
            ConfigError: BENTOLINE_WORKERS is no number of processes, or BENTOLINE_PREDICTION_LOG no
                place for a log.
        """
        home = Path(environ.get("BENTOLINE_HOME") or root / ".bentoline").resolve()
        named = environ.get("BENTOLINE_REGISTRY", "")
        bundle = None if named else _bundle(environ, root)
        is_problem_named = bool(environ.get("BENTOLINE_PROBLEM"))
        problem = environ.get("BENTOLINE_PROBLEM") or DEFAULT_PROBLEM
        if bundle is not None and not is_problem_named:
            problem = str(_manifest(bundle).get("problem", problem))
        return cls(
            problem=problem,
            bundle=bundle,
            registry=named or ("" if bundle else str(home / "registry")),
            follows=bool(named),
            public_key=Path(key) if (key := environ.get("BENTOLINE_PUBLIC_KEY")) else None,
            home=home,
            token=environ.get("BENTOLINE_TOKEN", ""),
            trainer=environ.get("BENTOLINE_TRAINER", ""),
            workers=_workers(environ.get("BENTOLINE_WORKERS", ""), bundle),
            # Unset, an image has no log; a checkout keeps one in its home, to be looked at.
            prediction_log=log_location(
                environ.get("BENTOLINE_PREDICTION_LOG", ""),
                home if (root / "run.py").is_file() else None,
            ),
            log_key=environ.get("BENTOLINE_LOG_KEY", "").encode(),
        )


def _bundle(environ: Mapping[str, str], root: Path) -> Path | None:
    if environ.get("BENTOLINE_BUNDLE"):
        return Path(environ["BENTOLINE_BUNDLE"]).resolve()
    baked = sorted((root / BAKED).glob(f"*/*/{MANIFEST}"))
    return baked[0].parent if baked else None


def _workers(text: str, bundle: Path | None) -> int:
    if not text:
        serving = _manifest(bundle).get("serving") if bundle else None
        return int(serving.get("workers", 1)) if isinstance(serving, dict) else 1
    if not text.isdecimal() or not 1 <= int(text) <= MAX_WORKERS:
        raise ConfigError(
            f"BENTOLINE_WORKERS must be a whole number from 1 to {MAX_WORKERS}, got '{text}'."
        )
    return int(text)


def _manifest(bundle: Path) -> dict[str, object]:
    """The manifest, unverified; {} where it cannot be read: loading will say what is wrong."""
    try:
        manifest = json.loads((bundle / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}
