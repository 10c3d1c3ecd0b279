"""The model that serves: loaded, verified and warmed before it answers, then swapped in whole."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.settings import Settings
from tabular.bundle import load_bundle
from tabular.contributions import reference_row
from tabular.errors import BentolineError, BundleError
from tabular.predictor import Predictor
from tabular.registry import Registry, open_registry
from tabular.serving import Serving

ALIAS = "production"
POLL_S = 2.0
# A version that failed is tried again this much later: what failed may have been the way to it.
RETRY_S = 30.0
WARM_ROWS = (1, 2, 200)

log = logging.getLogger("bentoline.service")

_VERSION = re.compile(r"v[1-9][0-9]*")
_PATH = re.compile(r"(?:s3:/)?/(?:[^\s/:;,'\"]+/)*([^\s/:;,'\"]+)")


@dataclass(frozen=True)
class Model:
    """One version, ready to answer; `reference` is the usual row that explanations start from."""

    problem: str
    version: str
    predictor: Predictor
    serving: Serving
    reference: dict[str, Any]
    loaded_at: float


def load_model(folder: Path, problem: str, version: str, public_key: Path | None = None) -> Model:
    """Verify a bundle, answer its golden rows and warm it.

    Raises:
        BundleError: A file is missing or changed, a golden row is answered otherwise, or the bundle
            is of another problem.
    """
    bundle = load_bundle(folder, public_key)
    if bundle.manifest.get("problem") != problem:
        raise BundleError(
            f"{folder}: this is a bundle of the problem '{bundle.manifest.get('problem')}', but "
            f"'{problem}' is served; set BENTOLINE_PROBLEM."
        )
    predictor = Predictor(bundle)
    predictor.self_test()
    records = [row["record"] for row in bundle.read_json("golden.json")]
    for n_rows in WARM_ROWS if records else ():
        X = predictor.encode_records([records[n % len(records)] for n in range(n_rows)])
        predictor.predict_matrix(X)
        predictor.predict_row(X[:1])
    try:
        serving = Serving.model_validate(bundle.manifest.get("serving") or {})
    except ValidationError as error:
        raise BundleError(
            f"{folder}: the manifest's serving part does not fit this version of bentoline "
            f"({error.errors()[0]['msg']}); train the problem again."
        ) from error
    return Model(problem, version, predictor, serving, reference_row(predictor), time.time())


class Live:
    """The model of one worker, and why there is none or no newer one.

    `changed` is called with "done" or "failed" after every try to load.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.model: Model | None = None
        self.reason = f"no {ALIAS} version of {settings.problem} yet"
        self.reload_error = ""
        self.changed: Callable[[str], None] = lambda _: None
        self._registry: Registry | None = None
        self._failed = ("", 0.0)

    def start(self) -> None:
        """Load what there is now; what is wrong with it stands in `reason`, nothing is raised."""
        try:
            loaded = self._load_given() if self.settings.bundle else self._load_newer()
        except Exception as error:  # noqa: BLE001  # a worker that dies here respawns for ever
            self._note(error)
        else:
            self._swap(loaded)

    async def follow(self) -> None:
        """Watch the alias: for ever, or until the first model where that one stays."""
        while self.settings.registry and (self.settings.follows or self.model is None):
            await asyncio.sleep(POLL_S)
            try:
                loaded = await asyncio.to_thread(self._load_newer)
            except Exception as error:  # noqa: BLE001  # the version that serves goes on serving
                self._note(error)
            else:
                self._swap(loaded)

    def _load_given(self) -> Model:
        folder = self.settings.bundle
        assert folder is not None  # noqa: S101  # the caller asked
        version = folder.name if _VERSION.fullmatch(folder.name) else "unnamed"
        return load_model(folder, self.settings.problem, version, self.settings.public_key)

    def _load_newer(self) -> Model | None:
        """The alias's version, loaded; None where it serves already or there is none."""
        if self._registry is None:
            self._registry = open_registry(
                self.settings.registry, public_key=self.settings.public_key
            )
        problem = self.settings.problem
        version = self._registry.alias(problem, ALIAS)
        if version is None or (self.model and version == self.model.version):
            self._failed = ("", 0.0)
            return None
        failed, at = self._failed
        if version == failed and time.monotonic() - at < RETRY_S:
            return None
        self._failed = (version, time.monotonic())
        model = load_model(self._registry.fetch(problem, version), problem, version)
        self._failed = ("", 0.0)
        return model

    def _swap(self, model: Model | None) -> None:
        if model is None:
            if not self._failed[0]:
                self.reload_error = ""
            return
        self.model = model
        self.reason = self.reload_error = ""
        gc.freeze()  # the model is not looked through again by the collector
        log.info("serving %s %s", model.problem, model.version)
        self.changed("done")

    def _note(self, error: Exception) -> None:
        is_ours = isinstance(error, BentolineError)
        sentence = public_reason(error) if is_ours else f"unexpected {type(error).__name__}"
        if sentence != self.reload_error:  # not again every two seconds
            log.error("%s", error, exc_info=None if is_ours else error)
        if self.model is None:
            self.reason = sentence
        self.reload_error = sentence
        self.changed("failed")


def public_reason(error: Exception) -> str:
    """The sentence without the folders of this machine; the file's own name stays."""
    return _PATH.sub(r"\1", str(error))
