"""What a million predictions cost, from the README's measured requests/s, into docs/scale.md.

    python -m benchmarks.serving_cost

`make bench-serve` calls it too, so that the costs follow what was measured. A worker is one core.
Every price is an input: put in those of your region and contract.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.contenders import OURS
from benchmarks.serve_targets import BEGIN, END
from benchmarks.servers import ROOT

PAGE = ROOT / "docs" / "scale.md"
COST_BEGIN, COST_END = "<!-- serving-cost: begin -->", "<!-- serving-cost: end -->"
N_ROWS, CONNECTIONS = (1, 100), 16
KB = {1: 1.0, 100: 35.0}  # of a request and its answer with headers, about
BUSY_SHARE = 0.5  # of the measured requests/s; the rest is for peaks and a host that is replaced
DAILY = 1_000_000  # predictions, for the column of a small service


@dataclass(frozen=True)
class Prices:
    """Dollars an hour: AWS's list for us-east-1, January 2025; BentoCloud's is assumed.

    A t3.small has two vCPUs, of which a host may use `burst_free` for good; what it uses beyond
    costs `burst` a vCPU. `balancer_gb` is for each GB through the balancer.
    """

    host: float = 0.0208
    burst: float = 0.05
    burst_free: float = 0.4
    balancer: float = 0.0225
    balancer_gb: float = 0.008
    cluster: float = 0.10
    bento_core: float = 0.10


@dataclass(frozen=True)
class Option:
    """Some workers, with what they cost an hour idle, a busy one adds, and a GB costs."""

    name: str
    n_workers: int
    idle: float
    busy: float
    gb: float

    def per_million(self, per_s: float, n_rows: int) -> float:
        """Dollars for a million predictions while every worker is at BUSY_SHARE.

        dollars an hour / predictions an hour * 1e6 + GB of a million predictions * dollars a GB.
        """
        hourly = self.idle + self.n_workers * self.busy
        predictions = self.n_workers * per_s * BUSY_SHARE * n_rows * 3600
        return hourly / predictions * 1e6 + KB[n_rows] / n_rows * self.gb

    def daily_per_million(self) -> float:
        """The same where DAILY predictions come in a day, one a request, and workers idle."""
        return self.idle * 24 / (DAILY / 1e6) + KB[1] * self.gb


def options(prices: Prices) -> list[Option]:
    """Hosts of one worker, as `serving.workers` is 1 and a pod asks for a core."""
    burst = max(0.0, BUSY_SHARE - prices.burst_free) * prices.burst
    gb = prices.balancer_gb

    def hosts(name: str, n: int, more: float = 0.0) -> Option:
        return Option(name, n, n * prices.host + prices.balancer + more, burst, gb)

    return [
        hosts("Auto Scaling group of 2", 2),
        hosts("Auto Scaling group of 4", 4),
        hosts("Kubernetes (EKS), 2 pods on 2 hosts", 2, prices.cluster),
        hosts("Kubernetes (EKS), 4 pods on 4 hosts", 4, prices.cluster),
        Option("BentoCloud, 2 instances of a core", 2, 2 * prices.bento_core, 0.0, 0.0),
        Option("BentoCloud, 4 instances of a core", 4, 4 * prices.bento_core, 0.0, 0.0),
    ]


def measured(readme: str) -> dict[int, float]:
    """Requests/s of one worker on one core, by rows in a request, from the README's table."""
    table = readme.split(BEGIN)[1].split(END)[0]
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    shown = {row[1]: row[3] for row in rows if row[2:3] == [OURS]}
    return {n: float(shown[f"{n}, {CONNECTIONS}"].replace(",", "")) for n in N_ROWS}


def lines(per_s: dict[int, float], prices: Prices) -> list[str]:
    """The table."""
    one, many = N_ROWS
    said = (
        f"One worker on one core, measured: {per_s[one]:,.0f} requests/s of one row, and "
        f"{per_s[many]:,.0f} of {many} rows, which are {per_s[many] * many:,.0f} rows/s."
    )
    head = (
        "| what serves | requests/s of one row | $ an hour, idle | $ a million, one a request "
        f"| $ a million, {many} a request | $ a million, a million a day |"
    )
    rows = (
        f"| {option.name} | {option.n_workers * per_s[one] * BUSY_SHARE:,.0f} "
        f"| {option.idle:.3f} | {option.per_million(per_s[one], one):.4f} "
        f"| {option.per_million(per_s[many], many):.4f} | {option.daily_per_million():.2f} |"
        for option in options(prices)
    )
    return [said, "", head, "|---|---|---|---|---|---|", *rows]


def page_of(page: str, readme: str) -> str:
    """The page with the table between its marks."""
    before, rest = page.split(COST_BEGIN)
    _, after = rest.split(COST_END)
    table = "\n".join(lines(measured(readme), Prices()))
    return f"{before}{COST_BEGIN}\n{table}\n{COST_END}{after}"


def write_page() -> None:
    """Put the table into docs/scale.md."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    PAGE.write_text(page_of(PAGE.read_text(encoding="utf-8"), readme), encoding="utf-8")


if __name__ == "__main__":
    write_page()
