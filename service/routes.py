"""Which path is answered by what."""

from __future__ import annotations

from service.documents import Documents
from service.http import Route
from service.inner import Inner
from service.jobs import Jobs
from service.live import Live
from service.predict import Predict


def routes(live: Live, predict: Predict, inner: Inner) -> dict[str, Route]:
    """Every route by its path; `/train/*` stands for one further part."""
    return {
        "/predict": Route("predict", {"POST": predict}),
        **Documents(live, predict.model).routes(),
        **Jobs(live.settings).routes(),
        **inner.routes(),
    }
