"""What CodeDeploy hands a host: the hooks, the code behind them, and what the release must do."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

from deploy.host.settings import GOLDEN, RELEASE
from deploy.image import Release
from deploy.smoke import golden_answers
from tabular.bundle import Bundle
from tabular.contract import Frozen
from tabular.serving import Serving

HERE = Path(__file__).parent
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same content gives the same zip, whenever it is made
SHORT = 12


class Revision(Frozen):
    """A zip, and where it belongs in the bucket: named by its content, never written twice."""

    key: str
    content: bytes


def pack(release: Release, image: str, bundle: Bundle, *, region: str) -> Revision:
    """Pack the revision of one image.

    Args:
        release: What it is called.
        image: Its full name by digest, as a host pulls it.
        bundle: What is in it; its golden rows go along with its answers.
        region: Of the ECR that has it.

    Raises:
        RefusedError: The bundle has no golden rows.
    """
    serving = Serving.model_validate(bundle.manifest.get("serving") or {})
    facts = {
        "problem": release.problem,
        "image": image,
        "region": region,
        "port": serving.port,
        "max_latency_ms": serving.max_latency_ms,
    }
    files = {
        **_files(HERE / "codedeploy", ""),
        **_files(HERE / "host", "host/"),
        RELEASE: _dumped(facts),
        GOLDEN: _dumped(golden_answers(bundle)),
    }
    content = _zipped(files)
    digest = hashlib.sha256(content).hexdigest()[:SHORT]
    return Revision(key=f"{release.problem}/{release.tag}-{digest}.zip", content=content)


def _files(folder: Path, prefix: str) -> dict[str, bytes]:
    return {
        f"{prefix}{file.relative_to(folder).as_posix()}": file.read_bytes()
        for file in folder.rglob("*")
        if file.suffix in (".yml", ".sh", ".py")
    }


def _dumped(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()


def _zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = (0o755 if name.endswith(".sh") else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    return stream.getvalue()
