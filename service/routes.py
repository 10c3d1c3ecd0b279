"""Which path is answered by what."""

from __future__ import annotations

from service.documents import Documents
from service.explain import Explain
from service.http import Route
from service.inner import INNER, Inner
from service.jobs import Jobs
from service.labels import Labels
from service.live import Live
from service.monitored import Monitored
from service.pages import index, page_file
from service.predict import Predict
from service.prediction_log import PredictionLog
from service.versions import Versions


def routes(live: Live, predict: Predict, log: PredictionLog, inner: Inner) -> dict[str, Route]:
    """Every route by its path; `/train/*` stands for one further part."""
    settings = live.settings
    return {
        "/predict": Route("predict", {"POST": predict}),
        "/": Route("page", {"GET": index}),
        "/page/*": Route("page", {"GET": page_file}),
        "/explain": Route("explain", {"POST": Explain(predict.model)}),
        "/versions": Route("versions", {"GET": Versions(live)}),
        **Documents(live, predict.model, log).routes(),
        **Jobs(settings).routes(),
        **Labels(predict.model, log, settings.token).routes(),
        **inner.routes(),
        "/metrics": Route(INNER, {"GET": Monitored(inner, settings.home, settings.problem).get}),
    }
