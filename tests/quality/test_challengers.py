"""Planted worse models never take the champion's place, and equal ones hardly ever.

Small LightGBM models on a part of the real tables, each with 20 seeds. The champion is fitted on
the same rows with a seed of its own; the verdict is that of the problem's YAML, without its
absolute gates, so that the comparison alone decides.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tabular.bundle import Bundle, ServedContract, write_bundle
from tabular.candidates import build_pipeline
from tabular.challenge import compare_bundles
from tabular.checks.quarantine import check_rows
from tabular.contract import encode
from tabular.exporting import contract_hashes
from tabular.features import learn_features
from tabular.fitting import calibrate
from tabular.gates import Verdict, decide
from tabular.onnx_export import export_graph
from tabular.problem import Problem, load_problem
from tabular.row_hashes import packed
from tabular.settings import Candidate
from tabular.sources import open_rows
from tabular.split import Parts, split_rows
from tabular.tables.frames import typed_columns

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("BENTOLINE_DATA", ROOT / "../shared/data"))
SEEDS = range(20)
N_ROWS = 12_000
CHAMPION_SEED = 1000

pytestmark = pytest.mark.quality


@dataclass(frozen=True)
class Case:
    """A real table; a slice of it that is destroyed; and what brings its rows into time's order."""

    problem: str
    file: str
    slice_column: str
    slice_value: str
    ordered_by: str = ""


INSURANCE = Case("vehicle_insurance", "vehicle_insurance_210k.csv", "Vehicle_Age", "1-2 Year")
FOOD = Case("food_delivery", "food_delivery_zomato.csv", "City", "Urban", "Order_Date")
CASES = pytest.mark.parametrize("case", [INSURANCE, FOOD], ids=lambda case: case.problem)


@cache
def table(case: Case) -> tuple[Problem, Parts]:
    """The problem, and a part of its real table, split as the YAML says."""
    if not (DATA / case.file).exists():
        pytest.skip(f"{case.file} is not in BENTOLINE_DATA")
    problem = load_problem(case.problem, ROOT / "configs" / "problems")
    source = open_rows(
        problem, data=str(DATA / case.file), root=ROOT, mongodb_uri="", needs_target=True
    )
    rows, _, _ = check_rows(pa.Table.from_batches(source.batches), problem)
    picked = np.sort(np.random.default_rng(1).permutation(len(rows))[:N_ROWS])
    return problem, split_rows(rows.iloc[picked].reset_index(drop=True), problem)


def fit(case: Case, train: pd.DataFrame, folder: Path, *, seed: int, n_trees: int = 60) -> Bundle:
    """Fit and decide on these rows; the bundle says that it saw the champion's rows."""
    problem, parts = table(case)
    small = Candidate(
        estimator="lightgbm",
        params={
            "n_estimators": n_trees,
            "num_leaves": 15,
            "learning_rate": 0.1,
            "subsample": 0.8,
            "subsample_freq": 1,
        },
    )
    columns = typed_columns(train, problem)
    features = learn_features(problem.contract, columns)
    pipeline = build_pipeline(small, features, task=problem.task, seed=seed, n_threads=1)
    pipeline.fit(encode(features, columns), train[problem.target.column].to_numpy())
    graph = export_graph(pipeline, n_features=len(features), task=problem.task, name=problem.name)
    contract = ServedContract(contract=problem.contract, features=features)
    return write_bundle(
        folder / f"{seed}",
        graph=graph,
        contract=contract,
        decision=calibrate(graph, contract, parts.validation, problem),
        golden=[],
        reference={},
        facts={},
        fitted_rows=fitted_rows(case),
    )


@cache
def fitted_rows(case: Case) -> bytes:
    problem, parts = table(case)
    both = [contract_hashes(part, problem) for part in (parts.train, parts.validation)]
    return packed(np.concatenate(both))


def judge(case: Case, challenger: Bundle, champion: Bundle) -> Verdict:
    problem, parts = table(case)
    comparison = compare_bundles(challenger, champion, parts.test, problem, version="v1")
    return decide([], {}, {}, problem.promotion, comparison)


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Bundle]:
    folder = tmp_path_factory.mktemp("champions")

    @cache
    def of(case: Case) -> Bundle:
        return fit(case, table(case)[1].train, folder / case.problem, seed=CHAMPION_SEED)

    return of


def shuffled_labels(case: Case, rng: np.random.Generator) -> pd.DataFrame:
    problem, parts = table(case)
    target = problem.target.column
    return parts.train.assign(**{target: rng.permutation(parts.train[target].to_numpy())})


def last_tenth(case: Case, rng: np.random.Generator) -> pd.DataFrame:
    train = table(case)[1].train
    if case.ordered_by:
        train = train.sort_values(case.ordered_by, kind="stable", na_position="first")
    return train.tail(len(train) // 10).reset_index(drop=True)


def destroyed_slice(case: Case, rng: np.random.Generator) -> pd.DataFrame:
    """Training rows whose target is shuffled within one slice."""
    problem, parts = table(case)
    y = parts.train[problem.target.column].to_numpy(copy=True)
    rows = np.flatnonzero(parts.train[case.slice_column] == case.slice_value)
    y[rows] = y[rng.permutation(rows)]
    return parts.train.assign(**{problem.target.column: y})


PLANTED = {f.__name__: f for f in (shuffled_labels, last_tenth, destroyed_slice)}


@CASES
@pytest.mark.parametrize("planted", PLANTED)
def test_planted_worse_model_is_refused_with_every_seed(
    case: Case, planted: str, champion: Callable[[Case], Bundle], tmp_path: Path
) -> None:
    """20 of 20 are refused."""
    promoted = []
    for seed in SEEDS:
        train = PLANTED[planted](case, np.random.default_rng(seed))
        verdict = judge(case, fit(case, train, tmp_path, seed=seed), champion(case))
        promoted += [seed] * verdict.carries["production"]
    assert promoted == []


@CASES
def test_equal_model_with_another_seed_is_promoted_at_most_once(
    case: Case, champion: Callable[[Case], Bundle], tmp_path: Path
) -> None:
    """Same data, other seed: at most 1 of 20 is promoted."""
    train = table(case)[1].train
    verdicts = [
        judge(case, fit(case, train, tmp_path, seed=seed), champion(case)) for seed in SEEDS
    ]
    assert sum(verdict.carries["production"] for verdict in verdicts) <= 1


def test_better_model_with_a_destroyed_slice_is_refused_for_the_slice_alone(tmp_path: Path) -> None:
    """Against a weak champion it wins on the whole, in every seed, and falls by that slice."""
    weak = fit(FOOD, table(FOOD)[1].train, tmp_path / "weak", seed=CHAMPION_SEED, n_trees=10)
    for seed in SEEDS:
        train = destroyed_slice(FOOD, np.random.default_rng(seed))
        whole, *slices = judge(FOOD, fit(FOOD, train, tmp_path, seed=seed), weak).results
        assert whole.passed, whole.sentence
        assert "City: Urban" in " ".join(one.metric for one in slices if not one.passed)


def test_truly_better_model_is_promoted(tmp_path: Path) -> None:
    """The rule is no wall: against the same weak champion the full model wins in every seed."""
    train = table(FOOD)[1].train
    weak = fit(FOOD, train, tmp_path / "weak", seed=CHAMPION_SEED, n_trees=10)
    for seed in SEEDS:
        verdict = judge(FOOD, fit(FOOD, train, tmp_path, seed=seed), weak)
        assert verdict.carries["production"], verdict.sentence
