"""Read the problem's rows into a snapshot."""

from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

import materializers  # noqa: F401  # importing registers them
from tabular.problem import Problem
from tabular.sources import Snapshot, load_table, save_snapshot


@step(enable_cache=False)  # the source is read each time; its content hash keeps the rest cached
def load_rows(problem: Problem, data: str, root: str, home: str) -> Annotated[Snapshot, "snapshot"]:
    """Read the source, or `data` where it names a file; write a content-hashed snapshot."""
    table, source, synthetic = load_table(
        problem, data=Path(data) if data else None, root=Path(root)
    )
    folder = Path(home) / "snapshots" / problem.name
    snapshot = save_snapshot(table, folder, source=source, synthetic=synthetic)
    log_metadata({"rows": snapshot.n_rows, "synthetic": synthetic})
    return snapshot
