"""A BentoML service without a model: what `bentoml serve` itself takes to start."""

from __future__ import annotations

import bentoml


@bentoml.service(name="empty")
class Empty:
    """Answers what it is given."""

    @bentoml.api
    def echo(self, number: int) -> int:
        """The number."""
        return number
