"""`--init --yes`, then `--train`, on tables as people have them: no edit, and no worse by hand.

The baseline is boosted trees tuned by hand on the same training rows, cleaned by somebody who knows
the table, and scored on the same test rows. Training all twelve takes too long for every change, so
that the smallest of each task are trained here: chosen by rows times columns, before any score is
known. All twelve: python -m benchmarks.init. What is read of their traps: tests/unit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.any_tables import TABLES, AnyTable
from tests.by_hand import compare
from tests.champions import forget_champions

WITHIN = 0.02

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One ZenML store a process: that of the integration tests where they ran before.

    What they put into production is no champion here.
    """
    with pytest.MonkeyPatch.context() as patch:
        if "ZENML_CONFIG_PATH" not in os.environ:
            folder = tmp_path_factory.mktemp("home")
            patch.setenv("BENTOLINE_HOME", str(folder))
            patch.setenv("ZENML_CONFIG_PATH", str(folder / "zenml"))
        forget_champions(Path(os.environ["BENTOLINE_HOME"]))
        yield


def smallest_of_each_task() -> list[AnyTable]:
    largest_first = sorted(TABLES, key=lambda table: -table.rows()[1].size)
    return list({table.task: table for table in largest_first}.values())


@pytest.mark.parametrize("table", smallest_of_each_task(), ids=lambda table: table.name)
def test_proposal_trains_as_it_is_and_is_as_good_as_by_hand(
    table: AnyTable, tmp_path: Path
) -> None:
    found = compare(table, tmp_path)
    assert found.shipped >= found.by_hand - WITHIN
