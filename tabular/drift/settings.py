"""What a YAML says of watching a model: when it alarms, and when it trains again by itself."""

from __future__ import annotations

from pydantic import Field

from tabular.contract import Frozen
from tabular.settings import Share


class Effects(Frozen):
    """By how much a column must move before it is worth a word, however many rows say so.

    `distribution` is a population stability index, `shift` a Wasserstein distance in standard
    deviations of the training rows (`raw_shift` for a number that only derivations read). The
    others are shares of rows; `missing` is a change of one.
    """

    distribution: float = Field(default=0.2, gt=0)
    shift: float = Field(default=0.2, gt=0)
    raw_shift: float = Field(default=1.0, gt=0)
    missing: Share = 0.05
    unseen: Share = 0.02
    range: Share = 0.02
    unreadable: Share = 0.01


class Monitor(Frozen):
    """How a window of answered rows is held against the training rows."""

    min_rows: int = Field(default=300, ge=50)
    false_alarm_share: Share = 0.02
    effects: Effects = Effects()
    min_labels: int = Field(default=200, ge=20)
    evidently_rows: int = Field(default=5_000, ge=0, le=100_000)


class Retrain(Frozen):
    """When `--monitor --retrain` trains, and how often it may.

    `min_importance` is the share of all importances from which a column's drift counts. New rows
    are those whose outcome came in since the version in production was trained.
    """

    performance: bool = True
    drift: bool = True
    min_importance: float = Field(default=0.05, ge=0, le=1)
    max_age_days: float | None = Field(default=None, gt=0)
    min_new_rows: int | None = Field(default=None, ge=1)
    cooldown_hours: float = Field(default=24.0, ge=0)
    max_runs: int = Field(default=4, ge=1)
    per_days: float = Field(default=30.0, gt=0)
