"""Tables in S3, in parts and in gzip through the command, and `--contract diff`."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.datasets import load_iris

import run
from tabular.errors import DataError, StoreError
from tabular.tables.readers import open_table
from tests.s3 import client, credentials, free_port, moto

BUCKET = "tables"
Train = Callable[..., Any]


def iris() -> pd.DataFrame:
    """Iris with class names, 150 rows."""
    bunch = load_iris(as_frame=True)
    return bunch.frame.assign(target=[str(bunch.target_names[code]) for code in bunch.target])


def parquet(rows: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    rows.to_parquet(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    rows, files = iris(), {}
    files["a.csv"] = rows.to_csv(index=False).encode()
    files["a.csv.gz"] = gzip.compress(files["a.csv"])
    files["cut.csv.gz"] = files["a.csv.gz"][:-200]
    files["a.parquet"] = parquet(rows)
    files["cut.parquet"] = files["a.parquet"][:2000]
    for start in (0, 100):  # the order of names is that of the rows
        files[f"parts/{start:03}.parquet"] = parquet(rows[start : start + 100])
    with moto() as address:
        s3 = client(address)
        s3.create_bucket(Bucket=BUCKET)
        for key, body in files.items():
            s3.put_object(Bucket=BUCKET, Key=f"iris/{key}", Body=body)
        yield address


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The prefix of the tables."""
    for name, value in credentials(endpoint).items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/iris"


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "parts", "parts/"])
def test_table_in_s3_is_read_whole(s3: str, name: str) -> None:
    """Each form gives the rows that were put there, in order."""
    table = open_table(f"{s3}/{name}")
    rows = pa.Table.from_batches(table.batches(table.names)).to_pandas()
    expected = iris()
    assert rows["target"].tolist() == expected["target"].tolist()
    assert rows.iloc[:, 0].astype(float).tolist() == expected.iloc[:, 0].tolist()


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("none.csv", "there is no such file"),
        ("cut.csv.gz", "cannot be read as csv"),
        ("cut.parquet", "cannot be read as parquet"),
    ],
)
def test_table_in_s3_that_cannot_be_read_is_refused(s3: str, name: str, part: str) -> None:
    """What is missing or damaged there is a sentence, as for files here."""

    def read() -> None:
        table = open_table(f"{s3}/{name}")
        list(table.batches(table.names))

    with pytest.raises(DataError, match=part):
        read()


def test_store_that_does_not_answer_is_refused(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: one sentence that names the settings, without a key."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    with pytest.raises(StoreError, match=r"AWS_ENDPOINT_URL and AWS_DEFAULT_REGION") as caught:
        open_table(f"{s3}/a.csv")
    assert "hush" not in str(caught.value)


def test_training_reads_parts_from_s3_as_it_does_a_file(
    s3: str, train: Train, tmp_path: Path
) -> None:
    """The same rows give the same snapshot, wherever they lie; the report counts them."""
    path = tmp_path / "iris.parquet"
    path.write_bytes(parquet(iris()))
    remote = train("iris", "--data", f"{s3}/parts")
    assert remote.code == 0, remote.stderr
    local = train("iris", "--data", str(path))
    assert remote.report["snapshot"] == local.report["snapshot"]
    rows = remote.report["rows"]
    assert (rows["read"], rows["train"], rows["train_of"]) == (150, 105, 105)


def test_training_draws_no_more_rows_than_the_yaml_says(
    train: Train, make_problem: Callable[..., Path], tmp_path: Path
) -> None:
    """A table of 600 rows, of which 200 are trained on and 100 tested."""
    path = tmp_path / "many.csv.gz"
    pd.concat([iris()] * 4).to_csv(path, index=False)
    problem = make_problem(
        split={"kind": "stratified", "max_train_rows": 200, "max_test_rows": 100}
    )
    rows = train(problem, "--data", str(path)).report["rows"]
    assert (rows["train"], rows["train_of"]) == (200, 420)
    assert (rows["test"], rows["test_of"]) == (100, 120)
    assert (rows["validation"], rows["validation_of"]) == (60, 60)


@pytest.mark.parametrize(
    ("changed", "code", "expected"),
    [
        (iris(), 0, set()),
        (iris().assign(new=1.0), 0, {("new", "new column", False)}),
        (
            iris().rename(columns={"petal width (cm)": "petal widht (cm)"}),
            1,
            {
                ("petal width (cm)", "column gone (did you mean 'petal widht (cm)'?)", True),
                ("petal widht (cm)", "new column", False),
            },
        ),
    ],
    ids=["same", "compatible", "breaking"],
)
def test_contract_diff_says_by_its_exit_code_whether_training_would_go_on(
    changed: pd.DataFrame,
    code: int,
    expected: set[tuple[str, str, bool]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """0 where all changes are compatible, 1 where one breaks; the report lists them."""
    monkeypatch.setenv("BENTOLINE_HOME", str(tmp_path))
    changed.to_parquet(tmp_path / "rows.parquet")
    report = tmp_path / "diff.json"
    flags = ["--data", str(tmp_path / "rows.parquet"), "--report", str(report)]
    assert run.main(["--contract", "diff", "--problem", "iris", *flags]) == code
    outcome = json.loads(report.read_text())
    found = {(c["column"], c["what"], c["breaks"]) for c in outcome["changes"]}
    assert found == expected
    assert outcome["compatible"] is (code == 0)
    said = capfd.readouterr().out
    assert f"{code} breaking" in said
    assert all(what in " ".join(said.split()) for _, what, _ in expected if "(" not in what)


def test_contract_diff_of_a_table_that_is_not_there_is_wrong_input(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 stays for what could not be compared."""
    assert run.main(["--contract", "diff", "--problem", "iris", "--data", "none.csv"]) == 2
    assert "none.csv: there is no such file" in capfd.readouterr().err
