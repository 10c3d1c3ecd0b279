"""Challenger against champion: both bundles answer the same test rows, resample by resample.

The champion's own report is not asked: its numbers were measured on other rows. Rows that either of
the two was fitted on are left out. docs/adr/0009 says why it is so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tabular.bundle import FITTED_ROWS, Bundle, load_bundle
from tabular.contract import Array, Columns, Frozen
from tabular.decision import Floats
from tabular.errors import BundleError, ConfigError, listed
from tabular.evaluation import Metric, draw_weights, slice_rows, with_interval
from tabular.features import derive
from tabular.metrics import Weigh, weigher
from tabular.predictor import Predictor
from tabular.problem import Problem
from tabular.registry import open_registry
from tabular.row_hashes import hash_rows, unpacked
from tabular.settings import LOWER_IS_BETTER
from tabular.tables.frames import frame_columns

CHAMPION = "production"  # the alias that names it
MIN_RESAMPLES = 1000

Mask = npt.NDArray[np.bool_]


class Gain(Frozen):
    """How both do on the same rows. `gain` is positive where the challenger is better."""

    n_rows: int
    champion: float
    challenger: float
    gain: Metric


class SliceGain(Gain):
    """The same on the rows where one column has one value, or lies in one range."""

    column: str
    value: str


class Comparison(Frozen):
    """What the comparison found. `champion` is a version, empty where there is none yet.

    `obstacle` says why there is no gain although there is a champion; `note` says how the rows that
    decide differ from those that the champion was measured on.
    """

    metric: str
    champion: str = ""
    obstacle: str = ""
    note: str = ""
    n_left_out: int = 0
    whole: Gain | None = None
    slices: tuple[SliceGain, ...] = ()


def challenge(
    challenger: Bundle,
    test: pd.DataFrame,
    problem: Problem,
    registry: str,
    *,
    public_key: Path | None = None,
) -> Comparison:
    """Compare a bundle with the version that production names now.

    A champion that cannot be read, or does not fit the rows, is an obstacle and no error.

    Args:
        challenger: A bundle that was not published yet.
        test: (n, k) typed rows with the target. Not changed.
        problem: Its contract, and how to compare.
        registry: Where the champion is.
        public_key: A champion that it does not verify is an obstacle.
    """
    versions = open_registry(registry, public_key=public_key)
    version = versions.alias(problem.name, CHAMPION)
    metric = problem.promotion.metric or problem.search.metric
    if version is None:
        return Comparison(metric=metric)
    try:
        champion = load_bundle(versions.fetch(problem.name, version), public_key)
        return compare_bundles(challenger, champion, test, problem, version=version)
    except (BundleError, ConfigError) as error:
        return Comparison(metric=metric, champion=version, obstacle=str(error).rstrip("."))


def compare_bundles(
    challenger: Bundle, champion: Bundle, test: pd.DataFrame, problem: Problem, *, version: str
) -> Comparison:
    """Compare two bundles on the test rows that neither was fitted on.

    Args:
        challenger: Has the problem's contract.
        champion: May have another one, as long as it reads the same columns.
        test: (n, k) typed rows with the target. Not changed.
        problem: promotion.metric, evaluation (slices, bootstrap) and split.seed are read.
        version: The champion's name.

    Raises:
        BundleError: The champion cannot answer these rows, or they cannot be compared.
    """
    _refuse_unfit(champion, challenger, version)
    columns, y = frame_columns(test, problem.contract), test[problem.target.column].to_numpy()
    kept = ~(_fitted_on(challenger, columns, y) | _fitted_on(champion, columns, y))
    columns, y = {name: values[kept] for name, values in columns.items()}, y[kept]
    metric = problem.promotion.metric or problem.search.metric
    answers = [_answer(bundle, columns) for bundle in (champion, challenger)]
    parts = [("", "", np.ones(len(y), dtype=bool)), *_slices(columns, problem)]
    pairs = [
        Pair(
            rows,
            *(
                weigher(b.decision, answer[rows], y[rows], problem.evaluation, only=metric)
                for b, answer in zip((champion, challenger), answers, strict=True)
            ),
        )
        for _, _, rows in parts
    ]
    n_resamples = max(MIN_RESAMPLES, problem.evaluation.bootstrap)
    gains = paired_gains(pairs, metric, n_resamples=n_resamples, seed=problem.split.seed)
    return Comparison(
        metric=metric,
        champion=version,
        note=_note(challenger, champion, version, len(test), len(y)),
        n_left_out=len(test) - len(y),
        whole=gains[0],
        slices=tuple(
            SliceGain(column=column, value=value, **dict(gain))
            for (column, value, _), gain in zip(parts[1:], gains[1:], strict=True)
            if gain is not None
        ),
    )


@dataclass(frozen=True)
class Pair:
    """Both models' metrics as functions of weights, on some of the rows (a mask over all)."""

    rows: Mask
    champion: Weigh
    challenger: Weigh

    def scores(self, weights: Floats, metric: str) -> tuple[float, float]:
        """Champion's and challenger's metric under the weights of all rows; NaN if undefined."""
        own = weights[self.rows]
        if not own.any():  # a resample may miss a small slice altogether
            return math.nan, math.nan
        return self.champion(own)[metric], self.challenger(own)[metric]


def paired_gains(
    pairs: Sequence[Pair], metric: str, *, n_resamples: int, seed: int
) -> list[Gain | None]:
    """The gain of each pair, with a 95 % percentile interval over resamples of all rows.

    Every resample weighs both models of every pair alike, so that what makes rows easy or hard
    cancels out. None where the metric is not defined on the rows.
    """
    n_rows = len(pairs[0].rows)
    if n_rows == 0:
        return [None for _ in pairs]
    rng = np.random.default_rng(seed)
    draws: list[list[float]] = [[] for _ in pairs]
    for _ in range(n_resamples):
        weights = draw_weights(rng, n_rows)
        for pair, drawn in zip(pairs, draws, strict=True):
            gain = _gain(metric, *pair.scores(weights, metric))
            if math.isfinite(gain):
                drawn.append(gain)
    ones = np.ones(n_rows)
    return [
        _measured(metric, int(pair.rows.sum()), *pair.scores(ones, metric), drawn)
        for pair, drawn in zip(pairs, draws, strict=True)
    ]


def _measured(
    metric: str, n_rows: int, champion: float, challenger: float, draws: list[float]
) -> Gain | None:
    gain = _gain(metric, champion, challenger)
    if not math.isfinite(gain):
        return None
    return Gain(
        n_rows=n_rows,
        champion=champion,
        challenger=challenger,
        gain=with_interval(gain, draws),
    )


def _gain(metric: str, champion: float, challenger: float) -> float:
    return champion - challenger if metric in LOWER_IS_BETTER else challenger - champion


def _fitted_on(bundle: Bundle, columns: Columns, y: Array) -> Mask:
    """Which of n rows the bundle's model, calibration or threshold was fitted on."""
    hashes = hash_rows(columns, tuple(bundle.contract.contract.inputs()), y)
    return np.isin(hashes, unpacked(bundle.read(FITTED_ROWS)))


def _answer(bundle: Bundle, columns: Columns) -> Floats:
    own = {name: columns[name] for name in bundle.contract.contract.inputs()}
    return bundle.decision.calibrate(Predictor(bundle).answer(own))


def _slices(columns: Columns, problem: Problem) -> list[tuple[str, str, Mask]]:
    derived = derive(problem.contract, columns)
    return [
        (column, value, rows)
        for column in problem.evaluation.slices
        for value, rows in slice_rows(derived[column], problem.evaluation.min_slice_rows)
    ]


def _refuse_unfit(champion: Bundle, challenger: Bundle, version: str) -> None:
    """Refuse a champion that answers another question, or reads what the rows do not have."""
    old, new = champion.decision, challenger.decision
    if (old.task, old.classes, old.positive) != (new.task, new.classes, new.positive):
        what = f"{old.task} with classes {listed(old.classes)}" if old.classes else old.task
        raise BundleError(f"{version} answers another question ({what})")
    reads, has = champion.contract.contract.inputs(), challenger.contract.contract.columns
    if unknown := [name for name in reads if name not in has]:
        raise BundleError(
            f"{version} reads columns that the table no longer has: {listed(unknown)}"
        )
    if retyped := [name for name, column in reads.items() if column.type != has[name].type]:
        raise BundleError(f"{version} reads columns whose type is another now: {listed(retyped)}")
    if FITTED_ROWS not in champion.manifest["files"]:
        raise BundleError(f"{version} does not say which rows it was fitted on")


def _note(challenger: Bundle, champion: Bundle, version: str, n_rows: int, n_kept: int) -> str:
    """How the rows that decide came about; empty where nothing is out of the ordinary."""
    notes = []
    old, new = (_text(b.manifest.get("snapshot")) for b in (champion, challenger))
    if old != new:
        notes.append(
            f"The data moved on since {version} (snapshot {old[:12]}, now {new[:12]}), and both "
            "were scored on the new test rows"
        )
    if n_kept < n_rows:
        notes.append(
            f"{n_rows - n_kept:,} of {n_rows:,} test rows were left out, because one of the two "
            "was fitted on a row of the same content"
        )
    return ". ".join(notes) + "." if notes else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "unknown"
