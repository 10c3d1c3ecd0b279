"""What a million predictions cost: worked out by hand, and as docs/scale.md has it."""

import re

import pytest

from benchmarks.serving_cost import KB, PAGE, Option, Prices, lines, measured, options, page_of
from tests.unit.docs_pages import ROOT

# Two hosts and a balancer: 2 * .02 + .02 = .06 an hour, .01 more a busy host, .008 a GB.
HOSTS = Option("hosts", n_workers=2, idle=0.06, busy=0.01, gb=0.008)


def test_a_million_costs_an_hour_by_its_predictions_and_its_bytes():
    # 2 workers * 1,000 a second * half * 3,600 s are 3.6 million an hour for .08, and 1 GB.
    assert HOSTS.per_million(1000, 1) == pytest.approx(0.08 / 3.6 + 0.008)
    # 100 rows a request at 100 a second are 36 million an hour, and .35 GB a million.
    assert HOSTS.per_million(100, 100) == pytest.approx(0.08 / 36 + 0.35 * 0.008)


def test_a_million_a_day_pays_for_the_whole_day():
    assert HOSTS.daily_per_million() == pytest.approx(24 * 0.06 + 0.008)


def test_hosts_pay_for_cpu_beyond_what_is_free_and_clusters_for_their_control_plane():
    two, four, cluster, *_ = options(
        Prices(host=0.02, burst=0.5, burst_free=0.4, balancer=0.03, cluster=0.2)
    )
    assert (two.idle, four.idle, cluster.idle) == pytest.approx((0.07, 0.11, 0.27))
    assert two.busy == pytest.approx(0.05)  # (.5 - .4) * .5
    assert options(Prices(burst_free=0.6))[0].busy == 0


def test_requests_are_read_from_the_table_of_the_readme():
    table = "| rows, connections | server | requests/s |\n|---|---|---|\n"
    rows = "| 1, 16 | bentoline | 3,047 |\n| 1, 16 | other | 9 |\n| 100, 16 | bentoline | 52 |\n"
    readme = f"x <!-- bench-serve: begin -->\n{table}{rows}<!-- bench-serve: end -->"
    assert measured(readme) == {1: 3047.0, 100: 52.0}


def test_twice_the_price_or_half_the_speed_changes_the_table():
    slow, fast = ({1: n, 100: n / 10} for n in (1000.0, 2000.0))
    assert lines(slow, Prices()) != lines(fast, Prices())
    assert lines(slow, Prices()) != lines(slow, Prices(host=1.0))


def test_the_page_has_the_table_of_the_readme_s_figures():
    page = PAGE.read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert page == page_of(page, readme), "run python -m benchmarks.serving_cost"


@pytest.mark.parametrize(
    ("row", "prices"),
    [
        ("host, t3.small", [Prices.host]),
        ("vCPU in use beyond 0.4 of", [Prices.burst]),
        ("load balancer", [Prices.balancer, Prices.balancer_gb]),
        ("EKS, the control plane", [Prices.cluster]),
        ("BentoCloud, an instance of one core", [Prices.bento_core]),
        ("request and answer with headers", [KB[1], KB[100], 100]),
    ],
)
def test_the_page_s_inputs_are_those_of_the_script(row, prices):
    (line,) = [one for one in PAGE.read_text().splitlines() if one.startswith(f"| {row}")]
    value = line.split("|")[2]
    assert [float(number) for number in re.findall(r"[\d.]+", value)] == prices
