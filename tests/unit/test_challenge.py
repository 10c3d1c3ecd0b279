"""Two tiny bundles on the same rows, against a naive loop over the same resamples."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from tabular.challenge import MIN_RESAMPLES, Pair, challenge, compare_bundles, paired_gains
from tabular.contract import Column
from tabular.decision import Decision
from tabular.errors import BundleError
from tabular.exporting import contract_hashes
from tabular.metrics import weigher
from tabular.problem import Problem
from tabular.registry import open_registry
from tabular.row_hashes import packed
from tabular.settings import Candidate, Evaluation, Gate, Promotion, Search, Source, Split, Target
from tests.unit.tiny import BINARY, CONTRACT, REGRESSION, SERVED, fitted, graph_of, write_tiny

N_ROWS = 300


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Enough for what is tested here; how many it takes is tested by itself."""
    monkeypatch.setattr("tabular.challenge.MIN_RESAMPLES", 60)


def problem_of(task="binary", metric="", **parts):
    is_binary = task == "binary"
    classes = {"no": 0, "yes": 1} if is_binary else {}
    return Problem(
        name="tiny",
        title="Tiny",
        task=task,
        source=Source(kind="csv", path="-"),
        target=Target(column="y", classes=classes, positive="yes" if is_binary else ""),
        columns=CONTRACT.columns,
        derive=CONTRACT.derive,
        split=Split(kind="random", seed=5),
        search=Search(metric=metric or ("roc_auc" if is_binary else "mae")),
        candidates={"one": Candidate(estimator="ridge")},
        gates=(Gate(metric="latency_ms", max=1),),
        **{"evaluation": Evaluation(slices=("city",), min_slice_rows=20, bootstrap=60), **parts},
    )


def rows_of(task="binary", seed=1):
    """(300, 6) typed rows whose target follows the model of `fitted`, with noise."""
    rng = np.random.default_rng(seed)
    age, fee = rng.normal(0, 10, N_ROWS), rng.normal(0, 2, N_ROWS)
    score = age + 4 * fee + rng.normal(0, 8, N_ROWS)
    return pd.DataFrame(
        {
            "row": np.arange(N_ROWS).astype(str),
            "age": age.astype(np.float32),
            "fee": fee.astype(np.float32),
            "city": rng.choice(["Delhi", "Mumbai", ""], N_ROWS),
            "opened": rng.integers(0, 1440, N_ROWS).astype(np.float32),
            "y": (score > 0).astype(np.int64) if task == "binary" else score,
        }
    )


def no_rows():
    return packed(np.array([], dtype=np.uint64))


def bundle(folder, task="binary", **changes):
    """The good model: what the rows follow."""
    return write_tiny(folder, task, **{"fitted_rows": no_rows(), **changes})


def worse(folder, **changes):
    """A model that reads `fee` only."""
    _, X = fitted("binary")
    blind = LogisticRegression().fit(X * [0, 1, 0, 0], (X[:, 1] > 0).astype(int))
    return bundle(folder, graph=graph_of(blind), **changes)


@pytest.mark.parametrize("metric", ["roc_auc", "pr_auc", "f1", "log_loss"])
def test_gain_and_interval_are_those_of_a_naive_loop_over_the_same_resamples(metric):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 80)
    answers = [np.column_stack([1 - p, p]) for p in rng.uniform(0.02, 0.98, (2, 80))]
    rows = np.ones(80, dtype=bool)
    pair = Pair(rows, *(weigher(BINARY, a, y, Evaluation(), only=metric) for a in answers))
    got = paired_gains([pair], metric, n_resamples=50, seed=9)[0]

    def score(answer, of):
        p, true = answer[of, 1], y[of]
        return {
            "roc_auc": lambda: sk.roc_auc_score(true, p),
            "pr_auc": lambda: sk.average_precision_score(true, p),
            "f1": lambda: sk.f1_score(true, p >= 0.4),
            "log_loss": lambda: sk.log_loss(true, p),
        }[metric]()

    def gain(of):
        champion, challenger = (score(answer, of) for answer in answers)
        return champion - challenger if metric == "log_loss" else challenger - champion

    again = np.random.default_rng(9)
    drawn = [gain(again.integers(0, 80, 80)) for _ in range(50)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert got.champion == pytest.approx(score(answers[0], np.arange(80)))
    assert got.challenger == pytest.approx(score(answers[1], np.arange(80)))
    assert got.gain.value == pytest.approx(gain(np.arange(80)))
    assert (got.gain.low, got.gain.high) == pytest.approx((low, high))


def test_gain_of_four_rows_worked_out_by_hand():
    """Errors 1, 1, 1, 1 against 0, 0, 1, 1: the mean error falls from 1 to 0.5."""
    y, decision = np.zeros(4), REGRESSION
    answers = [np.array([[1.0], [-1], [1], [-1]]), np.array([[0.0], [0], [1], [-1]])]
    weighs = [weigher(decision, a, y, Evaluation(), only="mae") for a in answers]
    whole = Pair(np.ones(4, dtype=bool), *weighs)
    half = np.array([False, False, True, True])
    part = Pair(half, *(weigher(decision, a[half], y[half], Evaluation()) for a in answers))
    gains = paired_gains([whole, part], "mae", n_resamples=200, seed=1)
    assert (gains[0].champion, gains[0].challenger, gains[0].gain.value) == (1.0, 0.5, 0.5)
    assert (gains[1].n_rows, gains[1].gain.value, gains[1].gain.high) == (2, 0.0, 0.0)


def test_equal_bundles_gain_exactly_nothing(tmp_path):
    one, other = bundle(tmp_path / "a"), bundle(tmp_path / "b")
    whole = compare_bundles(one, other, rows_of(), problem_of(), version="v1").whole
    assert (whole.gain.value, whole.gain.low, whole.gain.high) == (0, 0, 0)


@pytest.mark.parametrize("metric", ["roc_auc", "brier", "log_loss", "f1", "accuracy"])
def test_better_bundle_gains_whichever_way_its_metric_points(tmp_path, metric):
    good, bad = bundle(tmp_path / "a"), worse(tmp_path / "b")
    problem = problem_of(metric=metric)
    won = compare_bundles(good, bad, rows_of(), problem, version="v1").whole
    lost = compare_bundles(bad, good, rows_of(), problem, version="v1").whole
    assert won.gain.low > 0
    assert (lost.gain.low, lost.gain.high) == (-won.gain.high, -won.gain.low)


def test_promotion_metric_goes_before_the_search_metric(tmp_path):
    problem = problem_of(promotion=Promotion(metric="f1"))
    one = bundle(tmp_path / "a")
    assert compare_bundles(one, one, rows_of(), problem, version="v1").metric == "f1"


def test_regression_is_compared_too(tmp_path):
    rows = rows_of("regression")
    good = bundle(tmp_path / "a", "regression")
    graph = graph_of(fitted("regression")[0])
    far = write_tiny(
        tmp_path / "b",
        "regression",
        graph=graph,
        fitted_rows=no_rows(),
        decision=REGRESSION,
        contract=SERVED.model_copy(
            update={"features": (SERVED.features[1], SERVED.features[0], *SERVED.features[2:])}
        ),
    )
    comparison = compare_bundles(good, far, rows, problem_of("regression"), version="v1")
    assert comparison.metric == "mae"
    assert comparison.whole.gain.low > 0


def test_comparison_is_the_same_again_whatever_the_models_seed(tmp_path):
    good, bad = bundle(tmp_path / "a"), worse(tmp_path / "b")
    one, other = (
        compare_bundles(good, bad, rows_of(), problem, version="v1")
        for problem in (problem_of(), problem_of().model_copy(update={"seed": 7}))
    )
    assert one == other


def test_slices_hold_the_rows_of_one_value(tmp_path):
    good, bad, rows = bundle(tmp_path / "a"), worse(tmp_path / "b"), rows_of()
    found = compare_bundles(good, bad, rows, problem_of(), version="v1")
    assert {one.value for one in found.slices} == {"Delhi", "Mumbai", "(missing)"}
    for one in found.slices:
        of = rows[rows["city"] == one.value.replace("(missing)", "")].reset_index(drop=True)
        alone = compare_bundles(good, bad, of, problem_of(), version="v1").whole
        assert (one.n_rows, one.gain.value) == (len(of), pytest.approx(alone.gain.value))


def test_slice_where_the_metric_is_not_defined_is_left_out(tmp_path):
    good, rows = bundle(tmp_path / "a"), rows_of()
    rows.loc[rows["city"] == "Delhi", "y"] = 1
    found = compare_bundles(good, good, rows, problem_of(), version="v1")
    assert {one.value for one in found.slices} == {"Mumbai", "(missing)"}


@pytest.mark.parametrize("who", ["champion", "challenger"])
def test_rows_that_either_was_fitted_on_are_left_out(tmp_path, who):
    rows, problem = rows_of(), problem_of()
    seen = packed(contract_hashes(rows.head(40), problem))
    files = {who: {"fitted_rows": seen}}
    good = bundle(tmp_path / "a", **files.get("challenger", {}))
    bad = worse(tmp_path / "b", **files.get("champion", {}))
    found = compare_bundles(good, bad, rows, problem, version="v1")
    unseen = rows.tail(N_ROWS - 40).reset_index(drop=True)
    expected = compare_bundles(good, bad, unseen, problem, version="v1")
    assert (found.n_left_out, expected.n_left_out) == (40, 0)
    assert found.whole == expected.whole
    assert "40 of 300 test rows were left out" in found.note


def test_no_row_left_gives_no_gain(tmp_path):
    rows, problem = rows_of(), problem_of()
    good = bundle(tmp_path / "a", fitted_rows=packed(contract_hashes(rows, problem)))
    found = compare_bundles(good, good, rows, problem, version="v1")
    assert (found.whole, found.slices, found.n_left_out) == (None, (), N_ROWS)


def test_note_says_that_the_data_moved_on(tmp_path):
    old = bundle(tmp_path / "a", facts={"snapshot": "1" * 64})
    new = bundle(tmp_path / "b", facts={"snapshot": "2" * 64})
    found = compare_bundles(new, old, rows_of(), problem_of(), version="v4")
    assert found.note.startswith("The data moved on since v4 (snapshot 111111111111, now 2222")
    assert compare_bundles(new, new, rows_of(), problem_of(), version="v4").note == ""


THREE = Decision(task="multiclass", classes=("a", "b", "c"))
RETYPED = CONTRACT.model_copy(
    update={"columns": {**CONTRACT.columns, "fee": Column(type="category")}}
)
WIDER = CONTRACT.model_copy(
    update={"columns": {**CONTRACT.columns, "height": Column(type="number")}}
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"decision": THREE}, "another question (multiclass with classes ['a', 'b', 'c'])"),
        ({"decision": BINARY.model_copy(update={"classes": ("yes", "no")})}, "another question"),
        ({"decision": BINARY.model_copy(update={"positive": 0})}, "another question"),
        ({"contract": SERVED.model_copy(update={"contract": WIDER})}, "no longer has: ['height']"),
        ({"contract": SERVED.model_copy(update={"contract": RETYPED})}, "type is another now"),
        ({"fitted_rows": None}, "v1 does not say which rows it was fitted on"),
    ],
)
def test_champion_that_does_not_fit_the_rows_is_refused(tmp_path, changes, words):
    one, other = bundle(tmp_path / "a"), bundle(tmp_path / "b", **changes)
    with pytest.raises(BundleError, match="v1") as error:
        compare_bundles(one, other, rows_of(), problem_of(), version="v1")
    assert words in str(error.value)


@pytest.fixture
def registry(tmp_path):
    """A registry whose production is v1, the worse model."""
    versions = open_registry(str(tmp_path / "registry"))
    worse(tmp_path / "champion")
    versions.publish("tiny", tmp_path / "champion")
    versions.set_alias("tiny", "production", "v1", actor="test", why="first")
    return versions


def test_challenge_reads_the_champion_that_production_names(tmp_path, registry):
    found = challenge(bundle(tmp_path / "a"), rows_of(), problem_of(), registry.location)
    assert (found.champion, found.obstacle, found.whole.n_rows) == ("v1", "", N_ROWS)
    assert found.whole.gain.low > 0


def test_challenge_without_a_champion_finds_nothing(tmp_path):
    found = challenge(bundle(tmp_path / "a"), rows_of(), problem_of(), str(tmp_path / "none"))
    assert (found.champion, found.whole, found.obstacle) == ("", None, "")


def test_challenge_of_a_changed_champion_names_the_file(tmp_path, registry):
    graph = next((tmp_path / "registry").rglob("model.onnx"))
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    found = challenge(bundle(tmp_path / "a"), rows_of(), problem_of(), registry.location)
    assert (found.champion, found.whole) == ("v1", None)
    assert "model.onnx" in found.obstacle


def test_comparison_resamples_at_least_a_thousand_times(tmp_path, monkeypatch):
    from tabular import challenge as module

    monkeypatch.setattr(module, "MIN_RESAMPLES", MIN_RESAMPLES)
    seen = []

    def count(pairs, metric, *, n_resamples, seed):
        seen.append((n_resamples, seed))
        return paired_gains(pairs, metric, n_resamples=20, seed=seed)

    monkeypatch.setattr(module, "paired_gains", count)
    one = bundle(tmp_path / "a")
    for bootstrap in (20, 2000):
        problem = problem_of(evaluation=Evaluation(bootstrap=bootstrap))
        compare_bundles(one, one, rows_of(), problem, version="v1")
    assert seen == [(1000, 5), (2000, 5)]


def test_gain_is_none_where_a_metric_needs_both_classes():
    y = np.ones(5, dtype=int)
    weigh = weigher(BINARY, np.full((5, 2), 0.5), y, Evaluation(), only="roc_auc")
    assert math.isnan(weigh(np.ones(5))["roc_auc"])
    pair = Pair(np.ones(5, dtype=bool), weigh, weigh)
    assert paired_gains([pair], "roc_auc", n_resamples=20, seed=1) == [None]
