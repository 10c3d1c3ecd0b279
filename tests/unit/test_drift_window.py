"""What a window of the log says, row by row of what it may hold."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from tabular.contract import Column, Contract, Derivation
from tabular.decision import Decision
from tabular.drift.profile import Profile
from tabular.drift.reference import Reference, learn_reference, logged_answers, read_reference
from tabular.drift.sample import RowSample
from tabular.drift.settings import Monitor
from tabular.drift.window import LogWindow
from tabular.prediction_log.layout import log_schema
from tests.unit import tiny

NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)
CONTRACT = Contract(
    columns={
        "fee": Column(type="number", min=0, max=50, out_of_range="missing"),
        "city": Column(type="category", aliases={"Bombay": "Mumbai"}),
        "income": Column(type="number", sensitive=True),
        "opened": Column(type="time"),
    },
    derive={"opened_hour": Derivation(function="hour", inputs=("opened",))},
)
N_TRAIN = 4_000


def numbers(n, seed=0):
    return np.random.default_rng(seed).normal(20, 4, n).astype(np.float32)


def cities(n, seed=0):
    return np.random.default_rng(seed).choice(["Delhi", "Mumbai"], n, p=[0.7, 0.3]).astype(object)


def hours(n, seed=0):
    return (np.random.default_rng(seed).integers(8, 20, n) * 60).astype(np.float32)


REFERENCE = Reference(
    columns={
        "fee": Profile.of_values(numbers(N_TRAIN), "feature"),
        "city": Profile.of_values(cities(N_TRAIN), "feature"),
        "income": Profile.of_values(numbers(N_TRAIN), "feature"),
        "opened": Profile.of_values(hours(N_TRAIN), "moment"),
        "opened_hour": Profile.of_values(hours(N_TRAIN) / 60, "feature", ("opened",)),
    },
    answers={"value": Profile.of_values(numbers(N_TRAIN, 3).astype(np.float64), "prediction")},
)


def batch(n=1_000, seed=5, **changes):
    columns = {
        "at": [NOW - timedelta(hours=1)] * n,
        "request_id": [str(i) for i in range(n)],
        "row": [0] * n,
        "version": ["v1"] * n,
        "role": ["production"] * n,
        "prediction": [None] * n,
        "value": numbers(n, seed).astype(float).tolist(),
        "probability": [None] * n,
        "low": [None] * n,
        "high": [None] * n,
        "in.fee": numbers(n, seed).astype(float).tolist(),
        "in.city": cities(n, seed).tolist(),
        "in.income": ["hash"] * n,
        "in.opened": [f"{int(m) // 60:02d}:00" for m in hours(n, seed)],
        **changes,
    }
    schema = log_schema(CONTRACT, "regression")
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def look(*batches, reference=REFERENCE, version="v1", **monitor):
    window = LogWindow(reference, CONTRACT, version, NOW - timedelta(days=7), NOW)
    window.add_all(batches)
    return window.compare({}, Monitor(**monitor))


def kinds(drift):
    columns = (*drift.answers, *drift.columns)
    return {(one.column, m.kind) for one in columns for m in one.measures if m.alarms}


def test_rows_like_those_of_training_alarm_nobody():
    drift = look(batch())
    assert drift.alarms == ()
    assert drift.window.n_rows == 1_000
    assert 0 < drift.score < 1


def test_batches_add_up_to_the_same_as_one():
    whole, parts = look(batch()), [batch().slice(start, 100) for start in range(0, 1_000, 100)]
    assert look(*parts) == whole


def test_values_outside_the_contract_alarm_although_they_are_read_as_missing():
    drift = look(batch(**{"in.fee": (numbers(1_000) * 10).astype(float).tolist()}))
    assert {("fee", "range"), ("fee", "missing")} <= kinds(drift)
    assert any("has its unit changed?" in alarm for alarm in drift.alarms)


@pytest.mark.parametrize(("factor", "words"), [(0.01, "to at most "), (2.0, "to more than ")])
def test_median_beyond_all_of_training_is_said_as_such(factor, words):
    drift = look(batch(**{"in.fee": (numbers(1_000) * factor).astype(float).tolist()}))
    assert any("standard deviations" in alarm and words in alarm for alarm in drift.alarms)


def test_renamed_category_is_named_with_the_one_that_is_gone():
    renamed = ["Bengaluru" if city == "Mumbai" else city for city in cities(1_000)]
    drift = look(batch(**{"in.city": renamed}))
    assert ("city", "unseen") in kinds(drift)
    (alarm,) = [a for a in drift.alarms if "never saw" in a]
    assert "'Bengaluru'" in alarm
    assert "'Mumbai' is gone" in alarm


def test_alias_of_a_category_is_no_new_one():
    alias = ["Bombay" if city == "Mumbai" else city for city in cities(1_000)]
    assert look(batch(**{"in.city": alias})).alarms == ()


def test_unreadable_moments_and_their_gaps_are_counted():
    drift = look(batch(**{"in.opened": ["noon"] * 100 + ["09:00"] * 900}))
    assert ("opened", "unreadable") in kinds(drift)
    assert ("opened", "distribution") not in kinds(drift)
    assert ("opened_hour", "distribution") in kinds(drift)


def test_of_a_hashed_column_only_the_gaps_are_watched():
    drift = look(batch(**{"in.income": [None] * 200 + ["hash"] * 800}))
    (income,) = [one for one in drift.columns if one.column == "income"]
    assert [m.kind for m in income.measures] == ["missing"]
    assert kinds(drift) == {("income", "missing")}


def test_column_that_the_log_leaves_out_is_left_out():
    whole = batch()
    place = whole.schema.get_field_index("in.income")
    without = whole.set_column(place, "in.income", pa.nulls(whole.num_rows))
    assert "income" not in {one.column for one in look(without).columns}


def test_shadow_and_rows_from_the_future_are_not_counted():
    late = [NOW + timedelta(hours=3)] * 10 + [NOW - timedelta(hours=1)] * 990
    drift = look(batch(at=late), batch(50, role=["shadow"] * 50))
    assert (drift.window.n_rows, drift.window.n_future, drift.window.n_shadow) == (990, 10, 50)


def test_answers_of_other_versions_count_for_the_inputs_only():
    far = [1e6] * 1_000
    drift = look(batch(), batch(version=["v9"] * 1_000, value=far))
    assert drift.window.versions == {"v1": 1_000, "v9": 1_000}
    assert drift.alarms == ()
    assert ("value", "range") in kinds(look(batch(value=far)))


def test_too_few_rows_say_how_many_are_needed():
    drift = look(batch(100))
    assert "100 rows" in drift.obstacle
    assert "300 are needed" in drift.obstacle
    assert drift.columns == ()


def test_large_effect_on_few_rows_must_exceed_chance_too():
    few = look(batch(60, **{"in.city": ["Delhi"] * 60}), min_rows=50)
    many = look(batch(1_000, **{"in.city": ["Delhi"] * 1_000}))
    limit = {
        name: next(m.limit for c in drift.columns for m in c.measures if m.kind == "distribution")
        for name, drift in {"few": few, "many": many}.items()
    }
    assert limit["few"] > limit["many"]
    assert ("city", "distribution") in kinds(many)


def test_natural_movement_raises_the_limit():
    fee = REFERENCE.columns["fee"].model_copy(update={"natural": {"shift": 2.0}})
    moved = batch(**{"in.fee": (numbers(1_000) + 3).astype(float).tolist()})
    assert ("fee", "shift") in kinds(look(moved))
    patient = REFERENCE.model_copy(update={"columns": {**REFERENCE.columns, "fee": fee}})
    assert ("fee", "shift") not in kinds(look(moved, reference=patient))


@pytest.mark.parametrize("n_kept", [0, 7, 5_000])
def test_sample_holds_no_more_than_asked(n_kept):
    sample = RowSample(n_kept, seed=1)
    given = list(sample.passing(batch(500, seed=seed) for seed in range(4)))
    assert sum(one.num_rows for one in given) == 2_000
    kept = sample.table()
    assert (0 if kept is None else kept.num_rows) == min(n_kept, 2_000)


def test_sample_gives_each_row_the_same_chance():
    firsts = []
    for seed in range(300):
        sample = RowSample(10, seed=seed)
        list(sample.passing(batch(50, seed=part, version=[str(part)] * 50) for part in range(4)))
        kept = sample.table()
        assert kept is not None
        firsts += kept["version"].to_pylist()
    shares = np.unique(firsts, return_counts=True)[1] / len(firsts)
    assert np.abs(shares - 0.25).max() < 0.04


def test_logged_answers_are_what_the_service_logs():
    binary = Decision(task="binary", classes=("no", "yes"), positive=1, threshold=0.3)
    said = logged_answers(np.array([[0.6, 0.4], [0.9, 0.1]]), binary)
    assert said["prediction"].tolist() == ["yes", "no"]
    assert said["probability"].tolist() == [0.4, 0.1]
    several = Decision(task="multiclass", classes=("a", "b", "c"))
    said = logged_answers(np.array([[0.2, 0.5, 0.3]]), several)
    assert (said["prediction"][0], said["probability"][0]) == ("b", 0.5)


@pytest.mark.parametrize(("task", "answers"), [("binary", {}), ("regression", {"value"})])
def test_bundle_of_an_older_kind_is_watched_by_its_percentiles(tmp_path, task, answers):
    old = {**tiny.REFERENCE, "answer": [{"quantiles": [1.0, 2.0], "missing_share": 0.0}]}
    bundle = tiny.write_tiny(
        tmp_path / "bundle", task, reference=tiny.REFERENCE if task == "binary" else old
    )
    reference = read_reference(bundle)
    assert set(reference.columns) == {"age", "fee", "city", "opened"}
    assert reference.columns["city"].categories == ("Delhi", "Mumbai")
    assert reference.columns["opened"].role == "moment"
    assert set(reference.answers) == set(answers)
    assert reference.outcome is None


def test_reference_learns_how_a_column_moves_in_time():
    import pandas as pd

    from tabular.bundle import ServedContract

    contract = Contract(
        columns={"day": Column(type="date", feature=False), "fee": Column(type="number")}
    )
    n = 6_000
    rows = pd.DataFrame(
        {
            "day": np.repeat(np.arange(60.0), 100),
            "fee": (numbers(n) + np.repeat(np.arange(60) % 20, 100)).astype(np.float32),
            "minutes": numbers(n, 2),
        }
    ).sample(frac=1, random_state=0)
    reference = learn_reference(
        rows,
        rows.iloc[:2_000],
        lambda columns: columns["fee"][:, None].astype(np.float64),
        ServedContract(contract=contract, features=()),
        Decision(task="regression"),
        target="minutes",
        seed=1,
    )
    assert reference.columns["fee"].natural["shift"] > 0.5
    assert reference.outcome is not None
    assert reference.outcome.natural["shift"] < 0.2
    assert reference.answers["value"].role == "prediction"
