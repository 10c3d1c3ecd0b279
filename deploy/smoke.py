"""The test that an image must pass before it leaves the machine."""

from __future__ import annotations

import statistics
import time
from typing import Any

from deploy.container import running, wait_ready
from deploy.engine import Engine
from deploy.host import checks
from deploy.host.checks import Connection
from deploy.host.errors import UnfitError
from tabular.bundle import Bundle
from tabular.contract import Frozen
from tabular.errors import RefusedError
from tabular.predictor import Predictor
from tabular.serving import Serving

N_REQUESTS = 200


class Smoke(Frozen):
    """What was measured of an image while it was tested."""

    ready_s: float
    p50_ms: float
    p95_ms: float
    golden_rows: int


def smoke_test(engine: Engine, image: str, bundle: Bundle) -> Smoke:
    """Start an image as in production; ask it for the golden rows and for single rows.

    Raises:
        RefusedError: It is not ready in time, answers a golden row otherwise than the bundle, or
            95 % of single rows take longer than the bundle's `serving.max_latency_ms`.
        EngineError: It could not be started.
    """
    with running(engine, image) as name:
        try:
            port, ready_s = wait_ready(engine, name)
            connection = Connection(port)
            n_rows = check_golden(connection, bundle)
            p50, p95 = _latency(connection, bundle)
        except RefusedError as error:
            raise RefusedError(f"{image}: {error} It was not let go.") from error
    return Smoke(ready_s=round(ready_s, 2), p50_ms=p50, p95_ms=p95, golden_rows=n_rows)


def check_golden(connection: Connection, bundle: Bundle) -> int:
    """Ask for the golden rows over HTTP, and return how many there are.

    Raises:
        RefusedError: An answer differs from the one that the bundle gives here.
    """
    golden = golden_answers(bundle)
    try:
        checks.check_golden(connection, golden)
    except UnfitError as error:
        raise RefusedError(str(error)) from error
    return len(golden)


def golden_answers(bundle: Bundle) -> list[dict[str, Any]]:
    """The golden rows with the bundle's own answers, once they are those that training wrote down.

    Each has a `record`, the `label` that answers it, empty for a number, and the `values`: the
    probabilities by class, or the number.

    Raises:
        RefusedError: There are none.
    """
    records = [row["record"] for row in bundle.read_json("golden.json")]
    if not records:
        raise RefusedError("its bundle has no golden rows to test it with; train it again.")
    predictor = Predictor(bundle)
    predictor.self_test()
    prediction = predictor.predict_matrix(predictor.encode_records(records))
    if prediction.labels is None or prediction.probabilities is None:
        assert prediction.values is not None  # noqa: S101  # classes or values, never neither
        said = [("", [value]) for value in prediction.values.tolist()]
    else:
        labels, shares = prediction.labels.tolist(), prediction.probabilities.tolist()
        said = list(zip(labels, shares, strict=True))
    return [
        {"record": record, "label": label, "values": values}
        for record, (label, values) in zip(records, said, strict=True)
    ]


def _latency(connection: Connection, bundle: Bundle) -> tuple[float, float]:
    """Milliseconds of half, and of 95 in 100, of single rows asked for one after the other."""
    serving = Serving.model_validate(bundle.manifest.get("serving") or {})
    records = [row["record"] for row in bundle.read_json("golden.json")]
    taken = sorted(_timed(connection, records[n % len(records)]) for n in range(N_REQUESTS))
    p50, p95 = (round(q, 2) for q in (statistics.median(taken), taken[int(len(taken) * 0.95)]))
    if p95 > serving.max_latency_ms:
        raise RefusedError(
            f"95 % of single rows took up to {p95:g} ms, and serving.max_latency_ms is "
            f"{serving.max_latency_ms:g}."
        )
    return p50, p95


def _timed(connection: Connection, record: Any) -> float:
    begun = time.perf_counter()
    status, _ = connection.ask("/predict", record)
    if status != 200:
        raise RefusedError(f"POST /predict of one golden row was answered {status}.")
    return (time.perf_counter() - begun) * 1e3
