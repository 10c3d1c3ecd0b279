"""Evidently's own report on a sample of the window, as a file: it is too large for the DAG."""

from pathlib import Path
from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from tabular.drift.frames import reference_frame
from tabular.drift.measure import LookAt, open_look
from tabular.drift.reference import read_reference
from tabular.files import whole_file
from tabular.problem import Problem


@step(enable_cache=False)
def write_evidently(
    window_rows: pd.DataFrame, at: LookAt, problem: Problem, home: str
) -> Annotated[str, "evidently_file"]:
    """The path of HOME/monitor/PROBLEM_evidently.html, or an empty text where no rows are given."""
    if window_rows.empty:
        return ""
    from evidently import DataDefinition, Dataset, Report  # 6 s, for this step alone
    from evidently.presets import DataDriftPreset

    profiles = read_reference(open_look(at).bundle).columns
    names = list(window_rows.columns)
    kinds = {
        kind: [n for n in names if profiles[n].kind == kind] for kind in ("number", "category")
    }
    definition = DataDefinition(
        numerical_columns=kinds["number"], categorical_columns=kinds["category"]
    )
    trained = reference_frame(profiles, names, len(window_rows), seed=problem.seed)
    now, before = (
        Dataset.from_pandas(f, data_definition=definition) for f in (window_rows, trained)
    )
    result = Report([DataDriftPreset()]).run(now, before)
    path = Path(home) / "monitor" / f"{problem.name}_evidently.html"
    with whole_file(path) as unfinished:
        result.save_html(str(unfinished))
    log_metadata({"rows": len(window_rows), "size_mb": round(path.stat().st_size / 1e6, 1)})
    return str(path)
