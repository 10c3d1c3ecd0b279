"""LightGBM on partitions: every training row is fitted, none of the other parts, by all workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from tabular.bundle import FITTED_ROWS, load_bundle
from tabular.candidates import Trial
from tabular.card import number
from tabular.engines import Cluster, open_cluster
from tabular.errors import ConfigError, DataError, StoreError
from tabular.exporting import contract_hashes
from tabular.fitting import fit_model
from tabular.partitions import Partition, check_partitions, training_partitions
from tabular.problem import Problem
from tabular.registry import open_registry
from tabular.row_hashes import unpacked
from tabular.split import split_table
from tabular.tables.snapshot import CheckedRows, write_table

N_ROWS = 150_000  # three row groups
TRIAL = Trial(candidate="boosted", params={}, mean=0, sd=0, seconds=0)
SPEC: dict[str, Any] = {
    "title": "Made up",
    "task": "binary",
    "source": {"kind": "parquet", "path": "-"},
    "target": {"column": "y", "classes": {"no": 0, "yes": 1}, "positive": "yes"},
    "columns": {
        "x": {"type": "number"},
        "turned": {"type": "number"},
        "kind": {"type": "category"},
        "shop": {"type": "number"},
    },
    "split": {
        "kind": "stratified",
        "train_on": "partitions",
        "max_train_rows": 1_000,
        "max_test_rows": 10_000,
    },
    "search": {"metric": "roc_auc", "folds": 2},
    "candidates": {
        "boosted": {"estimator": "lightgbm", "params": {"n_estimators": 40, "num_leaves": 15}}
    },
    "gates": [{"metric": "roc_auc", "min": 0.5}],
}


def problem(**changed: Any) -> Problem:
    """Which asks for partitions."""
    return Problem.model_validate({"name": "made_up", **SPEC, **changed})


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """A number counts for one way round in one category: a thousand rows do not tell it."""
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c", "d"], N_ROWS)
    x, turned = rng.normal(size=(2, N_ROWS)).astype(np.float32)
    log_odds = x - 1 + np.where(kind == "a", 2, -1) * turned
    y = (rng.random(N_ROWS) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)
    shop = rng.integers(0, 3_000, N_ROWS).astype(np.float32)
    frame = pd.DataFrame({"x": x, "turned": turned, "kind": pd.Series(kind, dtype="str")})
    frame.loc[rng.random(N_ROWS) < 0.05, "x"] = np.nan
    return frame.assign(shop=shop, y=y)


def written(rows: pd.DataFrame, folder: Path) -> CheckedRows:
    """As the contract check leaves them."""
    table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata()
    return CheckedRows(**write_table(table.to_batches(), table.schema, folder).model_dump())


@pytest.fixture(scope="module")
def table(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> CheckedRows:
    """In three row groups."""
    return written(rows, tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two processes."""
    with open_cluster(n_workers=2) as cluster:
        yield cluster


def hashes(frames: list[pd.DataFrame], asked: Problem) -> np.ndarray:
    """By content, sorted."""
    return np.sort(np.concatenate([contract_hashes(frame, asked) for frame in frames]))


@pytest.mark.parametrize(
    "split",
    [{"kind": "stratified"}, {"kind": "random"}, {"kind": "group", "group_columns": ["shop"]}],
    ids=["stratified", "random", "group"],
)
def test_partitions_hold_the_training_rows_and_no_other(
    table: CheckedRows, split: dict[str, Any]
) -> None:
    """The sample is among them, no row of validation and test is, and each is there once."""
    asked = problem(split={**SPEC["split"], **split})
    parts = split_table(table, asked)
    partitions = training_partitions(table, len(parts.train), asked)
    frames = [partition.read() for partition in partitions]
    fitted = hashes(frames, asked)
    assert len(partitions) == 3
    assert len(fitted) == len(set(fitted)) == parts.n_fitted == sum(len(p.rows) for p in partitions)
    assert parts.n_fitted >= parts.n_rows["train"] > len(parts.train)
    assert np.isin(hashes([parts.train], asked), fitted).all()
    assert not np.isin(hashes([parts.validation, parts.test], asked), fitted).any()
    if split["kind"] == "group":
        shops = set(pd.concat(frames)["shop"])
        assert not shops & {*parts.validation["shop"], *parts.test["shop"]}


def test_partitions_of_a_split_by_time_end_before_the_validation_rows(
    rows: pd.DataFrame, tmp_path: Path
) -> None:
    """Rows that were not drawn for the test part are later, and are not trained on."""
    dated = rows.assign(day=np.arange(N_ROWS) // 100 * 86_400.0)[["day", *rows.columns]]
    columns = {"day": {"type": "date"}, **SPEC["columns"]}
    split = {**SPEC["split"], "kind": "time", "time_column": "day", "max_test_rows": 500}
    asked, table = problem(columns=columns, split=split), written(dated, tmp_path)
    parts = split_table(table, asked)
    partitions = training_partitions(table, len(parts.train), asked)
    assert sum(len(p.rows) for p in partitions) == parts.n_fitted == parts.n_rows["train"]
    assert max(p.read()["day"].max() for p in partitions) < parts.validation["day"].min()


def test_table_that_fits_is_not_parted(table: CheckedRows) -> None:
    """Neither where the sample has all rows, nor where the YAML asks for a sample."""
    whole = problem(split={**SPEC["split"], "max_train_rows": 1_000_000, "max_test_rows": 300_000})
    sampled = problem(split={**SPEC["split"], "train_on": "sample"})
    for asked in (whole, sampled):
        parts = split_table(table, asked)
        assert training_partitions(table, len(parts.train), asked) == []
        assert parts.n_fitted == len(parts.train)


def test_all_rows_on_two_workers_beat_the_sample_and_equal_one_process(
    cluster: Cluster, table: CheckedRows
) -> None:
    """Held against the same fit of all rows in one process, and the graph against the pipeline."""
    asked = problem()
    parts = split_table(table, asked)
    partitions = training_partitions(table, len(parts.train), asked)
    y = parts.test["y"]

    def auc(train: pd.DataFrame, among: list[Partition]) -> float:
        answers = fit_model(train, parts.test, TRIAL, asked, among).test_answers
        return float(roc_auc_score(y, answers["answer_1"]))

    cluster.client.get_task_stream()  # from now on
    sample, together = auc(parts.train, []), auc(parts.train, partitions)
    trained = [t for t in cluster.client.get_task_stream() if "train_part" in str(t["key"])]
    alone = auc(pd.concat([p.read() for p in partitions], ignore_index=True), [])
    assert together - sample > 0.02
    assert abs(together - alone) < 0.003
    assert len({task["worker"] for task in trained}) == 2


def test_one_command_fits_all_rows_and_writes_them_into_the_bundle(
    cluster: Cluster,
    table: CheckedRows,
    train: Callable[..., Any],
    home: Path,
    tmp_path: Path,
) -> None:
    """The report says how many were fitted; the bundle knows each, so none judges it later."""
    file = tmp_path / "made_up.yaml"
    file.write_text(yaml.safe_dump(SPEC, sort_keys=False))
    address = cluster.client.scheduler.address
    flags = ("--data", table.path, "--engine", "dask", "--scheduler", address)
    outcome = train(file, *flags)
    assert outcome.code == 0, outcome.stderr
    counts = outcome.report["rows"]
    assert counts["train"] == 1_000
    assert counts["fitted"] == N_ROWS - counts["test"] - counts["validation"]
    card = (home / "reports" / "made_up.html").read_text()
    assert f"{number(counts['fitted'])} rows trained on" in card
    registry = open_registry(str(home / "registry"))
    bundle = load_bundle(registry.fetch("made_up", outcome.report["version"]))
    seen = unpacked(bundle.read(FITTED_ROWS))
    assert len(seen) == counts["fitted"] + counts["validation"]


def test_partitions_without_dask_are_refused_before_a_row_is_read(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    """The sentence has both ways out."""
    file = tmp_path / "made_up.yaml"
    file.write_text(yaml.safe_dump(SPEC))
    outcome = train(file, "--data", "/nowhere.parquet")
    assert outcome.code == 2
    assert "split.train_on partitions is done on Dask; add --engine dask, or" in outcome.stderr


@pytest.mark.parametrize(
    "candidate", [{"estimator": "ridge"}, {"estimator": "lightgbm", "resample": "class_weight"}]
)
def test_candidate_that_cannot_be_fitted_in_partitions_is_refused(
    candidate: dict[str, Any],
) -> None:
    """By name, with what it has."""
    asked = problem(candidates={"fine": {"estimator": "lightgbm"}, "other": candidate})
    with pytest.raises(ConfigError, match=f"candidates.other has {candidate['estimator']}"):
        check_partitions(asked, "dask")


@pytest.mark.usefixtures("cluster")
def test_worker_without_a_class_is_a_sentence(rows: pd.DataFrame, tmp_path: Path) -> None:
    """Sorted by class, in two row groups: each worker would have one class only."""
    some = rows.head(65_536 * 2).assign(y=np.repeat([0, 1], 65_536))
    asked = problem()
    table = written(some, tmp_path)
    parts = split_table(table, asked)
    partitions = training_partitions(table, len(parts.train), asked)
    with pytest.raises(
        DataError, match=r"class 'yes' has no row among the [\d,]+ of Dask worker 1"
    ):
        fit_model(parts.train, parts.test, TRIAL, asked, partitions)


@pytest.mark.usefixtures("cluster")
def test_table_that_a_worker_does_not_see_is_a_sentence(table: CheckedRows) -> None:
    """It names the file and the machine."""
    asked = problem()
    parts = split_table(table, asked)
    gone = table.model_copy(update={"path": "/nowhere/rows.parquet"})
    partitions = [
        Partition(gone, one.group, one.rows)
        for one in training_partitions(table, len(parts.train), asked)
    ]
    with pytest.raises(StoreError, match=r"/nowhere/rows.parquet: the Dask worker on .* not see"):
        fit_model(parts.train, parts.test, TRIAL, asked, partitions)
