"""A small server that speaks App Runner's protocol, since moto does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ARN = "arn:aws:apprunner:us-east-1:123456789012:service/bentoline/0"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/bentoline@sha256:" + "a" * 64
BEFORE = IMAGE.replace("a" * 64, "b" * 64)


class AppRunner(ThreadingHTTPServer):
    """One service on the second page of two; its operation's states come one by one."""

    def __init__(self, states=("SUCCEEDED",), status="RUNNING", version="v2", source=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.states, self.version, self.asked = list(states), version, []
        self.service = {
            "ServiceName": "bentoline",
            "ServiceArn": ARN,
            "ServiceUrl": self.address,
            "Status": status,
            "SourceConfiguration": source
            or {
                "ImageRepository": {
                    "ImageIdentifier": BEFORE,
                    "ImageRepositoryType": "ECR",
                    "ImageConfiguration": {"Port": "8000"},
                },
                "AuthenticationConfiguration": {
                    "AccessRoleArn": "arn:aws:iam::123456789012:role/pull"
                },
            },
        }

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, call, given):
        self.asked.append((call, given))
        if call == "ListServices" and "NextToken" not in given:
            return {"ServiceSummaryList": [], "NextToken": "more"}
        if call == "ListServices":
            return {"ServiceSummaryList": [{"ServiceName": "bentoline", "ServiceArn": ARN}]}
        if call == "UpdateService":
            if self.states == ["busy"]:
                return {"__type": "InvalidStateException", "Message": "in progress"}
            return {"Service": self.service, "OperationId": "op"}
        if call == "ListOperations":
            state = self.states.pop(0)
            shown = [{"Id": "op", "Status": state}] if state else []
            return {"OperationSummaryList": [{"Id": "other", "Status": "FAILED"}, *shown]}
        return {"Service": self.service}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.say(self.server.answer(self.headers["X-Amz-Target"].partition(".")[2], given))

    def do_GET(self):
        assert self.path == "/readyz"
        self.say({"status": "ready", "model_version": self.server.version})

    def say(self, content):
        body = json.dumps(content).encode()
        self.send_response(400 if "__type" in content else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def app_runner(*states: str, **how: Any) -> Iterator[AppRunner]:
    """Serve the loopback until the block ends."""
    with AppRunner(states or ("SUCCEEDED",), **how) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
