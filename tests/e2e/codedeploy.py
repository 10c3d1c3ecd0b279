"""A stand-in for AWS CodeDeploy and its agent: no part of AWS, used by tests and benchmarks only.

It speaks the JSON protocol to boto3 (AWS_ENDPOINT_URL_CODEDEPLOY) as far as `--deploy` asks, and
runs the real hooks of the real revision, host by host, by the rules of the agent that AWS
publishes: ApplicationStop comes from the last successful revision of the host; a hook that is not
executable, ends otherwise than with 0, or holds its output beyond its time fails the host; the
first failing host ends the deployment, but a failing last one leaves it "Succeeded"; a failed
deployment is followed by a new one of the group's last good revision; there is one at a time.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

EVENTS = ("BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService")
STOP = "ApplicationStop"
UNDERWAY = ("Created", "InProgress")


class RefusalError(Exception):
    """An error of CodeDeploy, by its code."""


@dataclass
class Host:
    """One instance: a folder for the agent, and the environment that its agent runs in."""

    name: str
    folder: Path
    environment: dict[str, str]
    good: Path | None = None  # the archive of its last successful revision
    hook: subprocess.Popen[str] | None = None
    hooks_run: list[str] = field(default_factory=list)


@dataclass
class Deployment:
    """One deployment, and what became of each host."""

    id: str
    revision: dict[str, Any]
    creator: str
    status: str = "Created"
    message: str = ""
    rollback: str = ""
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)


class CodeDeploy:
    """One application with one group. `fetch` reads a revision's bytes from its S3 location."""

    def __init__(self, hosts: list[Host], fetch: Callable[[dict[str, Any]], bytes]) -> None:
        self.hosts = hosts
        self.deployments: list[Deployment] = []
        self.rolls_back = True
        self._fetch = fetch
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def wait(self) -> None:
        """Until no deployment runs, rollbacks included."""
        while alive := [thread for thread in self._threads if thread.is_alive()]:
            alive[0].join()

    # What boto3 asks.

    def answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer one operation."""
        known = {
            "GetDeploymentGroup": self._get_group,
            "ListDeployments": self._list,
            "CreateDeployment": self._create,
            "GetDeployment": self._get,
            "ListDeploymentTargets": self._list_targets,
            "BatchGetDeploymentTargets": self._get_targets,
        }
        return known[operation](asked)

    def _get_group(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["applicationName"] != "bentoline":
            raise RefusalError("ApplicationDoesNotExistException")
        if asked["deploymentGroupName"] != "bentoline":
            raise RefusalError("DeploymentGroupDoesNotExistException")
        info: dict[str, Any] = {
            "applicationName": "bentoline",
            "autoRollbackConfiguration": {
                "enabled": self.rolls_back,
                "events": ["DEPLOYMENT_FAILURE"],
            },
        }
        if good := self._last_good():
            info["lastSuccessfulDeployment"] = {"deploymentId": good.id, "status": good.status}
        return {"deploymentGroupInfo": info}

    def _list(self, asked: dict[str, Any]) -> dict[str, Any]:
        wanted = asked["includeOnlyStatuses"]
        return {"deployments": [one.id for one in self.deployments if one.status in wanted]}

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"deploymentId": self._begin(asked["revision"], "user").id}

    def _get(self, asked: dict[str, Any]) -> dict[str, Any]:
        one = self._find(asked["deploymentId"])
        info: dict[str, Any] = {
            "deploymentId": one.id,
            "status": one.status,
            "revision": one.revision,
            "creator": one.creator,
        }
        if one.message:
            info["errorInformation"] = {"code": "HEALTH_CONSTRAINTS", "message": one.message}
        if one.rollback:
            info["rollbackInfo"] = {"rollbackDeploymentId": one.rollback}
        return {"deploymentInfo": info}

    def _list_targets(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"targetIds": list(self._find(asked["deploymentId"]).targets)}

    def _get_targets(self, asked: dict[str, Any]) -> dict[str, Any]:
        targets = self._find(asked["deploymentId"]).targets
        found = [{"instanceTarget": targets[name]} for name in asked["targetIds"]]
        return {"deploymentTargets": found}

    # What the service does.

    def _find(self, name: str) -> Deployment:
        for one in self.deployments:
            if one.id == name:
                return one
        raise RefusalError("DeploymentDoesNotExistException")

    def _last_good(self) -> Deployment | None:
        good = [one for one in self.deployments if one.status == "Succeeded"]
        return good[-1] if good else None

    def _begin(
        self, revision: dict[str, Any], creator: str, *, after: Deployment | None = None
    ) -> Deployment:
        with self._lock:
            if any(one.status in UNDERWAY for one in self.deployments if one is not after):
                raise RefusalError("DeploymentLimitExceededException")
            one = Deployment(f"d-{len(self.deployments):09d}", revision, creator)
            self.deployments.append(one)
        thread = threading.Thread(target=self._run, args=(one,))
        self._threads.append(thread)
        thread.start()
        return one

    def _run(self, one: Deployment) -> None:
        good = self._last_good()
        one.status = "InProgress"
        for host in self.hosts:
            one.targets[host.name] = {"targetId": host.name, "status": "InProgress"}
            events = deploy(host, one.id, self._fetch, one.revision)
            is_right = all(event["status"] == "Succeeded" for event in events)
            status = "Succeeded" if is_right else "Failed"
            one.targets[host.name] |= {"status": status, "lifecycleEvents": events}
            if not is_right and host is not self.hosts[-1]:
                one.message = "Too few healthy instances are available for deployment."
                self._fail(one, good)
                return
        one.status = "Succeeded"

    def _fail(self, one: Deployment, good: Deployment | None) -> None:
        """The rollback is known before the failure is, as in AWS's own answer."""
        if good is not None and self.rolls_back and one.creator == "user":
            one.rollback = self._begin(good.revision, "codeDeployRollback", after=one).id
        one.status = "Failed"


# What the agent does on a host.


def deploy(
    host: Host, name: str, fetch: Callable[[dict[str, Any]], bytes], revision: dict[str, Any]
) -> list[dict[str, Any]]:
    """Run every event in order, up to the first that fails."""
    archive = host.folder / name / "deployment-archive"
    events = []
    if host.good is not None:
        events.append(run_hook(host, host.good, STOP, name))
    if all(event["status"] == "Succeeded" for event in events):
        unpack(fetch(revision), archive)
        for event in EVENTS:
            events.append(run_hook(host, archive, event, name))
            if events[-1]["status"] != "Succeeded":
                break
        else:
            host.good = archive
    for old in host.folder.iterdir():
        if host.good is None or old not in host.good.parents:
            shutil.rmtree(old)
    return events


def unpack(content: bytes, folder: Path) -> None:
    """Unzip with the files' modes."""
    with zipfile.ZipFile(io.BytesIO(content)) as zipped:
        for entry in zipped.infolist():
            file = Path(zipped.extract(entry, folder))
            file.chmod(entry.external_attr >> 16)


def run_hook(host: Host, archive: Path, event: str, deployment: str) -> dict[str, Any]:
    """Run the scripts of one event; its diagnostics as CodeDeploy tells them."""
    hooks = yaml.safe_load((archive / "appspec.yml").read_text())["hooks"].get(event, [])
    log, status = "", "Succeeded"
    for hook in hooks:
        host.hooks_run.append(event)
        environment = {
            **host.environment,
            "LIFECYCLE_EVENT": event,
            "DEPLOYMENT_ID": deployment,
            "APPLICATION_NAME": "bentoline",
            "DEPLOYMENT_GROUP_NAME": "bentoline",
        }
        is_right, said = run_script(host, archive / hook["location"], environment, hook["timeout"])
        log += said
        if not is_right:
            status = "Failed"
            break
    return {
        "lifecycleEventName": event,
        "status": status,
        "diagnostics": {"errorCode": "ScriptFailed", "logTail": log[-2048:]},
    }


def run_script(
    host: Host, script: Path, environment: dict[str, str], timeout_s: float
) -> tuple[bool, str]:
    """Whether a script ended with 0 and let its output go in time; and what it printed."""
    try:
        host.hook = subprocess.Popen(
            [str(script)], env=environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return False, f"[stderr]{error}\n"
    try:
        out, err = host.hook.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(host.hook.pid, signal.SIGKILL)
        return False, f"[stderr]Script at {script} did not complete within {timeout_s} s\n"
    lines = [f"[stdout]{line}" for line in out.splitlines()]
    lines += [f"[stderr]{line}" for line in err.splitlines()]
    return host.hook.returncode == 0, "".join(f"{line}\n" for line in lines)


@contextmanager
def serving(codedeploy: CodeDeploy) -> Iterator[str]:
    """Give the address where boto3 finds it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                status, answer = 200, codedeploy.answer(operation, asked)
            except RefusalError as error:
                status, answer = 400, {"__type": str(error), "message": "no"}
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            codedeploy.wait()
            server.shutdown()
