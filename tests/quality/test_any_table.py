"""`--init --yes`, then `--train`, on tables as people have them: no edit, and no worse by hand.

The baseline is boosted trees tuned by hand on the same training rows, cleaned by somebody who knows
the table, and scored on the same test rows. All twelve tables: python -m benchmarks.init.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.any_tables import TABLES, AnyTable
from tests.by_hand import compare

# One for each task, with most of the traps, and small.
QUICK = ("wine", "flats", "churn")
WITHIN = 0.02

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One ZenML store a process: that of the integration tests where they ran before."""
    with pytest.MonkeyPatch.context() as patch:
        if "ZENML_CONFIG_PATH" not in os.environ:
            folder = tmp_path_factory.mktemp("home")
            patch.setenv("BENTOLINE_HOME", str(folder))
            patch.setenv("ZENML_CONFIG_PATH", str(folder / "zenml"))
        yield


@pytest.mark.parametrize("table", [t for t in TABLES if t.name in QUICK], ids=lambda t: t.name)
def test_proposal_trains_as_it_is_and_is_as_good_as_by_hand(
    table: AnyTable, tmp_path: Path
) -> None:
    found = compare(table, tmp_path)
    assert found.shipped >= found.by_hand - WITHIN
