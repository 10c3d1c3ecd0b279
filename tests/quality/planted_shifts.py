"""Windows of real tables as the service would have logged them, and shifts planted in them.

`test_drift.py` plants a few of each kind; `python -m benchmarks.monitor` all of them, 20 times.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from tabular.bundle import ServedContract
from tabular.checks.quarantine import check_rows
from tabular.contract import Array, Columns, encode
from tabular.decision import Decision
from tabular.drift.compare import ColumnDrift, compare_columns
from tabular.drift.counts import Counts
from tabular.drift.reference import Reference, learn_reference, logged_answers
from tabular.drift.window import Drift, LogWindow
from tabular.features import derive, learn_features
from tabular.prediction_log.layout import log_schema
from tabular.problem import Problem, load_problem
from tabular.records import raw_value
from tabular.sources import open_rows
from tabular.split import split_rows
from tabular.tables.frames import frame_columns

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("BENTOLINE_DATA", ROOT / "../shared/data"))
FILES = {
    "vehicle_insurance": "vehicle_insurance_210k.csv",
    "food_delivery": "food_delivery_zomato.csv",
    "network_security": "network_security_phishing.csv",
    "iris": "",
}
WINDOW_ROWS = 2_000
FITTED_ROWS = 8_000  # the model only has to say something of the rows
MAX_ROWS = 60_000
SINCE = datetime(2026, 3, 1, tzinfo=UTC)
ODDS = 4.0  # how much likelier the rows of a shifted population are

Shift = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


@dataclass(frozen=True)
class Planted:
    """A shift of one kind, and the columns of which one must be named."""

    kind: str
    columns: tuple[str, ...]
    plant: Shift


@dataclass(frozen=True)
class Watched:
    """A problem whose rows are watched: its reference, a model, and rows it was not fitted on."""

    problem: Problem
    served: ServedContract
    decision: Decision
    reference: Reference
    answer: Callable[[Columns], Array]
    fresh: pd.DataFrame
    whole: pd.DataFrame

    def draw(self, rng: np.random.Generator) -> pd.DataFrame:
        """A window of rows as training knew them."""
        return self.fresh.iloc[rng.integers(0, len(self.fresh), WINDOW_ROWS)]

    def look(self, rows: pd.DataFrame) -> Drift:
        """Hold n typed rows, logged, against the reference; outcomes are known for all."""
        at = SINCE + timedelta(hours=1)
        contract, monitor = self.served.contract, self.problem.monitor
        window = LogWindow(self.reference, contract, "v1", SINCE, at)
        window.add_all([self.logged(rows)])
        drift = window.compare({}, monitor)
        counts = Counts(_profile(self.reference))
        y = rows[self.problem.target.column].to_numpy()
        counts.add(
            np.asarray(self.decision.classes, dtype=object)[y] if self.decision.classes else y
        )
        outcome = compare_columns({self.problem.target.column: counts}, {}, monitor)
        return drift.model_copy(update={"columns": (*drift.columns, *outcome)})

    def logged(self, rows: pd.DataFrame) -> pa.RecordBatch:
        """The rows as a batch of the prediction log."""
        contract = self.served.contract
        columns = frame_columns(rows, contract)
        said = logged_answers(self.decision.calibrate(self.answer(columns)), self.decision)
        schema = log_schema(contract, self.problem.task)
        fixed: dict[str, Any] = {
            "at": [SINCE] * len(rows),
            "version": ["v1"] * len(rows),
            "role": ["production"] * len(rows),
            **{name: values.tolist() for name, values in said.items()},
        }
        arrays = []
        for field in schema:
            name = field.name.removeprefix("in.")
            if field.name == name:
                values = fixed.get(name, [None] * len(rows))
            else:
                values = _as_logged(contract.columns[name], columns[name], field.type)
            arrays.append(pa.array(values, field.type, from_pandas=True))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _profile(reference: Reference) -> Any:
    assert reference.outcome is not None
    return reference.outcome


def _as_logged(column: Any, values: Array, kind: pa.DataType) -> Any:
    if pa.types.is_floating(kind):
        return values.astype(np.float64)
    distinct, places = np.unique(values, return_inverse=True)
    texts = [raw_value(column, value) for value in distinct]
    return [None if texts[place] is None else str(texts[place]) for place in places]


@cache
def watched(name: str, *, in_order: bool = False) -> Watched:
    """A problem of a real table; `in_order` learns from its first half in order of time."""
    problem = load_problem(name, ROOT / "configs" / "problems")
    data = str(DATA / FILES[name]) if FILES[name] else ""
    source = open_rows(problem, data=data, root=ROOT, mongodb_uri="", needs_target=True)
    rows, _, _ = check_rows(pa.Table.from_batches(source.batches), problem)
    if len(rows) > MAX_ROWS:
        rows = rows.sample(MAX_ROWS, random_state=problem.seed)
    parts = split_rows(rows, problem)
    train, held, fresh = parts.train, parts.validation, parts.test
    if in_order:
        rows = in_time_order(rows, problem)
        train, held = (
            rows.iloc[: len(rows) * 2 // 5],
            rows.iloc[len(rows) * 2 // 5 : len(rows) // 2],
        )
        fresh = rows.iloc[len(rows) // 2 :]
    features = learn_features(
        problem.contract, derive(problem.contract, frame_columns(train, problem.contract))
    )
    served = ServedContract(contract=problem.contract, features=features)
    decision = _decision(problem)
    answer = _model(train.iloc[:FITTED_ROWS], served, problem)
    reference = learn_reference(
        train,
        held,
        lambda columns: decision.calibrate(answer(columns)),
        served,
        decision,
        target=problem.target.column,
        seed=problem.seed,
    )
    fresh = fresh if len(fresh) > 1_000 else rows
    return Watched(problem, served, decision, reference, answer, fresh, rows)


def in_time_order(rows: pd.DataFrame, problem: Problem) -> pd.DataFrame:
    """By the contract's first date and last time of day."""
    dates = [n for n, c in problem.columns.items() if c.type == "date"]
    times = [n for n, c in problem.columns.items() if c.type == "time"]
    return rows.sort_values([dates[0], *times[-1:]], kind="stable")


def _decision(problem: Problem) -> Decision:
    classes = tuple(problem.target.classes)
    if problem.task == "binary":
        positive = classes.index(problem.target.positive)
        return Decision(task="binary", classes=classes, positive=positive, threshold=0.25)
    return Decision(task=problem.task, classes=classes)


def _model(
    train: pd.DataFrame, served: ServedContract, problem: Problem
) -> Callable[[Columns], Array]:
    kind = (
        HistGradientBoostingRegressor
        if problem.task == "regression"
        else HistGradientBoostingClassifier
    )

    def matrix(columns: Columns) -> Array:
        return encode(served.features, derive(served.contract, columns))

    model = kind(max_iter=40, random_state=problem.seed)
    model.fit(matrix(frame_columns(train, served.contract)), train[problem.target.column])
    if problem.task == "regression":
        return lambda columns: model.predict(matrix(columns))[:, None]
    return lambda columns: model.predict_proba(matrix(columns))


def unit_changed(column: str, factor: float, *also: str) -> Planted:
    """The column is written in another unit."""

    def plant(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        del rng
        return rows.assign(**{column: (rows[column] * factor).astype("float32")})

    return Planted("unit changed", (column, *also), plant)


def recoded(column: str, old: float, new: float) -> Planted:
    """One value of a column of few is written as another."""

    def plant(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        del rng
        return rows.assign(**{column: rows[column].replace(old, new)})

    return Planted("unit changed", (column,), plant)


def renamed(column: str, old: str, new: str) -> Planted:
    """One category has a new name."""

    def plant(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        del rng
        return rows.assign(**{column: rows[column].astype(object).replace(old, new)})

    return Planted("category renamed", (column,), plant)


def missing(column: str, share: float = 0.2) -> Planted:
    """A fifth of the values are gone."""

    def plant(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        values = rows[column].to_numpy(dtype=object if rows[column].dtype == "str" else None).copy()
        values[rng.random(len(rows)) < share] = "" if values.dtype == object else np.nan
        return rows.assign(**{column: values})

    return Planted("missing share up", (column,), plant)


def population(column: str, *also: str) -> Planted:
    """Rows of one half of the values, or of the second category, are four times as likely."""

    def plant(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        return _drawn_again(rows, rows[column], rng)

    return Planted("population shift", (column, *also), plant)


def labels(problem: Problem) -> Planted:
    """Rows with one half of the outcomes, or one class, are four times as likely."""

    def plant(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        return _drawn_again(rows, rows[problem.target.column], rng)

    return Planted("label shift", (problem.target.column,), plant)


def _drawn_again(rows: pd.DataFrame, by: pd.Series, rng: np.random.Generator) -> pd.DataFrame:
    counts = by.value_counts()
    if by.dtype == "str" or len(counts) <= 5:
        is_likelier = (by == counts.index[1]).to_numpy()
    else:
        is_likelier = (by > by.median()).to_numpy()
    odds = np.where(is_likelier, ODDS, 1.0)
    return rows.iloc[rng.choice(len(rows), len(rows), p=odds / odds.sum())]


def planted_in(name: str) -> list[Planted]:
    """The shifts that a problem's table can have; what its contract refuses never reaches a log."""
    problem = watched(name).problem
    by_name = {
        "vehicle_insurance": [
            unit_changed("Annual_Premium", 0.012),
            unit_changed("Vintage", 1 / 7),
            renamed("Vehicle_Damage", "Yes", "yes, once"),
            renamed("Vehicle_Age", "1-2 Year", "1 to 2 years"),
            renamed("Region_Code", "28", "R28"),
            missing("Annual_Premium"),
            missing("Vehicle_Damage"),
            population("Age"),
            population("Vehicle_Age"),
        ],
        "food_delivery": [
            unit_changed("Delivery_person_Ratings", 2.0),
            unit_changed("Restaurant_latitude", np.pi / 180, "distance_km"),
            renamed("Weather_conditions", "Fog", "Foggy"),
            renamed("Road_traffic_density", "Jam", "Jammed"),
            renamed("City", "Urban", "Town"),
            missing("Delivery_person_Ratings"),
            missing("Weather_conditions"),
            missing("multiple_deliveries"),
            population("Delivery_person_Ratings"),
            population("Type_of_vehicle"),
            population("Vehicle_condition"),
        ],
        "network_security": [
            recoded("SSLfinal_State", -1, 0),
            recoded("URL_of_Anchor", 1, -1),
            missing("SSLfinal_State"),
            missing("web_traffic"),
            population("SSLfinal_State"),
            population("web_traffic"),
        ],
        "iris": [
            unit_changed("petal length (cm)", 1 / 2.54),
            unit_changed("sepal width (cm)", 1 / 2.54),
            population("petal length (cm)"),
            population("sepal length (cm)"),
        ],
    }
    return [*by_name[name], labels(problem)]


def is_named(planted: Planted, drift: Drift) -> bool:
    """Whether an alarm is on one of the columns."""
    return any(one.alarms for one in _columns(drift) if one.column in planted.columns)


def _columns(drift: Drift) -> tuple[ColumnDrift, ...]:
    return (*drift.answers, *drift.columns)
