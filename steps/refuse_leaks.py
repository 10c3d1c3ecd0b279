"""Write the leak audit's page; stop the run where a finding blocks."""

from pathlib import Path

from zenml import step

from tabular.files import whole_file
from tabular.leaks import audit as leaks
from tabular.leaks.audit import LeakAudit
from tabular.leaks.page import render_audit


@step(enable_cache=False)  # so that the audit above is kept as an artifact, and the page is written
def refuse_leaks(audit: LeakAudit, home: str) -> None:
    """Write `reports/PROBLEM_leaks.html`, then let the run go on or end it."""
    page = Path(home) / "reports" / f"{audit.problem}_leaks.html"
    with whole_file(page) as unfinished:
        unfinished.write_text(render_audit(audit), encoding="utf-8")
    leaks.refuse_leaks(audit, page=str(page))
