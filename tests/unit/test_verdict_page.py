"""The verdict's page is complete in itself, small, and safe to open."""

import pytest

from tabular.challenge import Comparison, Gain, SliceGain
from tabular.evaluation import Metric
from tabular.gates import decide
from tabular.judging import EvaluationSet
from tabular.settings import Gate, Promotion
from tabular.verdict_page import MAX_RESULTS, MAX_SLICES, render_verdict
from tests.unit.test_challenge import problem_of

SET = EvaluationSet(sha256="ab" * 32, n_rows=1200, snapshot="cd" * 32)
HOSTILE = "<script>alert('x')</script>" * 20


def gain(by=0.03, **place):
    metric = Metric(value=by, low=by - 0.01, high=by + 0.01)
    kind = SliceGain if place else Gain
    return kind(n_rows=1100, champion=0.7, challenger=0.7 + by, gain=metric, **place)


def page_of(comparison, **promotion):
    problem = problem_of(promotion=Promotion(**promotion))
    gates = [Gate(metric="latency_ms", max=1), Gate(metric="f1", min=0.5, severity="warn")]
    verdict = decide(gates, {}, {"latency_ms": 0.4}, problem.promotion, comparison)
    return render_verdict(verdict, SET, problem)


def against(**found):
    return Comparison(metric="roc_auc", champion="v1", **{"whole": gain(), **found})


def test_page_without_a_champion_says_so():
    page = page_of(Comparison(metric="roc_auc"))
    assert "no champion yet" in page
    assert "Accepted for production" in page
    assert "f1 was not measured" in page


def test_page_shows_both_scores_the_gain_and_what_was_asked():
    page = page_of(against(n_left_out=100, note="The data moved on."), min_gain=0.02)
    for part in ("challenger of v1", "0.7000", "0.7300", "0.030", "The data moved on.", "1,200"):
        assert part in page
    assert "100 of them left out" in page


def test_page_of_an_obstacle_names_it():
    page = page_of(against(whole=None, obstacle="model.onnx was changed"))
    assert "Refused for production" in page
    assert "could not be compared: model.onnx was changed" in page


@pytest.mark.parametrize(
    ("carries_to", "words"),
    [("production", "gates hold"), ("staging", "by hand only: promotion.carries_to is staging")],
)
def test_page_says_what_keeps_a_name(carries_to, words):
    assert words in page_of(against(), carries_to=carries_to)


def test_page_with_very_many_hostile_slices_stays_small_and_escapes_them():
    slices = tuple(gain(-0.5, column=HOSTILE, value=f"{HOSTILE}{n}") for n in range(200))
    page = page_of(against(slices=slices), max_slice_loss=0.01)
    assert len(page.encode()) < 100_000
    assert "<script" not in page
    assert f"{200 - MAX_SLICES} more are in the report" in page
    assert f"{203 - MAX_RESULTS} more are in the report" in page
