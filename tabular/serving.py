"""How the service answers for a problem: of the YAML's parts, the one that a server needs too."""

from __future__ import annotations

from pydantic import Field

from tabular.contract import Frozen


class Serving(Frozen):
    """How the service answers for this problem; kept in the bundle's manifest."""

    port: int = Field(default=8000, ge=1, le=65_535)
    """Where `--serve` and the container listen."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that answer."""
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    """A request that takes longer is answered with 503."""
    max_body_bytes: int = Field(default=8_000_000, ge=1_000)
    """A longer body is refused with 413."""
    max_rows: int = Field(default=20_000, ge=1)
    """More rows in one request are refused with 413."""
    max_waiting: int = Field(default=512, ge=1)
    """With more requests waiting, the next is refused with 503."""
    max_latency_ms: float = Field(default=200.0, gt=0)
    """95 in 100 rows of an image's test must be answered within it."""
