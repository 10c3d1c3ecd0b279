"""What one worker process is made of."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry
from starlette.applications import Starlette

from service.app import App
from service.inner import Inner
from service.live import Live
from service.log_sink import open_sink
from service.metrics import Metrics
from service.predict import Predict
from service.prediction_log import PredictionLog
from service.routes import routes
from service.settings import Settings
from service.shadow import Shadow


def build_app(
    settings: Settings,
    build_inner: Callable[[], Starlette],
    registry: CollectorRegistry = REGISTRY,
) -> App:
    """The application of one worker; nothing is loaded before it starts."""
    live, metrics = Live(settings), Metrics(registry)
    shadow = Shadow(settings, metrics)
    log = PredictionLog(open_sink(settings), shadow, metrics)
    inner = Inner(build_inner)
    predict = Predict(live, metrics, log)
    paths = routes(live, predict, log, inner)
    return App(live, metrics, log, routes=paths, inner=inner)
