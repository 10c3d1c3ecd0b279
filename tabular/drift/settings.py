"""What a YAML says of watching a model: when it alarms, and when it trains again by itself."""

from __future__ import annotations

from pydantic import Field

from tabular.contract import Frozen
from tabular.settings import Share


class Effects(Frozen):
    """By how much a column must move before it is worth a word, however many rows say so."""

    distribution: float = Field(default=0.2, gt=0)
    """Population stability index."""
    shift: float = Field(default=0.2, gt=0)
    """Wasserstein distance in standard deviations of the training rows."""
    raw_shift: float = Field(default=1.0, gt=0)
    """The same of a number that only derivations read."""
    missing: Share = 0.05
    """Change of the share of rows without a value."""
    unseen: Share = 0.02
    """Share of rows with a category that training never saw."""
    range: Share = 0.02
    """Share of rows with a number outside what training saw, or the contract allows."""
    unreadable: Share = 0.01
    """Share of rows with a value that is not of the column's type."""


class Monitor(Frozen):
    """How a window of answered rows is held against the training rows."""

    min_rows: int = Field(default=300, ge=50)
    """Fewer rows allow no verdict."""
    min_labels: int = Field(default=200, ge=20)
    """Fewer rows with a known outcome say nothing of the model's metrics."""
    false_alarm_share: Share = 0.02
    """Of windows in which nothing changes, at most this share may alarm."""
    effects: Effects = Effects()
    """What is worth a word."""
    evidently_rows: int = Field(default=5_000, ge=0, le=100_000)
    """Rows in Evidently's report; 0 writes none."""


class Retrain(Frozen):
    """When `--monitor --retrain` trains, and how often it may."""

    performance: bool = True
    """Where a live metric misses its gate, its whole 95 % interval."""
    drift: bool = True
    """Where an important column drifts and outcomes are missing that would say whether it hurts."""
    min_importance: float = Field(default=0.05, ge=0, le=1)
    """From this share of all importances on a column is important."""
    max_age_days: float | None = Field(default=None, gt=0)
    """Where the version in production is older; never if left out."""
    min_new_rows: int | None = Field(default=None, ge=1)
    """Where so many outcomes came in since it was trained; never if left out."""
    cooldown_hours: float = Field(default=24.0, ge=0)
    """From one start to the next."""
    max_runs: int = Field(default=4, ge=1)
    """Starts within `per_days`, whatever became of them."""
    per_days: float = Field(default=30.0, gt=0)
    """The time that `max_runs` counts in."""
