"""Where the environment wants the prediction log."""

from __future__ import annotations

import hashlib
import logging
import secrets
from pathlib import Path

from pydantic import ValidationError

from service.live import Model
from service.log_folder import LogFolder
from service.log_rows import Entry, LogRows
from service.log_uploads import LogUploads, SendFiles, SendRows
from service.prediction_log import Sink
from service.settings import Settings
from tabular.prediction_log.mongo_location import is_mongo
from tabular.prediction_log.settings import LogConfig
from tabular.stores.folder import FolderStore

# A row that waits here has not left the machine: a container may be gone with its disk.
UPLOAD_SEAL_S = 60.0
KEY_FILE = "log.key"

log = logging.getLogger("bentoline.service")


def open_sink(settings: Settings) -> Sink | None:
    """The sink of one worker; None where no log is kept. Nothing is written yet."""
    location = settings.prediction_log
    if not location:
        return None
    columns = _Columns(settings)
    if not (location.startswith("s3://") or is_mongo(location)):
        return LogFolder(Path(location), settings.problem, columns)
    spool = settings.home / "spool" / hashlib.sha256(location.encode()).hexdigest()[:12]
    folder = LogFolder(spool, settings.problem, columns, seal_s=UPLOAD_SEAL_S)
    send = SendRows if is_mongo(location) else SendFiles
    return LogUploads(spool, folder, location, send(spool, location))


class _Columns:
    """How entries become columns, kept until another version serves."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._model: Model | None = None
        self._rows: LogRows | None = None

    def __call__(self, entry: Entry) -> LogRows:
        if self._rows is None or self._model is not entry.model:
            self._model = entry.model
            self._rows = LogRows(entry.model, _config(entry.model), self._key(entry.model))
        return self._rows

    def _key(self, model: Model) -> bytes:
        is_needed = any(c.sensitive for c in model.predictor.contract.inputs().values())
        if self._settings.log_key or not is_needed:
            return self._settings.log_key
        return own_key(self._settings.home)


def _config(model: Model) -> LogConfig:
    """The bundle's; the defaults, which hash, for one of another version of bentoline."""
    try:
        return LogConfig.model_validate(model.predictor.bundle.manifest.get("log") or {})
    except ValidationError:
        log.warning(
            "%s: its log part is not known here; sensitive columns are hashed", model.version
        )
        return LogConfig()


def own_key(home: Path) -> bytes:
    """This home's key for hashes of sensitive values; made at the first call.

    Raises:
        StoreError: It cannot be written.
    """
    if FolderStore(home).create(KEY_FILE, secrets.token_hex(32).encode()):
        (home / KEY_FILE).chmod(0o600)
    return (home / KEY_FILE).read_bytes()
