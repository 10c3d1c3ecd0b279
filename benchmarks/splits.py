"""How much of a metric is the draw of the test part: the same training on other splits.

    python -m benchmarks.splits PROBLEM DATA [N]       default 8 other splits

Each split has its own search, fit and decision, as `run.py --train` does them, and its own test
part. The first line is the split that the YAML draws; the last one is over the others.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from tabular import fitting
from tabular.checks.quarantine import check_table
from tabular.contract import encode
from tabular.evaluation import Metric, evaluate
from tabular.predictor import answer_graph
from tabular.problem import Problem, load_problem
from tabular.sources import open_rows
from tabular.split import Parts, split_table
from tabular.tables.frames import typed_columns
from tabular.tables.snapshot import save_snapshot

ROOT = Path(__file__).resolve().parents[1]


def measured(parts: Parts, problem: Problem) -> tuple[str, dict[str, Metric]]:
    """The winner's name and its metrics on the test part of one split."""
    winner = fitting.compare_candidates(parts.train, problem).trials[0]
    fitted = fitting.fit_model(parts.train, parts.test, winner, problem)
    decision = fitting.calibrate(fitted.graph, fitted.contract, parts.validation, problem)
    X = encode(fitted.contract.features, typed_columns(parts.test, problem))
    answer = decision.calibrate(answer_graph(fitted.graph, X))
    y = parts.test[problem.target.column].to_numpy()
    settings = problem.evaluation.model_copy(update={"slices": ()})
    scores = evaluate(decision, answer, y, settings, seed=problem.seed, slice_values={})
    return winner.candidate, scores.metrics


def main(name: str, data: str, n_splits: int = 8) -> None:
    """Print a line a split, and mean, deviation and range over the other ones."""
    problem = load_problem(name, ROOT / "configs" / "problems")
    metric = problem.promotion.metric or problem.search.metric
    source = open_rows(problem, data=data, root=ROOT, mongodb_uri="", needs_target=True)
    values = []
    with tempfile.TemporaryDirectory(prefix="bench-splits-") as folder:
        snapshot = save_snapshot(
            source.batches, Path(folder), source=source.source, synthetic=source.synthetic
        )
        rows, _, _ = check_table(snapshot, problem, home=Path(folder))
        own = problem.split.seed
        for seed in (own, *(seed for seed in range(1, n_splits + 1) if seed != own)):
            split = problem.split.model_copy(update={"seed": seed})
            drawn = problem.model_copy(update={"split": split})
            winner, metrics = measured(split_table(rows, drawn), drawn)
            got = metrics[metric]
            held = f"{metric} {got.value:.4f} [{got.low:.4f}, {got.high:.4f}]"
            print(f"split {seed:3}  {winner:20} {held}", flush=True)
            values.append(got.value)
    others = values[1:]
    print(
        f"others: mean {statistics.mean(others):.4f}, sd {statistics.stdev(others):.4f}, "
        f"{min(others):.4f} to {max(others):.4f}"
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:4]))
