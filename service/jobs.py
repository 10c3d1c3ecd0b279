"""POST /train: one training run at a time, in the background, for who has the token.

HOME/jobs/lock         held by the running job itself, so that every worker sees it
HOME/jobs/running      its id
HOME/jobs/ID/log       what it printed
HOME/jobs/ID/exit      its exit code, once it has ended
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import secrets
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from service.errors import RequestError, json_text, overloaded
from service.http import JSON, Answer, Request, Route, json_answer
from service.settings import ROOT, Settings
from service.tokens import check_token

LOG_TAIL_BYTES = 8_000
FORWARD_TIMEOUT_S = 10.0
OUTCOMES = {0: "done", 1: "refused"}
# The job runs at the lowest priority: predictions keep their speed. It leaves its exit code behind
# even where the worker that started it has gone.
WRAPPER = 'cd "$1"; shift; folder="$1"; shift; nice -n 19 "$@"; echo $? > "$folder/exit"'

_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")


class Jobs:
    """Training jobs of a deployment; workers share them through the files."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.token.encode()
        self._problem = settings.problem
        self._trainer = settings.trainer
        self._folder = settings.home / "jobs"

    def routes(self) -> dict[str, Route]:
        """None without a token, or where nothing can train."""
        has_trainer = bool(self._trainer) or (ROOT / "run.py").is_file()
        if not self._token or not has_trainer:
            return {}
        start, look = Route("train", {"POST": self.start}), Route("train", {"GET": self.look})
        return {"/train": start, "/training": start, "/train/*": look, "/training/*": look}

    async def start(self, request: Request) -> Answer:
        """202 with the job's id; 409 with the running job's id.

        Raises:
            RequestError: No or another token.
        """
        check_token(self._token, request)
        if self._is_elsewhere:
            return await asyncio.to_thread(self._forward, "POST", "")
        return await asyncio.to_thread(self._start)

    async def look(self, request: Request) -> Answer:
        """The state of a job, and the end of what it printed.

        Raises:
            RequestError: No or another token, or no such job.
        """
        check_token(self._token, request)
        job = request.path.rpartition("/")[2]
        if not _ID.fullmatch(job):
            raise _no_job()
        if self._is_elsewhere:
            return await asyncio.to_thread(self._forward, "GET", f"/{job}")
        return await asyncio.to_thread(self._look, job)

    @property
    def _is_elsewhere(self) -> bool:
        return self._trainer.startswith(("http://", "https://"))

    def _start(self) -> Answer:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return json_answer({"id": self._running(), "state": "running"}, 409)
            job = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"
            folder = self._folder / job
            folder.mkdir()
            (self._folder / "running").write_text(job)
            with (folder / "log").open("wb") as log:
                job_process = subprocess.Popen(  # noqa: S603  # the deployment's own command, no word of a client
                    ["/bin/sh", "-c", WRAPPER, "job", str(ROOT), str(folder), *self._command()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(lock.fileno(),),  # the lock is free when the job has ended
                )
        threading.Thread(target=job_process.wait, daemon=True).start()  # else it stays a zombie
        headers = ((b"location", f"/train/{job}".encode()),)
        return json_answer({"id": job, "state": "running"}, 202, headers)

    def _command(self) -> list[str]:
        if self._trainer:
            return shlex.split(self._trainer)
        return [sys.executable, str(ROOT / "run.py"), "--train", "--problem", self._problem]

    def _running(self) -> str:
        try:
            return (self._folder / "running").read_text()
        except FileNotFoundError:  # it is just starting
            return ""

    def _look(self, job: str) -> Answer:
        folder = self._folder / job
        try:
            with (folder / "log").open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                tail = file.read().decode("utf-8", "replace")
        except FileNotFoundError as error:
            raise _no_job() from error
        content: dict[str, Any] = {"id": job, **self._state(folder), "log": json_text(tail)}
        return json_answer(content)

    def _state(self, folder: Path) -> dict[str, Any]:
        try:
            code = int((folder / "exit").read_text() or -1)
        except FileNotFoundError:
            is_running = self._running() == folder.name and self._is_locked()
            return {"state": "running" if is_running else "lost", "exit_code": None}
        return {"state": OUTCOMES.get(code, "failed"), "exit_code": code}

    def _is_locked(self) -> bool:
        with (self._folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _forward(self, method: str, path: str) -> Answer:
        """Hand the request, with the token, to the service that trains."""
        import urllib.error  # few deployments need the 50 ms that these take
        import urllib.request

        request = urllib.request.Request(  # noqa: S310  # http or https, as the deployment named it
            self._trainer.rstrip("/") + path,
            method=method,
            headers={"Authorization": f"Bearer {self._token.decode()}"},
            data=b"" if method == "POST" else None,
        )
        try:
            with urllib.request.urlopen(request, timeout=FORWARD_TIMEOUT_S) as answer:  # noqa: S310
                return Answer(answer.status, answer.read(), JSON)
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), JSON)
        except OSError as error:
            raise overloaded("the service that trains does not answer") from error


def _no_job() -> RequestError:
    return RequestError(404, "not_found", "there is no such job here.")
