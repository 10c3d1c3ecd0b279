"""The search on a Dask cluster: the work is done there, and its numbers are the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import StratifiedKFold

from tabular.candidates import Trial
from tabular.contract import Feature
from tabular.engines import Cluster, Threads, joblib_on, open_cluster
from tabular.errors import StoreError
from tabular.problem import load_problem
from tabular.search import search_candidates
from tabular.settings import Candidate
from tests.s3 import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Any:
    """Two processes."""
    with open_cluster(n_workers=2) as cluster:
        yield cluster


def search() -> tuple[Trial, ...]:
    """Every kind of candidate on iris, with the measured seconds left out."""
    X, y = load_iris(return_X_y=True)
    X = X.astype(np.float32)
    folds = list(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))
    features = [Feature(name=str(place), kind="number") for place in range(4)]
    candidates = {
        "forest": Candidate(estimator="random_forest", params={"n_estimators": 10}),
        "boosted": Candidate(
            estimator="lightgbm",
            params={"n_estimators": 10},
            search={"num_leaves": (3, 7)},
            n_trials=2,
        ),
        "line": Candidate(estimator="logistic_regression"),
    }
    problem = load_problem("iris", ROOT / "configs" / "problems")
    problem = problem.model_copy(update={"candidates": candidates})
    trials = search_candidates(X, y, folds, features, problem)
    return tuple(trial.model_copy(update={"seconds": 0.0}) for trial in trials)


def test_search_gives_the_same_trials_on_the_cluster(cluster: Cluster) -> None:
    """Scores, their spread and their order; each fold of each trial is a task of its own."""
    here = search()
    cluster.client.get_task_stream()  # from now on
    with joblib_on("dask", cluster.client.scheduler.address):
        there = search()
    assert there == here
    assert len(here) == 4
    done = [task for task in cluster.client.get_task_stream() if "score_fold" in str(task["key"])]
    assert len(done) == 12


def test_training_searches_on_the_cluster(cluster: Cluster, train: Callable[..., Any]) -> None:
    """`--train --engine dask` hands the folds to the workers."""
    cluster.client.get_task_stream()
    address = cluster.client.scheduler.address
    outcome = train("iris", "--engine", "dask", "--scheduler", address)
    assert outcome.code == 0, outcome.stderr
    assert any("score_fold" in str(task["key"]) for task in cluster.client.get_task_stream())


def test_silent_scheduler_is_one_sentence_before_training(train: Callable[..., Any]) -> None:
    """The address is tried before any row is read."""
    address = f"tcp://127.0.0.1:{free_port()}"
    outcome = train("iris", "--engine", "dask", "--scheduler", address)
    assert outcome.code == 2
    assert f"--scheduler {address}: no Dask scheduler answers there" in outcome.stderr


def test_scheduler_without_workers_is_refused() -> None:
    """It would let every task wait for ever."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as empty:
        address = empty.scheduler_address
        with (
            pytest.raises(StoreError, match="the scheduler has no worker; start one with"),
            open_cluster(address),
        ):
            pass


@pytest.mark.parametrize("n_items", [0, 1, 7])
def test_engines_do_every_item_once_and_raise_what_a_call_raises(
    cluster: Cluster, n_items: int
) -> None:
    """More items than workers, or none."""
    for engine in (Threads(2), cluster):
        assert sorted(engine.run(square, range(n_items))) == [n * n for n in range(n_items)]
        with pytest.raises(StoreError, match="nine"):
            list(engine.run(square, [1, 9, 2]))


def square(number: int) -> int:
    """A task that fails for 9."""
    if number == 9:
        raise StoreError("nine")
    return number * number
