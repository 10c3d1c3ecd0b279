"""Batch scoring against scikit-learn, in proportion to rows, and on Dask workers.

    python -m benchmarks.score [ROWS ...]       default 1000000 3000000 10000000

The model is the insurance problem's boosted trees, fitted once on the built-in sample, as a bundle
and as the pipelines that a user would write: ColumnTransformer with imputer and one-hot encoder,
then the same LGBMClassifier, or HistGradientBoostingClassifier; and the quickest that scikit-learn
alone has, HistGradientBoostingClassifier on OrdinalEncoder's codes. All read the same Parquet file
and write their answers: we by `score_table`, they in pandas chunks of 100,000 rows by
`pipeline.predict`. Every measurement is a process of its own; wall and CPU seconds and peak memory
are the operating system's, those of Dask's workers added up. Prints a table, and exits with 1 where
a number falls short.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROWS = (1_000_000, 3_000_000, 10_000_000)
CHUNK_ROWS = 100_000
PEER_ROWS = 1_000_000  # the peers' time is in proportion to rows: a million tell it
FASTER, SCALES, MAX_MB, SPREAD = 5.0, 1.6, 1000, 1.25
PEERS = ("lightgbm", "hist_gradient_boosting", "hist_gradient_boosting_ordinal")
NUMBERS = ("Age", "Driving_License", "Previously_Insured", "Annual_Premium", "Vintage")
CATEGORIES = ("Gender", "Region_Code", "Vehicle_Age", "Vehicle_Damage", "Policy_Sales_Channel")
LGBM = {
    "n_estimators": 200,
    "learning_rate": 0.04,
    "num_leaves": 15,
    "min_child_samples": 60,
    "subsample": 0.8,
    "subsample_freq": 1,
    "reg_lambda": 10,
    "verbose": -1,
}


@dataclass(frozen=True)
class Cost:
    """What one process took, or a driver and its workers together."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def measured(*arguments: str | Path | int) -> Cost:
    """Run a part of this file in a process of its own; it prints the seconds after its imports."""
    command = [sys.executable, "-m", "benchmarks.score", *map(str, arguments)]
    environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def timed(work: Any, used: Any) -> None:
    """Call it and print its cost; `used` gives the CPU seconds and peak MB of each process."""
    started, before = time.perf_counter(), used()
    work()
    wall_s, after = time.perf_counter() - started, used()
    cpu_s = sum(cpu for cpu, _ in after) - sum(cpu for cpu, _ in before)
    print(json.dumps([wall_s, cpu_s, sum(megabytes for _, megabytes in after)]))


def own_use() -> tuple[float, float]:
    """CPU seconds and peak megabytes of this process, as the operating system counts them."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def make_rows(path: Path, n_rows: int, n_different: int = 500_000) -> None:
    """Write a typed Parquet table of the sample's columns without the target."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tabular.samples import generate, load_spec

    spec = load_spec(ROOT / "configs" / "samples" / "vehicle_insurance.json")
    table = generate(spec, n_different, 7).drop_columns(["Response"])
    kinds = {"Annual_Premium": pa.float64(), "id": pa.int64()} | dict.fromkeys(
        [name for name in NUMBERS if name != "Annual_Premium"], pa.int64()
    )
    columns = {n: table[n].cast(kinds.get(n, pa.string())) for n in table.column_names}
    batch = pa.table(columns)
    with pq.ParquetWriter(path, batch.schema) as writer:
        for start in range(0, n_rows, n_different):
            writer.write_table(batch.slice(0, n_rows - start), row_group_size=262_144)


def fit_models(folder: Path) -> None:
    """Fit on 60,000 rows of the sample: our bundle, and each peer as a pickle."""
    import numpy as np
    from lightgbm import LGBMClassifier
    from sklearn.base import clone
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    from tabular.samples import generate, load_spec

    spec = load_spec(ROOT / "configs" / "samples" / "vehicle_insurance.json")
    table = generate(spec, 60_000, 1)
    frame = table.to_pandas()
    frame = frame.astype(dict.fromkeys(NUMBERS, float))
    y = frame["Response"].astype(int).to_numpy()
    hist = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.04, max_leaf_nodes=15, early_stopping=False
    )
    for name, model, is_sparse in (
        ("lightgbm", LGBMClassifier(**LGBM), True),
        ("hist_gradient_boosting", hist, False),
    ):
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=is_sparse, dtype=np.float32)
        prepare = ColumnTransformer(
            [
                ("numbers", SimpleImputer(strategy="median"), list(NUMBERS)),
                ("categories", encoder, list(CATEGORIES)),
            ]
        )
        fitted = make_pipeline(prepare, model).fit(frame, y)
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(fitted))
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
    )
    prepare = ColumnTransformer(
        [("numbers", "passthrough", list(NUMBERS)), ("codes", codes, list(CATEGORIES))]
    )
    fitted = make_pipeline(prepare, clone(hist)).fit(frame, y)
    (folder / "hist_gradient_boosting_ordinal.pickle").write_bytes(pickle.dumps(fitted))
    _write_bundle(folder / "bundle", table, y)


def _write_bundle(folder: Path, table: Any, y: Any) -> None:
    from tabular.bundle import ServedContract, write_bundle
    from tabular.candidates import build_pipeline
    from tabular.decision import Decision
    from tabular.features import derive, learn_features
    from tabular.onnx_export import export_graph
    from tabular.problem import load_problem
    from tabular.settings import Candidate
    from tabular.tables.arrow_columns import Texts, encode_batch, read_batch
    from tabular.trees.building import packed_tables

    contract = load_problem("vehicle_insurance", ROOT / "configs" / "problems").contract
    columns, _ = read_batch(contract, table.combine_chunks().to_batches()[0])
    whole = {n: c.whole() if isinstance(c, Texts) else c for n, c in columns.items()}
    features = learn_features(contract, derive(contract, whole))
    X = encode_batch(contract, features, columns)
    params = {key: value for key, value in LGBM.items() if key != "verbose"}
    candidate = Candidate(estimator="lightgbm", params=params)
    fitted = build_pipeline(candidate, features, task="binary", seed=42).fit(X, y)
    graph = export_graph(fitted, n_features=len(features), task="binary", name="bench")
    write_bundle(
        folder,
        graph=graph,
        contract=ServedContract(contract=contract, features=features),
        decision=Decision(task="binary", classes=("no", "yes"), positive=1, threshold=0.2),
        golden=[],
        reference={},
        facts={"problem": "vehicle_insurance"},
        trees=packed_tables(graph, X),
    )


def score_ours(folder: Path, rows: Path, out: Path, n_dask: int) -> None:
    """Score a file, in this process or on Dask workers; the cluster's start is not counted."""
    from tabular.bundle import load_bundle
    from tabular.engines import Threads, open_cluster
    from tabular.scoring.input import open_input
    from tabular.scoring.run import describe_run, score_table

    bundle = load_bundle(folder / "bundle")
    table = open_input(bundle.contract.contract, str(rows))

    def score(engine: Any) -> None:
        score_table(
            bundle,
            describe_run(bundle, "vehicle_insurance", "v1", table.fingerprint()),
            out,
            read_input=lambda _: table,
            engine=engine,
            progress=lambda *_: None,
        )

    if n_dask:
        with open_cluster(n_workers=n_dask) as cluster:
            cluster.client.run(_warm)
            timed(
                lambda: score(cluster),
                lambda: [own_use(), *cluster.client.run(own_use).values()],
            )
    else:
        timed(lambda: score(Threads()), lambda: [own_use()])


def _warm() -> None:
    """A worker's imports, which a cluster that is there already has behind it."""
    import tabular.scoring.parts  # noqa: F401


def score_peer(folder: Path, rows: Path, out: Path, name: str) -> None:
    """As users write it: chunks into pandas, `predict`, labels into a Parquet file."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    fitted = pickle.loads((folder / f"{name}.pickle").read_bytes())  # noqa: S301  # our own

    def score() -> None:
        writer = None
        for batch in pq.ParquetFile(rows).iter_batches(CHUNK_ROWS):
            frame = batch.to_pandas()
            labels = pd.DataFrame({"id": frame["id"], "prediction": fitted.predict(frame)})
            answers = pa.Table.from_pandas(labels, preserve_index=False)
            writer = writer or pq.ParquetWriter(out, answers.schema)
            writer.write_table(answers)
        if writer:
            writer.close()

    timed(score, lambda: [own_use()])


def main(sizes: list[int]) -> int:
    """Measure everything and print it."""
    folder = Path(tempfile.mkdtemp(prefix="bench-score-"))
    try:
        fit_models(folder)
        return report(folder, sizes)
    finally:
        shutil.rmtree(folder)


def report(folder: Path, sizes: list[int]) -> int:
    """Run the parts and hold them against the limits."""
    ours: dict[int, Cost] = {}
    for n_rows in sizes:
        rows = folder / f"{n_rows}.parquet"
        make_rows(rows, n_rows)
        ours[n_rows] = line("bentoline", n_rows, measured("ours", folder, rows, folder / "o", 0))
        shutil.rmtree(folder / "o")
    largest, peer_rows = sizes[-1], folder / "peer.parquet"
    make_rows(peer_rows, PEER_ROWS)
    peers = {}
    for name in PEERS:
        cost = measured("peer", folder, peer_rows, folder / "p.parquet", name)
        peers[name] = line(f"pandas + {name}", PEER_ROWS, cost)
    dask = {}
    for n_workers in (1, 2):
        cost = measured("ours", folder, folder / f"{largest}.parquet", folder / "o", n_workers)
        dask[n_workers] = line(f"bentoline, {n_workers} Dask workers", largest, cost)
        shutil.rmtree(folder / "o")
    speed = {n: n / cost.wall_s for n, cost in ours.items()}
    faster = {n: speed[largest] * c.wall_s / PEER_ROWS for n, c in peers.items()}
    checks = [
        *((f"times the rows/s of {n}", times, times >= FASTER) for n, times in faster.items()),
        ("peak MB", ours[largest].peak_mb, ours[largest].peak_mb <= MAX_MB),
        ("rows/s, fastest by slowest size", (s := max(speed.values()) / min(speed.values())),
         s <= SPREAD),
        ("2 Dask workers by 1", (d := dask[1].wall_s / dask[2].wall_s), d >= SCALES),
    ]  # fmt: skip
    for what, value, holds in checks:
        print(f"{'ok   ' if holds else 'SHORT'} {what}: {value:,.2f}")
    return 0 if all(holds for *_, holds in checks) else 1


def line(what: str, n_rows: int, cost: Cost) -> Cost:
    """Print one measurement."""
    print(
        f"{what:40} {n_rows:>11,} rows {cost.wall_s:8.2f} s {n_rows / cost.wall_s:11,.0f} rows/s "
        f"{cost.cpu_s / n_rows * 1e6:7.2f} us CPU a row {cost.peak_mb:6.0f} MB",
        flush=True,
    )
    return cost


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ours", folder, rows, out, n_dask]:
            score_ours(Path(folder), Path(rows), Path(out), int(n_dask))
        case ["peer", folder, rows, out, name]:
            score_peer(Path(folder), Path(rows), Path(out), name)
        case sizes:
            sys.exit(main([int(size) for size in sizes] or list(ROWS)))
