"""What one worker process is made of."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry
from starlette.applications import Starlette

from service.app import App
from service.inner import Inner
from service.live import Live
from service.metrics import Metrics
from service.predict import Predict
from service.prediction_log import PredictionLog
from service.routes import routes
from service.settings import Settings


def build_app(
    settings: Settings,
    build_inner: Callable[[], Starlette],
    registry: CollectorRegistry = REGISTRY,
) -> App:
    """The application of one worker; nothing is loaded before it starts."""
    live, metrics, log = Live(settings), Metrics(registry), PredictionLog()
    inner = Inner(build_inner)
    predict = Predict(live, metrics, log)
    return App(live, metrics, log, routes=routes(live, predict, inner), inner=inner)
