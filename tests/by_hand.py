"""The score of what the project makes of a table by itself, and of what a person makes of it.

AUC for classes (one against the rest, averaged), R2 for numbers, on the same test rows.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV

import run
from tabular.bundle import load_bundle
from tabular.checks.quarantine import check_rows
from tabular.predictor import Predictor
from tabular.problem import Problem, load_problem
from tabular.registry import open_registry
from tabular.sources import open_rows
from tabular.split import Parts, split_rows
from tabular.tables.frames import frame_columns
from tests.any_tables import AnyTable

# What somebody would try who has ten minutes for the table.
GRID = {"learning_rate": [0.03, 0.1], "max_leaf_nodes": [7, 31]}
PLACE = "_place"
RESAMPLES = 400

Answered = tuple[Any, Any]  # what happened in n rows, and what was said of them


@dataclass(frozen=True)
class Compared:
    """One table: the two scores, how many rows were tested, and how sure the difference is.

    `low` and `high` hold 95 % of the differences when the test rows are drawn again.
    """

    shipped: float
    by_hand: float
    n_test: int
    low: float
    high: float


def compare(table: AnyTable, folder: Path) -> Compared:
    """`--init --yes` and `--train`, nothing between; then both scores.

    Raises:
        RuntimeError: One of the two did not end with exit code 0.
    """
    path, _ = table.write(folder)
    file = folder / f"{table.name}.yaml"
    init = ["--init", str(path), "--target", table.target, "--name", str(file), "--yes"]
    for arguments in (init, ["--train", "--problem", str(file)]):
        if code := run.main(arguments):
            raise RuntimeError(f"{table.name}: {arguments[0]} ended with exit code {code}")
    return compare_trained(table, folder)


def compare_trained(table: AnyTable, folder: Path) -> Compared:
    """Fit by hand, and score that and the version in production on the same test part."""
    problem = load_problem(table.name, folder)
    _, clean = table.rows()
    parts = parts_of(problem, folder)
    home = Path(os.environ["BENTOLINE_HOME"])
    registry = open_registry(str(home / "registry"))
    version = registry.resolve(problem.name, "production")
    predictor = Predictor(load_bundle(registry.fetch(problem.name, version)))
    answers = predictor.answer(frame_columns(parts.test, problem.contract))
    fitted = _fit_by_hand(clean, parts, table.task)
    tested = clean.iloc[parts.test[PLACE]]
    inputs, target = _inputs(tested, clean), tested.iloc[:, -1].to_numpy()
    is_number = table.task == "regression"
    own = fitted.predict(inputs)[:, None] if is_number else fitted.predict_proba(inputs)
    truth = parts.test[problem.target.column].to_numpy()
    low, high = _spread_of_difference((truth, answers), (target, own), table.task)
    return Compared(
        score(truth, answers, table.task), score(target, own, table.task), len(truth), low, high
    )


def _spread_of_difference(shipped: Answered, by_hand: Answered, task: str) -> tuple[float, float]:
    """Bootstrap of the test rows, the same rows for both; each class keeps its number of rows."""
    rng, truth = np.random.default_rng(0), shipped[0]
    groups = [np.arange(len(truth))]
    if task != "regression":
        groups = [np.flatnonzero(truth == place) for place in np.unique(truth)]
    differences = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rng.choice(group, len(group)) for group in groups])
        ours, hand = (score(y[drawn], said[drawn], task) for y, said in (shipped, by_hand))
        differences.append(ours - hand)
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)


def parts_of(problem: Problem, folder: Path) -> Parts:
    """The parts that training drew; column `_place` has a row's place in the table."""
    rows = open_rows(problem, data="", root=folder, mongodb_uri="", needs_target=True)
    typed, refused, _ = check_rows(pa.Table.from_batches(rows.batches), problem)
    bad = set(refused["row"])
    places = [row for row in range(len(typed) + len(bad)) if row not in bad]
    return split_rows(typed.assign(**{PLACE: places}), problem)


def _fit_by_hand(clean: pd.DataFrame, parts: Parts, task: str) -> Any:
    learned = clean.iloc[[*parts.train[PLACE], *parts.validation[PLACE]]]
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    trees = kind(max_iter=200, early_stopping=False, random_state=1)
    scoring = {"regression": "r2", "binary": "roc_auc"}.get(task, "neg_log_loss")
    search = GridSearchCV(trees, GRID, scoring=scoring, cv=3)
    return search.fit(_inputs(learned, clean), learned.iloc[:, -1])


def _inputs(rows: pd.DataFrame, clean: pd.DataFrame) -> pd.DataFrame:
    """Categories as codes, the same for all rows; the target is the last column."""
    coded = {
        name: pd.Categorical(rows[name], sorted(clean[name].dropna().unique())).codes
        for name in rows.columns[:-1]
        if rows[name].dtype.kind not in "fiub"
    }
    return rows.iloc[:, :-1].assign(**coded)


def score(truth: Any, answers: Any, task: str) -> float:
    """AUC, averaged over classes where there are more than two, or R2."""
    if task == "regression":
        return float(r2_score(truth, answers[:, 0]))
    if task == "binary":
        return float(roc_auc_score(truth, answers[:, 1]))
    return float(roc_auc_score(truth, answers, multi_class="ovr"))
