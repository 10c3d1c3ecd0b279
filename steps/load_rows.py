"""Read the problem's rows into a snapshot."""

import os
from pathlib import Path
from typing import Annotated

from zenml import log_metadata, step

import materializers  # noqa: F401  # importing registers them
from tabular.problem import Problem
from tabular.progress_bar import showing_progress
from tabular.sources import open_rows
from tabular.tables.snapshot import Snapshot, save_snapshot


@step(enable_cache=False)  # the source is read each time; its content hash keeps the rest cached
def load_rows(problem: Problem, data: str, root: str, home: str) -> Annotated[Snapshot, "snapshot"]:
    """Read the source, or `data` where it names a table; write a content-hashed snapshot."""
    # Read here and not handed in: a step's parameters are kept, and the address holds a password.
    uri = os.environ.get("MONGODB_URI", "")
    with showing_progress("reading") as progress:  # a collection is read whole while it is opened
        rows = open_rows(
            problem,
            data=data,
            root=Path(root),
            mongodb_uri=uri,
            needs_target=True,
            progress=progress,
        )
    folder = Path(home) / "snapshots" / problem.name
    snapshot = save_snapshot(rows.batches, folder, source=rows.source, synthetic=rows.synthetic)
    log_metadata({"rows": snapshot.n_rows, "synthetic": snapshot.synthetic})
    return snapshot
