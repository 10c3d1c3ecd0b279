"""Contributions against hand-worked Shapley values and a brute-force re-implementation."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from tabular.contributions import explain, reference_row
from tabular.predictor import Predictor
from tabular.records import TableReader
from tests.unit.tiny import RECORDS, fitted, write_tiny


def predictor(folder: Path, task: str) -> Predictor:
    return Predictor(write_tiny(folder / "bundle", task))


def typed(of: Predictor, record: dict) -> dict:
    return TableReader(of.contract).read([record])


def shapley(of: Predictor, record: dict, reference: dict, label: int) -> dict[str, float]:
    """Every order of the columns, one at a time."""
    names = list(record)

    def answer(joined: set[str]) -> float:
        row = {
            n: np.array([record[n][0] if n in joined else reference[n]], dtype=record[n].dtype)
            for n in names
        }
        return float(of.decision.calibrate(of.answer(row))[0, label])

    sums = dict.fromkeys(names, 0.0)
    orders = list(itertools.permutations(names))
    for order in orders:
        for place, name in enumerate(order):
            sums[name] += answer(set(order[: place + 1])) - answer(set(order[:place]))
    return {name: total / len(orders) for name, total in sums.items()}


def test_reference_row_is_the_median_and_the_most_frequent_category(tmp_path):
    assert reference_row(predictor(tmp_path, "binary")) == {
        "age": 40.0,
        "fee": 1.0,
        "city": "Mumbai",
        "opened": 600.0,
    }


def test_contributions_of_a_linear_model_are_slope_times_distance(tmp_path):
    of = predictor(tmp_path, "regression")
    model, _ = fitted("regression")
    found = explain(of, typed(of, RECORDS[0]), reference_row(of))
    distances = {"age": 30 - 40, "fee": 1.5 - 1.0, "city": 0 - 1, "opened": 9 - 10}
    for slope, (name, distance) in zip(model.coef_, distances.items(), strict=True):
        assert found.contributions[name] == pytest.approx(slope * distance, abs=1e-4)
    assert found.label == ""


@pytest.mark.parametrize("record", RECORDS)
def test_contributions_come_near_the_mean_over_all_orders(tmp_path, record):
    of = predictor(tmp_path, "binary")
    columns, reference = typed(of, record), reference_row(of)
    found = explain(of, columns, reference)
    label = of.decision.classes.index(found.label)
    for name, expected in shapley(of, columns, reference, label).items():
        assert found.contributions[name] == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_contributions_sum_to_the_distance_from_the_reference_answer(tmp_path, task):
    of = predictor(tmp_path, task)
    for record in RECORDS:
        found = explain(of, typed(of, record), reference_row(of))
        assert sum(found.contributions.values()) == pytest.approx(
            found.answer - found.reference_answer, abs=1e-9
        )


def test_the_reference_row_itself_has_no_contributions(tmp_path):
    of = predictor(tmp_path, "binary")
    columns = typed(of, {"age": 40, "fee": 1, "city": "Mumbai", "opened": "10:00"})
    assert set(explain(of, columns, reference_row(of)).contributions.values()) == {0.0}
