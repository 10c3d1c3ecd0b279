"""Look for leaks before anything is fitted."""

from typing import Annotated

import pandas as pd
from zenml import log_metadata, step
from zenml.types import HTMLString

from tabular.leaks import audit as leaks
from tabular.leaks.audit import LeakAudit
from tabular.leaks.page import render_audit
from tabular.problem import Problem


@step
def audit_leaks(
    train_rows: pd.DataFrame, test_rows: pd.DataFrame, problem: Problem
) -> tuple[Annotated[LeakAudit, "leaks"], Annotated[HTMLString, "leak_audit"]]:
    """Hold the leak rules against training rows and test inputs; the test target is left out."""
    test_inputs = test_rows.drop(columns=problem.target.column)
    audit = leaks.audit_leaks(train_rows, test_inputs, problem)
    log_metadata({s: len(audit.of(s)) for s in leaks.SEVERITIES} | {"rows": len(train_rows)})
    return audit, HTMLString(render_audit(audit))
