"""What a service must do before it may answer: be ready, be right, be quick."""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Sequence
from typing import Any

from .docker import Docker
from .errors import UnfitError

POLL_S = 0.05
N_REQUESTS = 40
SLOW_SHARE = 0.05
TOLERANCE = 1e-6  # the same graph, perhaps on another processor

Said = tuple[str, list[float]]  # the label, "" of a number; probabilities by class, or the number


class Connection:
    """One kept connection to a service of this machine."""

    def __init__(self, port: int, timeout_s: float = 10.0) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        self.headers = http.client.HTTPMessage()  # of the last answer

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """GET, or POST a body as JSON; the status and the parsed answer."""
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        self._http.request("GET" if content is None else "POST", path, content, headers)
        answer = self._http.getresponse()
        self.headers = answer.headers
        return answer.status, json.loads(answer.read())

    def close(self) -> None:
        """Let the server go."""
        self._http.close()


def readiness(port: int) -> tuple[int, dict[str, Any]]:
    """The status of /readyz, 0 where nobody answers, and the answer."""
    connection = Connection(port, timeout_s=2.0)
    try:
        return connection.ask("/readyz")
    except (OSError, http.client.HTTPException, ValueError):
        return 0, {}
    finally:
        connection.close()


def check_ready(docker: Docker, container: str, port: int, *, within_s: float) -> None:
    """Wait until a container is ready.

    Raises:
        UnfitError: It ended, says that it will not be ready, or is not in time.
    """
    begun = time.monotonic()
    while time.monotonic() - begun < within_s:
        state = docker.inspect("container", container).get("State", {})
        if not state.get("Running"):
            raise UnfitError(f"the container ended before it was ready: {docker.log(container)}.")
        status, answer = readiness(port)
        if status == 200:
            return
        if status:  # it listens, so it has tried to load its one bundle: that does not change
            raise UnfitError(f"the container is not ready: {answer.get('reason', status)}")
        time.sleep(POLL_S)
    said = docker.log(container)
    raise UnfitError(f"the container was not ready after {within_s:g} s: {said}.")


def check_golden(connection: Connection, golden: Sequence[dict[str, Any]]) -> None:
    """Ask for the golden rows, each with its `record`, `label` and `values`.

    Raises:
        UnfitError: An answer differs, or there is none.
    """
    try:
        status, answers = connection.ask("/predict", [row["record"] for row in golden])
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnfitError(f"POST /predict was not answered ({error}).") from error
    if status != 200 or len(answers) != len(golden):
        raise UnfitError(f"POST /predict of {len(golden)} golden rows was answered {status}.")
    expected = [(row["label"], row["values"]) for row in golden]
    if found := difference(answers, expected):
        raise UnfitError(found)


def difference(answers: Sequence[dict[str, Any]], expected: Sequence[Said]) -> str:
    """A sentence on the first answer that is not the expected one, empty where all are."""
    for place, (answer, right) in enumerate(zip(answers, expected)):  # noqa: B905  # Python 3.9
        found = _said(answer)
        if not _is_same(found, right):
            return f"golden row {place} is answered {found}, and the bundle says {right}."
    return ""


def check_latency(
    connection: Connection, golden: Sequence[dict[str, Any]], max_latency_ms: float
) -> None:
    """Ask for golden rows one by one; one in twenty may take longer than the limit.

    Raises:
        UnfitError: More do; the rest is not asked for then.
    """
    n_slow = 0
    for n in range(N_REQUESTS):
        begun = time.perf_counter()
        status, _ = connection.ask("/predict", golden[n % len(golden)]["record"])
        taken_ms = (time.perf_counter() - begun) * 1e3
        if status != 200:
            raise UnfitError(f"POST /predict of one golden row was answered {status}.")
        n_slow += taken_ms > max_latency_ms
        if n_slow > SLOW_SHARE * N_REQUESTS:
            raise UnfitError(
                f"{n_slow} of {n + 1} single rows took longer than serving.max_latency_ms of "
                f"{max_latency_ms:g}, the last one {taken_ms:.0f}."
            )


def _said(answer: dict[str, Any]) -> Said:
    probabilities = answer.get("probabilities")
    if probabilities:
        return answer["prediction"], list(probabilities.values())
    return "", [answer["prediction"]]


def _is_same(found: Said, expected: Said) -> bool:
    return (
        found[0] == expected[0]
        and len(found[1]) == len(expected[1])
        and all(
            math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
            for a, b in zip(found[1], expected[1])  # noqa: B905  # Python 3.9; lengths are alike
        )
    )
