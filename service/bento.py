"""The BentoML Service: what `bentoml serve` and `bentoml build` take.

BentoML imports this in its supervisor too, so that what only a worker needs is imported there.
"""

from __future__ import annotations

import os
from typing import Any

import bentoml
from _bentoml_sdk import Service
from starlette.applications import Starlette

from service.image import ServingImage
from service.settings import Settings

_settings = Settings.of(os.environ)


class Outer(Service[Any]):
    """A Service whose workers answer before BentoML's middleware (docs/adr/0015)."""

    def to_asgi(self, is_main: bool = True) -> Any:
        """A worker's application; BentoML's own lies inside."""
        from service.connections import take_connections
        from service.worker import build_app

        take_connections()

        def build_inner() -> Starlette:
            app: Starlette = super(Outer, self).to_asgi(is_main)
            return app

        return build_app(_settings, build_inner)


@bentoml.service(
    name="bentoline",
    service_class=Outer,
    image=ServingImage(settings=_settings),
    workers=_settings.workers,
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
    # Of BentoML's own routes only; ours have the problem's `serving.timeout_s`.
    traffic={"timeout": 60},
)
class Bentoline:
    """A trained problem, answered by its contract. GET /docs lists the routes."""
