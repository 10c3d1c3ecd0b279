"""The notebooks run from top to bottom, and hold no output in git."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def execute(notebook: Path) -> Any:
    """Run every cell in a kernel of this environment; a cell that raises fails the test."""
    cells = nbformat.read(notebook, as_version=4)
    place = {"metadata": {"path": str(notebook.parent)}}
    NotebookClient(cells, timeout=240, resources=place).execute()
    return cells


def pages(notebook: Any) -> str:
    """Everything that the cells show."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(
        o.text if o.output_type == "stream" else str(o.data.get("text/html", o.data))
        for o in outputs
    )


def test_there_are_two_notebooks() -> None:
    assert [file.stem for file in NOTEBOOKS] == ["01_explore", "02_model_card"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebook_has_no_output_in_git(notebook: Path) -> None:
    stripped = subprocess.run(
        [str(Path(sys.executable).parent / "nbstripout"), "--verify", str(notebook)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert stripped.returncode == 0, f"run: nbstripout {notebook.relative_to(ROOT)}"
    assert "outputs" in notebook.read_text(encoding="utf-8")


@pytest.mark.slow
def test_notebooks_run_and_show_what_they_promise(
    train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOLINE_PROBLEM", "iris")
    for name in ("BENTOLINE_REGISTRY", "MONGODB_URI", "EXPLORE_DATA"):
        monkeypatch.delenv(name, raising=False)
    version = train().report["version"]
    shown = pages(execute(NOTEBOOKS[0]))
    for words in ("150 rows of iris", "Rows by petal length", "Leak audit"):
        assert words in shown
    shown = pages(execute(NOTEBOOKS[1]))
    for words in (
        f"iris {version}: every file is whole",
        "accuracy",
        "Calibration",
        "Contribution",
    ):
        assert words in shown
