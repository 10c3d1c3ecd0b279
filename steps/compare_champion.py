"""Score the champion of the registry and the new bundle on the same test rows."""

from pathlib import Path
from typing import Annotated

import pandas as pd
from zenml import log_metadata, step

from tabular.bundle import Bundle
from tabular.challenge import Comparison, challenge
from tabular.problem import Problem


@step(enable_cache=False)  # the champion changes behind the inputs' back
def compare_champion(
    bundle: Bundle, test_rows: pd.DataFrame, problem: Problem, registry: str, public_key: str
) -> Annotated[Comparison, "comparison"]:
    """Say what the new bundle gains over the version that production names now."""
    comparison = challenge(
        bundle, test_rows, problem, registry, public_key=Path(public_key) if public_key else None
    )
    log_metadata({"champion": comparison.champion or "none"})
    if comparison.whole is not None:
        log_metadata({"rows": comparison.whole.n_rows, "gain": comparison.whole.gain.value})
    return comparison
