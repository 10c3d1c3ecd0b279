"""What a user can get wrong: one sentence with the fix, exit code 2, nothing lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

Train = Callable[..., Any]
Spoil = Callable[[pd.DataFrame], pd.DataFrame]


def table() -> pd.DataFrame:
    """Iris with class names, 150 rows."""
    bunch = load_iris(as_frame=True)
    names = [str(bunch.target_names[code]) for code in bunch.target]
    return bunch.frame.assign(target=names)


def check_sentence(outcome: Any, *parts: str) -> None:
    """Exit code 2 and one line on stderr, which has all parts and no traceback."""
    assert outcome.code == 2
    lines = outcome.stderr.strip().splitlines()
    assert len(lines) == 1, outcome.stderr
    assert lines[0].startswith("bentoline: ")
    assert "Traceback" not in outcome.stderr
    for part in parts:
        assert part in lines[0]
    assert outcome.report["error"] in lines[0]


SPOILT: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "one class only": (lambda t: t.assign(target="setosa"), ("0 rows of class", "versicolor")),
    "constant column": (
        lambda t: t.assign(**{"petal width (cm)": 1.0}),
        ("petal width (cm)", "one value", "type: ignore"),
    ),
    "column of another type": (
        lambda t: t.assign(**{"petal width (cm)": "wide"}),
        ("150 of 150 rows", "petal width (cm)", "type number", "'wide'"),
    ),
    "target with missing values": (
        lambda t: t.assign(target=t["target"].where(np.arange(150) != 7)),
        ("missing in 1 of 150", "row 7", "target.missing: drop"),
    ),
    "missing column": (
        lambda t: t.drop(columns="petal width (cm)"),
        ("columns missing", "petal width (cm)"),
    ),
    "misspelt column": (
        lambda t: t.rename(columns={"petal width (cm)": "petal widht (cm)"}),
        ("did you mean 'petal widht (cm)'?",),
    ),
    "unknown class": (
        lambda t: t.assign(target=t["target"].replace("setosa", "tulip")),
        ("50 of 150 rows", "tulip"),
    ),
    "header only": (lambda t: t.head(0), ("no row below it",)),
}


@pytest.mark.parametrize("case", SPOILT)
def test_spoilt_table_is_refused_with_a_sentence(case: str, train: Train, tmp_path: Path) -> None:
    """Each spoilt table gives exit code 2 and a sentence that names what is wrong."""
    spoil, parts = SPOILT[case]
    path = tmp_path / "rows.csv"
    spoil(table()).to_csv(path, index=False)
    check_sentence(train("iris", "--data", str(path)), *parts)


def test_missing_file_is_refused(train: Train, tmp_path: Path) -> None:
    """A path with nothing behind it is named."""
    check_sentence(train("iris", "--data", str(tmp_path / "none.csv")), "none.csv", "no such file")


def test_empty_file_is_refused(train: Train, tmp_path: Path) -> None:
    """A file of no bytes is named."""
    path = tmp_path / "rows.csv"
    path.touch()
    check_sentence(train("iris", "--data", str(path)), "rows.csv", "empty")


def test_binary_file_is_refused(train: Train, tmp_path: Path) -> None:
    """A Parquet file under the name of a CSV is not read as text."""
    path = tmp_path / "rows.csv"
    table().to_parquet(tmp_path / "rows.parquet")
    shutil.copy(tmp_path / "rows.parquet", path)
    check_sentence(train("iris", "--data", str(path)), "rows.csv", "binary")


def test_corrupt_parquet_is_refused(train: Train, tmp_path: Path) -> None:
    """A cut Parquet file is named, with the reader's reason."""
    path = tmp_path / "rows.parquet"
    table().to_parquet(path)
    path.write_bytes(path.read_bytes()[:2000])
    check_sentence(train("iris", "--data", str(path)), "rows.parquet", "cannot be read")


def test_yaml_typo_is_refused_before_any_row_is_read(
    train: Train, make_problem: Callable[..., Path]
) -> None:
    """A misspelt key names the file, the place and the nearest key."""
    check_sentence(
        train(make_problem(split__test_shar=0.2)), "iris.yaml", "test_shar", "test_share"
    )


def test_unknown_problem_gives_the_nearest(train: Train) -> None:
    """A wrong name is answered with the nearest one."""
    check_sentence(train("irsi"), "irsi", "did you mean 'iris'")


def test_candidate_that_cannot_export_is_refused_before_fitting(
    train: Train, make_problem: Callable[..., Path]
) -> None:
    """The reason comes at config time, not after an hour of fitting."""
    candidates = {"odd": {"estimator": "sklearn.semi_supervised.LabelSpreading"}}
    check_sentence(train(make_problem(candidates=candidates)), "odd")


def test_bad_input_leaves_the_last_good_bundle(train: Train, tmp_path: Path, home: Path) -> None:
    """After a refused run the registry is byte for byte what it was, and the next run works."""
    train("iris")
    before = contents(home / "registry")
    path = tmp_path / "rows.csv"
    table().assign(target="setosa").to_csv(path, index=False)
    assert train("iris", "--data", str(path)).code == 2
    assert contents(home / "registry") == before
    assert train("iris").code == 1  # a version like the last good one, and no better


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes, locks left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }
