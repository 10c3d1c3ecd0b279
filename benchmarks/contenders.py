"""The service and its peers, all serving the same model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.servers import BIN, Server, running

OURS = "bentoline"
SKLEARN = "FastAPI + scikit-learn"
ONNX = "FastAPI + onnxruntime"
BENTO = "BentoML + scikit-learn"
FLOOR = "bare uvicorn + onnxruntime"
EMPTY = "an empty BentoML service"

UVICORN = [str(BIN / "uvicorn"), "--port", "{port}", "--no-access-log", "--log-level", "warning"]
BENTOML = [str(BIN / "bentoml"), "serve", "--port", "{port}"]
PEERS = {
    SKLEARN: ([*UVICORN, "benchmarks.peers.fastapi_sklearn:app"], "/docs"),
    ONNX: ([*UVICORN, "benchmarks.peers.fastapi_onnx:app"], "/docs"),
    BENTO: ([*BENTOML, "benchmarks.peers.bento_sklearn:Plain"], "/readyz"),
    FLOOR: ([*UVICORN, "--lifespan", "off", "benchmarks.peers.floor:app"], ""),
}


@contextmanager
def service(
    registry: Path,
    problem: str,
    scratch: Path,
    *,
    workers: int = 1,
    cpu: int | None = None,
    log: str = "off",
) -> Iterator[Server]:
    """`bentoml serve` as an image starts it, following a registry; `log` is where it logs."""
    environment = {
        "BENTOLINE_REGISTRY": str(registry),
        "BENTOLINE_PROBLEM": problem,
        "BENTOLINE_WORKERS": str(workers),
        "BENTOLINE_PREDICTION_LOG": log,
        "BENTOML_HOME": str(scratch / f"bentoml-{workers}-{Path(log).name}"),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    name = OURS if workers == 1 else f"{OURS}, {workers} workers"
    with running(name, BENTOML, environment, ready="/readyz", cpu=cpu) as server:
        yield server


@contextmanager
def empty(scratch: Path) -> Iterator[Server]:
    """`bentoml serve` of a service that has nothing to load."""
    command = [*BENTOML, "benchmarks.peers.bento_empty:Empty"]
    environment = {"BENTOML_HOME": str(scratch / "bentoml-empty"), "BENTOML_DO_NOT_TRACK": "true"}
    with running(EMPTY, command, environment, ready="/readyz") as server:
        yield server


@contextmanager
def everybody(
    registry: Path, problem: str, scratch: Path, cpu: int | None
) -> Iterator[list[Server]]:
    """All of them at once, on one core, ours with its log on; the peers' model is scratch/peer."""
    with ExitStack() as stack:
        ours = service(registry, problem, scratch, cpu=cpu, log=str(scratch / "log"))
        servers = [stack.enter_context(ours)]
        for place, (name, (command, ready)) in enumerate(PEERS.items()):
            environment = {
                "PEER_MODEL": str(scratch / "peer"),
                "BENTOML_HOME": str(scratch / f"bentoml-peer-{place}"),
                "BENTOML_DO_NOT_TRACK": "true",
            }
            many = "/predict" if name == FLOOR else "/batch"
            server = running(name, command, environment, ready=ready, cpu=cpu, many=many)
            servers.append(stack.enter_context(server))
        yield servers
