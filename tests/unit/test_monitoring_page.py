"""The monitoring page is complete in itself, small, and safe to open."""

from datetime import timedelta

from tabular.drift.page import MAX_COLUMNS, render_monitoring
from tabular.drift.window import Drift
from tabular.prediction_log.performance import VersionPerformance
from tests.unit.test_challenge import problem_of
from tests.unit.test_drift_due import NOW, column, decide, drift, live

HOSTILE = "<script>alert('x')</script>" * 20


def page_of(found: Drift, outcomes=None):
    outcomes = outcomes or live(n_labels=0)
    return render_monitoring(found, outcomes, decide(found, outcomes), problem_of())


def test_page_of_a_quiet_window_says_so():
    page = page_of(drift(column("fee", 0.4, alarms=False)))
    for part in ("Nothing is due", "500 answered rows", "training rows of v3", "fee", "40 %"):
        assert part in page
    assert (NOW - timedelta(days=7)).strftime("%Y-%m-%d %H:%M") in page


def test_page_shows_alarms_reasons_and_live_metrics_beside_the_test_part():
    page = page_of(drift(column("fee", 0.4)), live(4.5))
    for part in ("Action is due", "fee: the values moved", "live mae is 4.5", "4.50", "3.00"):
        assert part in page


def test_page_lists_versions_where_several_answered():
    shadow = live(3.0).metrics[0].live
    both = [
        VersionPerformance(version="v3", role="production", n_rows=400, metrics={"mae": shadow}),
        VersionPerformance(version="v4", role="shadow", n_rows=400, metrics={"mae": shadow}),
    ]
    page = page_of(drift(), live(3.0).model_copy(update={"versions": tuple(both)}))
    assert "v4" in page
    assert "shadow" in page


def test_page_is_small_and_inert_whatever_it_shows():
    many = [column(f"{HOSTILE}{place}", 0.1) for place in range(400)]
    words = tuple(one.model_copy(update={"alarms": (HOSTILE * 5,) * 5}) for one in many)
    found = drift(*words).model_copy(update={"notes": (HOSTILE,) * 50})
    page = page_of(found)
    assert len(page.encode()) < 100_000
    assert "<script" not in page
    assert f"{400 - MAX_COLUMNS} more are in the report" in page
