"""What turns a model's raw answer into what people read: calibration, threshold, interval.

Fitted once by `tabular.calibration`, stored in the bundle, applied in training, batch and service.
Needs numpy and pydantic only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from tabular.contract import Frozen

Floats = npt.NDArray[np.float64]

# A float32 probability nearer than this to 0 or 1 has no log-odds worth the name.
MIN_PROBABILITY = 1e-7
# exp of more is no float.
MAX_EXPONENT = 709.0


class Decision(Frozen):
    """The fitted part after the graph.

    `task` repeats the words of `tabular.problem.Task`, which needs YAML and so cannot serve.
    `positive` is the place of the positive class in `classes`, for task binary only. `knots_x` and
    `knots_y` are the isotonic steps; `slope` and `intercept` act on log-odds.
    """

    task: Literal["binary", "multiclass", "regression"]
    classes: tuple[str, ...] = ()
    positive: int | None = None
    calibration: Literal["none", "sigmoid", "isotonic"] = "none"
    knots_x: tuple[float, ...] = ()
    knots_y: tuple[float, ...] = ()
    slope: float = 1.0
    intercept: float = 0.0
    threshold: float | None = None
    interval_level: float | None = None
    interval_half_width: float | None = None
    unit: str = ""

    @model_validator(mode="after")
    def _parts_fit_the_task(self) -> Decision:
        is_binary = self.task == "binary"
        if is_binary and (self.positive not in (0, 1) or self.threshold is None):
            raise ValueError("task binary needs positive 0 or 1 and a threshold")
        if not is_binary and self.calibration != "none":
            raise ValueError("calibration is for task binary")
        if len(self.knots_x) != len(self.knots_y) or (
            (self.calibration == "isotonic") != bool(self.knots_x)
        ):
            raise ValueError("knots_x and knots_y are of one length and go with isotonic")
        return self

    @cached_property
    def _knots(self) -> tuple[Floats, Floats]:
        return np.array(self.knots_x), np.array(self.knots_y)

    def calibrate(self, raw: npt.NDArray[Any]) -> Floats:
        """Calibrate a raw answer.

        Args:
            raw: (n, n_classes) probabilities or (n, 1) values, any float type. Not changed.

        Returns:
            The same shape in float64; rows of a binary answer sum to 1.
        """
        answer = np.asarray(raw, dtype=np.float64)
        if self.calibration == "none" or self.positive is None:
            return answer
        positive = self._calibrate_positive(answer[:, self.positive])
        calibrated = np.empty((len(positive), 2))
        calibrated[:, self.positive] = positive
        calibrated[:, 1 - self.positive] = 1 - positive
        return calibrated

    def _calibrate_positive(self, p: Floats) -> Floats:
        if self.calibration == "isotonic":
            return np.interp(p, *self._knots)
        odds = log_odds(p)
        return np.asarray(1 / (1 + np.exp(-(self.slope * odds + self.intercept))))

    def labels(self, calibrated: Floats) -> npt.NDArray[np.int64]:
        """The place in `classes` of each of n calibrated answers (n, n_classes)."""
        if self.positive is None or self.threshold is None:
            return np.asarray(calibrated.argmax(axis=1), dtype=np.int64)
        is_positive = calibrated[:, self.positive] >= self.threshold
        return np.where(is_positive, self.positive, 1 - self.positive)

    def calibrate_row(self, raw: Sequence[float]) -> Sequence[float]:
        """What `calibrate` does for one row's answer, in plain Python: arrays of one are slow."""
        if self.calibration == "none" or self.positive is None:
            return raw
        p = raw[self.positive]
        if self.calibration == "isotonic":
            p = float(np.interp(p, *self._knots))
        else:
            clipped = min(max(p, MIN_PROBABILITY), 1 - MIN_PROBABILITY)
            odds = self.slope * math.log(clipped / (1 - clipped)) + self.intercept
            p = 1 / (1 + math.exp(-odds)) if odds > -MAX_EXPONENT else 0.0
        return (1 - p, p) if self.positive == 1 else (p, 1 - p)

    def label_of_row(self, calibrated: Sequence[float]) -> int:
        """What `labels` does for one row."""
        if self.positive is None or self.threshold is None:
            return max(range(len(calibrated)), key=calibrated.__getitem__)
        is_positive = calibrated[self.positive] >= self.threshold
        return self.positive if is_positive else 1 - self.positive

    def interval(self, values: Floats) -> tuple[Floats, Floats] | None:
        """Low and high end of the conformal interval around each value, or None where unfitted."""
        if self.interval_half_width is None:
            return None
        return values - self.interval_half_width, values + self.interval_half_width


def log_odds(p: Floats) -> Floats:
    """The log-odds of probabilities, finite at 0 and 1 too."""
    clipped = np.clip(p, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return np.asarray(np.log(clipped / (1 - clipped)))
