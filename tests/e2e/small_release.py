"""A service of one file in a small image, for tests of the release itself and not of the service.

It is ready at once and answers one number, so that a test can afford many releases.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.engine import Engine
from tests.e2e.checkout import ROOT

SCRIPT = ROOT / "deploy" / "codedeploy" / "release.sh"
SERVICE = """
import json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer({"status": "ready"})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(float(os.environ["DELAY_S"]))
        one = {"prediction": float(os.environ["ANSWER"])}
        self.answer([one] * len(asked) if isinstance(asked, list) else one)

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("", 8000), Service).serve_forever()
"""
DOCKERFILE = """\
FROM {base}
COPY . /service/
LABEL org.opencontainers.image.title="bentoline tiny" number={number}
ENV ANSWER=1.0 DELAY_S=0
USER 10001:10001
ENTRYPOINT {entry}
"""
RIGHT, SILENT = '["python3", "/service/service.py"]', '["sleep", "600"]'


def build_image(
    engine: Engine,
    base: str,
    name: str,
    folder: Path,
    *,
    entry: str = RIGHT,
    files: Mapping[str, bytes] | None = None,
    options: Sequence[str] = (),
) -> None:
    """Build an image of the service in a new folder."""
    folder.mkdir()
    (folder / "service.py").write_text(SERVICE)
    for file, content in (files or {}).items():
        (folder / file).write_bytes(content)
    text = DOCKERFILE.format(base=base, number=folder.name, entry=entry)
    (folder / "Dockerfile").write_text(text)
    engine.call("build", *options, "--tag", name, str(folder), what="building")


def push_image(
    engine: Engine,
    base: str,
    repository: str,
    folder: Path,
    *,
    entry: str = RIGHT,
    files: Mapping[str, bytes] | None = None,
    options: Sequence[str] = (),
) -> str:
    """Build an image, push it, forget it here, and return its name by digest."""
    name = f"{repository}:{folder.name}"
    build_image(engine, base, name, folder, entry=entry, files=files, options=options)
    engine.call("push", name, what="pushing")
    listed = engine.inspect("image", name)
    assert listed is not None
    digest = next(one for one in listed["RepoDigests"] if one.startswith(f"{repository}@"))
    engine.call("rmi", name, what="forgetting")
    return str(digest)


def command(image: str, folder: Path, **facts: Any) -> list[str]:
    """`release.sh` for an image, with the revision that goes with it."""
    revision = folder / "revision"
    revision.mkdir(exist_ok=True)
    release = {"problem": "tiny", "image": image, "max_latency_ms": 10_000, **facts}
    (revision / "release.json").write_text(json.dumps(release))
    golden = [{"record": {}, "label": "", "values": [1.0]}]
    (revision / "golden.json").write_text(json.dumps(golden))
    return [str(SCRIPT), "--revision", str(revision)]


def finished(
    given: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a release to its end."""
    return subprocess.run(
        given, env=dict(environment), capture_output=True, text=True, check=False, timeout=300
    )
