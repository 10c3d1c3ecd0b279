"""The predictor: one row, many rows and scikit-learn agree; what the contract refuses is named."""

import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from tabular.bundle import ServedContract
from tabular.checks.frame_rules import frame_schema
from tabular.contract import Column, Contract, Feature, encode, parse_columns
from tabular.decision import Decision
from tabular.errors import BundleError, DataError, RecordsError
from tabular.features import derive
from tabular.predictor import BATCH_ROWS, Predictor, answer_graph
from tabular.records import BrokenRuleError, Reader, TableReader
from tests.unit.tiny import CONTRACT, FEATURES, RECORDS, fitted, graph_of, write_tiny


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    return Predictor(write_tiny(tmp_path_factory.mktemp("binary") / "b"))


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    return Predictor(write_tiny(tmp_path_factory.mktemp("regression") / "b", "regression"))


def test_raw_answers_are_scikit_learns(binary, regression):
    for predictor, task in ((binary, "binary"), (regression, "regression")):
        model, X = fitted(task)
        expected = model.predict_proba(X) if task == "binary" else model.predict(X)[:, None]
        answer = predictor.answer_matrix(X)
        assert answer.dtype == np.float32
        np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)


def test_records_become_the_model_input_worked_out_by_hand(binary):
    by_hand = [[30, 1.5, 0, 9], [61, -2, 1, 23], [44, 0.25, -1, 12], [18, 3000, 2, 0]]
    for record, row in zip(RECORDS, by_hand, strict=True):
        assert binary.encode_record(record).tolist() == [row]
    columns = TableReader(CONTRACT).read(RECORDS)
    assert binary.encode(columns).tolist() == by_hand


def test_one_row_and_many_rows_answer_alike(binary):
    together = binary.predict_records(RECORDS)
    for row, record in enumerate(RECORDS):
        alone = binary.predict_records([record])
        np.testing.assert_allclose(alone.probabilities[0], together.probabilities[row], atol=1e-6)
        assert alone.labels[0] == together.labels[row]
        assert set(alone.unseen) == {n for n, rows in together.unseen.items() if rows[row]}


def test_a_row_is_answered_as_in_a_table(binary, regression):
    for predictor in (binary, regression):
        for record in RECORDS:
            X = predictor.encode_record(record)
            table, row = predictor.predict_matrix(X), predictor.predict_row(X)
            assert row.unseen == tuple(table.unseen)
            if table.labels is not None:
                assert row.label == table.labels[0]
                np.testing.assert_allclose(row.probabilities, table.probabilities[0], rtol=1e-12)
            else:
                assert (row.value, row.low, row.high) == (
                    table.values[0],
                    table.low[0],
                    table.high[0],
                )


def test_labels_follow_the_threshold_of_the_decision(binary):
    prediction = binary.predict_records(RECORDS)
    said_yes = prediction.probabilities[:, 1] >= 0.4
    assert prediction.labels.tolist() == ["yes" if yes else "no" for yes in said_yes]
    assert prediction.values is None


def test_unseen_categories_are_answered_and_named(binary):
    prediction = binary.predict_records(RECORDS)
    assert {n: rows.tolist() for n, rows in prediction.unseen.items()} == {
        "city": [False, False, True, False]
    }


def test_values_come_with_their_interval(regression):
    prediction = regression.predict_records(RECORDS)
    np.testing.assert_allclose(prediction.high - prediction.low, 5.0)
    np.testing.assert_allclose((prediction.high + prediction.low) / 2, prediction.values)
    assert prediction.labels is None
    assert prediction.probabilities is None


@pytest.mark.parametrize("n_rows", [0, 1, BATCH_ROWS, BATCH_ROWS + 1])
def test_any_number_of_rows_is_answered_in_order(binary, n_rows):
    _, X = fitted("binary")
    X = np.resize(X, (n_rows, 4))
    answer = binary.answer_matrix(X)
    assert answer.shape == (n_rows, 2)
    rows = np.arange(n_rows)
    np.testing.assert_allclose(answer, binary.answer_matrix(X[:200])[rows % 200], atol=1e-6)
    np.testing.assert_array_equal(answer_graph(binary.bundle.read("model.onnx"), X), answer)


def test_no_record_gives_no_prediction(binary):
    assert len(binary.predict_records([]).labels) == 0


@pytest.mark.parametrize("n_copies", [1, 2])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"age": "old"}, "row 0, column 'age': got 'old', the rule is: type number"),
        ({"age": 17}, r"column 'age': got '17', the rule is: in \[18, 90\]"),
        ({"age": 18.5}, "column 'age': got '18.5', the rule is: whole number"),
        ({"age": None}, "column 'age': got 'None', the rule is: required"),
        ({"fee": math.inf}, "column 'fee': got 'inf', the rule is: finite number"),
        ({"fee": 1e39}, "column 'fee': got '1e.39', the rule is: finite number"),
        ({"fee": 10**400}, "column 'fee': got .*, the rule is: type number"),
        ({"fee": [1]}, "column 'fee': got .*, the rule is: type number"),
        ({"opened": "25:00"}, "column 'opened': got '25:00', the rule is: type time"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_value_that_breaks_the_contract_is_named(binary, change, message, n_copies):
    with pytest.raises(DataError, match=message):
        binary.predict_records([{**RECORDS[0], **change}] * n_copies)


@pytest.mark.parametrize("n_copies", [1, 2])
def test_missing_and_unknown_columns_are_named_with_a_hint(binary, n_copies):
    record = {name: value for name, value in RECORDS[0].items() if name != "fee"}
    with pytest.raises(
        DataError,
        match=r"1 of 4 columns missing: \['fee'\]; 1 unknown: \['fees'\] "
        r"\(did you mean 'fee'\?\)",
    ):
        binary.predict_records([{**record, "fees": 2}] * n_copies)


@pytest.mark.parametrize("n_copies", [1, 2])
def test_other_names_and_ids_of_the_table_are_understood(binary, n_copies):
    record = {"row": 7, " age ": 30, "Fee in EUR": 1.5, "city": "Delhi", "opened": "09:30"}
    named = binary.predict_records([record] * n_copies)
    plain = binary.predict_records([RECORDS[0]] * n_copies)
    np.testing.assert_array_equal(named.probabilities, plain.probabilities)


COLUMNS = {
    "number": Column(type="number", min=-1, max=0.1),
    "whole": Column(type="number", integer=True, required=True),
    "clipped": Column(type="number", min=0, max=5, out_of_range="missing"),
    "free": Column(type="category", min_rows=2, aliases={"b": "a"}),
    "listed": Column(type="category", categories=("1", "true", "a"), unseen="refuse"),
    "needed": Column(type="category", required=True),
    "time": Column(type="time"),
    "date": Column(type="date"),
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 8),
    st.floats(width=32),
    st.sampled_from(
        [
            0.1,
            0.10000001,
            -1.0000001,
            "a",
            "b",
            " a ",
            "1.0",
            "true",
            "NA",
            "",
            "nan",
            "12:30",
            "24:00",
            "2024-02-29",
            "5",
            "0.1",
            "x",
            3.0,
            float("nan"),
        ]
    ),
)


def read_one(contract, record):
    """The typed columns of one record, and what is wrong with it."""
    try:
        return TableReader(contract).read([record]), []
    except RecordsError as error:
        return {}, error.violations


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(sorted(COLUMNS)), values=st.lists(VALUES, min_size=1, max_size=4))
def test_reader_reads_as_the_batch_does_even_what_it_has_seen_before(name, values):
    contract = Contract(columns={name: COLUMNS[name]})
    reader = Reader(COLUMNS[name], contract.tokens(COLUMNS[name]))
    for value in (*values, *values):
        if COLUMNS[name].type in ("time", "date"):
            typed, violations = parse_columns(contract, {name: [value]})
        else:
            typed, violations = read_one(contract, {name: value})
        if violations:
            with pytest.raises(BrokenRuleError, match=re.escape(violations[0].rule)):
                reader.read(value)
        else:
            read = reader.read(value)
            expected = typed[name][0]
            same = expected == np.asarray(read).astype(typed[name].dtype)
            assert same or (read != read and expected != expected)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(["number", "whole", "clipped", "listed", "needed"]), value=VALUES)
def test_records_are_refused_exactly_where_training_refuses(name, value):
    assume(not (isinstance(value, bool) and COLUMNS[name].type == "number"))
    contract = Contract(columns={name: COLUMNS[name]})
    typed, unreadable = parse_columns(contract, {name: [value]})
    values = typed[name]
    frame = pd.DataFrame(
        {name: pd.Series(values, dtype="str" if values.dtype == object else values.dtype)}
    )
    try:
        frame_schema(contract).validate(frame, lazy=True)
        refused = bool(unreadable)
    except SchemaErrors:
        refused = True
    assert bool(read_one(contract, {name: value})[1]) == refused


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("n_records", [1, 3])
def test_a_truth_value_is_no_number(binary, value, n_records):
    records = [*RECORDS[: n_records - 1], {**RECORDS[0], "fee": value, "city": value}]
    with pytest.raises(RecordsError, match="the rule is: type number") as caught:
        binary.predict_records(records)
    (violation,) = caught.value.violations
    assert (violation.row, violation.column) == (n_records - 1, "fee")
    assert violation.value == str(value).lower()


def test_self_test_passes_on_scikit_learns_answers(binary, regression):
    binary.self_test()
    regression.self_test()


@pytest.mark.parametrize("answer", [[0.5, 0.5], [0.1], []])
def test_self_test_refuses_another_answer(tmp_path, answer):
    golden = [{"record": RECORDS[0], "answer": answer}]
    bundle = write_tiny(tmp_path / "b", golden=golden)
    with pytest.raises(BundleError, match="golden row 0 answers"):
        Predictor(bundle).self_test()


@pytest.mark.parametrize("who", ["training", "the graph"])
def test_self_test_refuses_an_answer_that_is_no_number(tmp_path, who, monkeypatch):
    answer = [0.5, float("nan")] if who == "training" else [0.5, 0.5]
    golden = [{"record": RECORDS[0], "answer": answer}]
    predictor = Predictor(write_tiny(tmp_path / "b", golden=golden))
    if who == "the graph":
        nothing = np.full((1, 2), np.nan, dtype=np.float32)
        monkeypatch.setattr(predictor, "_answer_by_graph", lambda _: nothing)
    with pytest.raises(BundleError, match=r"golden row 0 answers .* must answer finite numbers"):
        predictor.self_test()


def test_self_test_refuses_a_difference_of_a_ten_thousandth(tmp_path, binary):
    answer = binary.predict_records(RECORDS[:1]).probabilities[0] + [1e-4, -1e-4]
    golden = [{"record": RECORDS[0], "answer": answer}]
    with pytest.raises(BundleError, match="golden row 0"):
        Predictor(write_tiny(tmp_path / "b", golden=golden)).self_test()


def test_self_test_allows_the_noise_of_a_steep_calibration(tmp_path, binary):
    """At a jump of the isotonic curve the seventh digit of the graph decides."""
    p = float(binary.answer_matrix(binary.encode_record(RECORDS[0]))[0, 1])
    decision = Decision(
        task="binary", classes=("no", "yes"), positive=1, threshold=0.4, calibration="isotonic",
        knots_x=(0, p - 1e-9, p + 1e-9, 1), knots_y=(0.2, 0.2, 0.9, 0.9),
    )  # fmt: skip
    golden = [{"record": RECORDS[0], "answer": [0.8, 0.2]}]
    Predictor(write_tiny(tmp_path / "b", golden=golden, decision=decision)).self_test()


def test_a_graph_that_does_not_run_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"model\.onnx: onnxruntime .* cannot run this graph"):
        Predictor(write_tiny(tmp_path / "b", graph=b"no graph"))


def test_a_graph_of_another_width_is_refused(tmp_path):
    bundle = write_tiny(
        tmp_path / "b",
        contract=ServedContract(contract=CONTRACT, features=FEATURES[:2]),
    )
    with pytest.raises(BundleError, match=r"reads 4 features, but contract\.json lists 2"):
        Predictor(bundle)


def test_an_empty_category_is_coded_as_encode_does(tmp_path):
    contract = Contract(columns={"c": Column(type="category")})
    features = (Feature(name="c", kind="category", categories=("a", "")),)
    model, X = fitted("binary")
    graph = graph_of(type(model)().fit(X[:, :1], model.predict(X)), 1)
    bundle = write_tiny(
        tmp_path / "b",
        graph=graph,
        contract=ServedContract(contract=contract, features=features),
        golden=[],
    )
    for text in ("a", "", "x", None):
        typed, _ = parse_columns(contract, {"c": [text]})
        expected = encode(features, derive(contract, typed))
        np.testing.assert_array_equal(Predictor(bundle).encode_record({"c": text}), expected)


def test_serving_imports_no_training_library():
    heavy = ["pandas", "sklearn", "pyarrow", "scipy", "lightgbm", "catboost", "yaml", "zenml"]
    code = f"import sys, tabular.predictor; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("n_rows", [1, 3])
def test_rows_without_a_value_are_counted_by_feature(binary, n_rows):
    X = np.float32([[30, np.nan, 2, 9], [30, 1, -1, 9], [30, 1, 2, 9]])[:n_rows]
    expected = {"fee": 1, "city": 1 if n_rows == 1 else 2}
    assert binary.missing(X) == expected
