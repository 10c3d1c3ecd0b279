"""Batch scoring: the predictor's answers, refused rows beside, parts that are done once."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from tabular.engines import Threads, open_engine
from tabular.errors import ConfigError, DataError, StoreError
from tabular.predictor import Predictor
from tabular.scoring import input as scoring_input
from tabular.scoring import parts
from tabular.scoring.input import open_input
from tabular.scoring.output import claimed, unfinished_outputs, work_folder
from tabular.scoring.run import describe_run, score_table
from tests.unit.tiny import CONTRACT, RECORDS, write_tiny

N_ROWS = 250


@pytest.fixture(params=["binary", "regression"])
def bundle(request, tmp_path):
    return write_tiny(tmp_path / "bundle", request.param)


@pytest.fixture
def binary(tmp_path):
    return write_tiny(tmp_path / "binary")


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Pieces of 100 rows, so that a small table has several."""
    monkeypatch.setattr(scoring_input, "PIECE_ROWS", 100)


def rows(n_rows: int = N_ROWS) -> pa.Table:
    """The tiny problem's rows as text, no target; row 7 has an age that is refused twice."""
    columns = {name: [str(r[name] or "") for r in RECORDS] for name in RECORDS[0]}
    table = {name: [texts[i % 4] for i in range(n_rows)] for name, texts in columns.items()}
    table["age"][7] = "17.5"
    return pa.table({"row": [f"r{i}" for i in range(n_rows)], "beside": [0] * n_rows, **table})


def write(path: Path, table: pa.Table) -> Path:
    """Write a table in the form that the path's name asks for."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=40)
    elif path.suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        path.mkdir()
        pq.write_table(table.slice(0, 90), path / "a.parquet")
        pq.write_table(table.slice(90), path / "b.parquet", row_group_size=70)
    return path


def score(bundle, source: Path, out: Path, engine=None, seen=None):
    """Score as the command does; `seen` gets each part and whether it was done before."""
    table = open_input(bundle.contract.contract, str(source))
    return score_table(
        bundle,
        describe_run(bundle, "tiny", "v3", table.fingerprint()),
        out,
        read_input=lambda _: table,
        engine=engine or Threads(2),
        progress=lambda part, was_done: seen is None or seen.append((part.number, was_done)),
    )


def test_row_that_the_model_answers_by_no_number_is_null_with_its_error(
    bundle, tmp_path, monkeypatch
):
    right = Predictor.answer_matrix

    def spoiled(self, X):
        raw = np.array(right(self, X))
        raw[2:3] = np.nan
        return raw

    source = write(tmp_path / "t.parquet", rows(20))
    score(bundle, source, tmp_path / "whole")
    parts._load.cache_clear()
    monkeypatch.setattr(Predictor, "answer_matrix", spoiled)
    manifest = score(bundle, source, tmp_path / "out")
    answers, whole = (pq.read_table(tmp_path / name) for name in ("out", "whole"))
    assert manifest["refused"] == 2
    assert manifest["by_rule"][": the model's answer is a finite number"] == 1
    said = answers["prediction"].to_pylist()
    assert said[2] is None
    assert said[:2] + said[3:] == [
        v for i, v in enumerate(whole["prediction"].to_pylist()) if i != 2
    ]
    errors = pq.read_table(tmp_path / "out" / "_errors").to_pylist()
    assert [e["row_number"] for e in errors if not e["column"]] == [2]


@pytest.mark.parametrize("form", ["t.parquet", "t.csv", "parts"])
def test_every_row_has_the_predictors_answer(bundle, form, tmp_path):
    source = write(tmp_path / form, rows())
    manifest = score(bundle, source, tmp_path / "out")
    answers = pq.read_table(tmp_path / "out").sort_by("row_number")
    records = [{k: v for k, v in r.items() if k != "beside"} for r in rows().to_pylist()]
    records[7]["age"] = 30
    expected = Predictor(bundle).predict_records(records)
    good = np.arange(N_ROWS) != 7
    assert answers["row_number"].to_pylist() == list(range(N_ROWS))
    assert answers["row"].to_pylist() == [f"r{i}" for i in range(N_ROWS)]
    assert set(answers["model_version"].to_pylist()) == {"v3"}
    for name in answers.column_names[2:-1]:
        assert answers[name].is_null().to_pylist() == (~good).tolist()
    got = {n: np.array(answers[n].to_pylist(), dtype=object)[good] for n in answers.column_names}
    if expected.values is None:
        assert got["prediction"].tolist() == expected.labels[good].tolist()
        shares = np.stack([got["probability_no"], got["probability_yes"]], axis=1).astype(float)
        np.testing.assert_allclose(shares, expected.probabilities[good], atol=1e-6)
        of_label = np.where(got["prediction"] == "yes", shares[:, 1], shares[:, 0])
        np.testing.assert_array_equal(got["confidence"].astype(float), of_label)
    else:
        for name, values in (("prediction", "values"), ("low", "low"), ("high", "high")):
            wanted = getattr(expected, values)[good]
            np.testing.assert_allclose(got[name].astype(float), wanted, rtol=1e-6)
    assert (manifest["rows"], manifest["refused"]) == (N_ROWS, 1)


def test_refused_values_are_kept_beside_with_row_and_rule(binary, tmp_path):
    manifest = score(binary, write(tmp_path / "t.parquet", rows()), tmp_path / "out")
    errors = pq.read_table(tmp_path / "out" / "_errors").to_pylist()
    assert errors == [
        {"row_number": 7, "column": "age", "value": "17.5", "rule": "in [18, 90]"},
        {"row_number": 7, "column": "age", "value": "17.5", "rule": "whole number"},
    ]
    assert manifest["by_rule"] == {"age: in [18, 90]": 1, "age: whole number": 1}
    assert json.loads((tmp_path / "out" / "_manifest.json").read_text()) == manifest


def test_csv_output_is_one_file_with_errors_and_manifest_beside(binary, tmp_path):
    source = write(tmp_path / "t.parquet", rows())
    score(binary, source, tmp_path / "folder")
    score(binary, source, tmp_path / "a" / "out.csv")
    parquet = pq.read_table(tmp_path / "folder").sort_by("row_number").to_pylist()
    with (tmp_path / "a" / "out.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["prediction"] for line in lines] == [r["prediction"] or "" for r in parquet]
    assert [float(line["confidence"] or "nan") for line in lines] == pytest.approx(
        [r["confidence"] if r["confidence"] is not None else np.nan for r in parquet], nan_ok=True
    )
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "out.csv", "out.errors.csv", "out.manifest.json",
    ]  # fmt: skip


def test_cut_off_run_goes_on_without_doing_a_part_twice(binary, tmp_path):
    source = write(tmp_path / "t.parquet", rows())
    whole = score(binary, source, tmp_path / "whole")

    class Dies(Threads):
        def run(self, call, items):
            for number, item in enumerate(items):
                if number == 2:
                    raise KeyboardInterrupt
                yield call(item)

    with pytest.raises(KeyboardInterrupt):
        score(binary, source, tmp_path / "out", Dies())
    assert not (tmp_path / "out").exists()
    work = work_folder(tmp_path / "out")
    (work / ".part-00002.parquet.99.part").write_bytes(b"half")
    before = {p.name: p.stat().st_mtime_ns for p in work.glob("part-*")}
    assert len(before) == 2
    seen: list[tuple[int, bool]] = []
    again = score(binary, source, tmp_path / "out", seen=seen)
    assert sorted(seen) == [(0, True), (1, True), (2, False)]
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("part-*")}
    assert before.items() <= after.items()
    assert pq.read_table(tmp_path / "out").equals(pq.read_table(tmp_path / "whole"))
    assert {**again, "seconds": 0} == {**whole, "seconds": 0}
    assert not list((tmp_path / "out").glob(".*"))


def test_another_input_is_refused_where_a_run_was_cut_off(binary, tmp_path):
    source = write(tmp_path / "t.parquet", rows())
    out = tmp_path / "out"
    score(binary, source, out)
    (out / "_manifest.json").unlink()
    out.rename(work_folder(out))
    write(source, rows(120))
    with pytest.raises(ConfigError, match="unfinished run lies here with another input; name"):
        score(binary, source, out)


def test_unfinished_output_of_an_equal_run_is_found(tmp_path):
    run = {"problem": "tiny", "input": [1]}
    with claimed(tmp_path / "a-v1", run) as work:
        (work / "part-00000.parquet").touch()
    assert unfinished_outputs(tmp_path, run) == [tmp_path / "a-v1"]
    assert unfinished_outputs(tmp_path, {**run, "input": [2]}) == []


def test_finished_output_is_never_overwritten(binary, tmp_path):
    source = write(tmp_path / "t.parquet", rows())
    for name, sentence in (("out", "holds a finished run"), ("out.csv", "is there already")):
        score(binary, source, tmp_path / name)
        with pytest.raises(ConfigError, match=sentence):
            score(binary, source, tmp_path / name)


def test_folder_with_other_things_is_refused(binary, tmp_path):
    source = write(tmp_path / "t.parquet", rows())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    with pytest.raises(ConfigError, match="other things than a scoring run"):
        score(binary, source, tmp_path / "out")


def test_output_that_another_run_writes_is_refused(binary, tmp_path):
    source = write(tmp_path / "t.parquet", rows())
    with (
        claimed(tmp_path / "out", {}),
        pytest.raises(StoreError, match="another scoring run is writing here"),
    ):
        score(binary, source, tmp_path / "out")


@pytest.mark.parametrize("form", ["t.parquet", "t.csv"])
def test_empty_input_leaves_nothing(binary, form, tmp_path):
    source = write(tmp_path / form, rows(8).slice(0, 0))
    with pytest.raises(DataError, match="no row"):
        score(binary, source, tmp_path / "out")
    assert not [p for p in tmp_path.iterdir() if "out" in p.name]


def test_missing_column_is_named_and_a_missing_id_is_not(binary, tmp_path):
    source = write(tmp_path / "t.parquet", rows().drop_columns(["row", "city"]))
    with pytest.raises(DataError, match=r"1 of 4 columns missing: \['city'\]"):
        open_input(CONTRACT, str(source))
    score(binary, write(source, rows().drop_columns("row")), tmp_path / "out")
    assert "row" not in pq.read_schema(tmp_path / "out" / "part-00000.parquet").names


def test_damaged_part_stops_the_run_and_nothing_looks_whole(binary, tmp_path):
    source = write(tmp_path / "parts", rows())
    data = bytearray((source / "b.parquet").read_bytes())
    data[100:400] = bytes(300)
    (source / "b.parquet").write_bytes(data)
    with pytest.raises(DataError, match=r"b\.parquet: cannot be read as parquet"):
        score(binary, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bundle_that_changed_under_the_run_is_refused(binary, tmp_path):
    source = write(tmp_path / "t.parquet", rows())
    score(binary, source, tmp_path / "first")
    shutil.rmtree(binary.path)
    write_tiny(binary.path, "regression")
    from tabular.scoring.parts import _load

    _load.cache_clear()
    with pytest.raises(StoreError, match="another bundle lies here than the run began with"):
        score(binary, source, tmp_path / "out")


def test_scheduler_without_dask_is_refused():
    with (
        pytest.raises(ConfigError, match="goes with --engine dask"),
        open_engine("", "tcp://127.0.0.1:8786"),
    ):
        pass
