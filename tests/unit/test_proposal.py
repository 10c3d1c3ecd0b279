"""What a table is taken for: each column, the target, the split, and the YAML that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from tabular.errors import DataError
from tabular.estimators import check_candidate
from tabular.problem import Problem, load_problem
from tabular.proposal import sample as sampling
from tabular.proposal.columns import Context, Decided, decide_column
from tabular.proposal.draft import Answers, propose
from tabular.proposal.facts import facts_of
from tabular.proposal.models import Size, candidates_of
from tabular.proposal.ranges import number_range
from tabular.proposal.sample import Reservoir, Sample, read_file
from tabular.proposal.target import TargetDecided, decide_target
from tabular.proposal.yaml_text import yaml_text
from tabular.settings import Candidate, Task

N = 400
RNG = np.random.default_rng(0)


def column(values: Any, name: str = "c", asked: str = "", target: Any = None) -> Decided:
    facts = facts_of(name, pa.chunked_array([pa.array(values)]))
    return decide_column(facts, Context(len(values), target=target), asked)


def target(values: Any, name: str = "y", asked: str = "") -> TargetDecided:
    return decide_target(
        facts_of(name, pa.chunked_array([pa.array(values)])), len(values), "t.csv", asked=asked
    )


def spread(*texts: str) -> list[str]:
    return [texts[i % len(texts)] for i in range(N)]


@pytest.mark.parametrize(
    ("name", "values", "kind", "part"),
    [
        ("c", spread("a", "b", "c"), "category", "3 categories"),
        ("c", spread("1.5", "2", "?", "unknown", "7"), "number", "numbers"),
        ("PLZ", spread("01067", "04109", "99"), "category", "leading zeros"),
        ("zip", [str(1_000 + i % 30) for i in range(N)], "category", "the name of a code"),
        ("row", [str(i) for i in range(N)], "ignore", "like an identifier"),
        ("uuid", [f"{i:x}-{i}" for i in range(N)], "ignore", "an identifier"),
        ("customer_id", [f"K{i % 100}" for i in range(N)], "id", "names 100 things"),
        ("c", [f"so many words here {i}" for i in range(N)], "ignore", "free text"),
        ("c", [""] * N, "ignore", "holds no value"),
        ("c", ["x"] * N, "ignore", "'x' in every row"),
        ("c", [[1]] * N, "ignore", "not single values"),
        ("c", spread("21:55", "3:10"), "time", "times"),
        ("c", spread("13/02/2024", "01/02/2024"), "date", "dates"),
        ("created_at", [str(1_700_000_000 + 3_600 * int(i)) for i in RNG.permutation(N)],
         "date", "moments"),
        ("c", [i % 2 == 0 for i in range(N)], "category", "2 categories"),
        ("c", spread(*map(str, range(11)), "no idea"), "number", "'no idea' taken for missing"),
    ],
)  # fmt: skip
def test_column_is_taken_for_what_it_holds(name: str, values: Any, kind: str, part: str) -> None:
    decided = column(values, name)
    assert decided.keys["type"] == kind
    assert part in decided.why


def test_whole_numbers_without_an_order_are_a_code_where_the_target_says_so() -> None:
    """The same numbers are numbers where the target grows with them."""
    codes = RNG.choice([3, 7, 12, 26, 40, 124], 2_000)
    jumps = np.isin(codes, [7, 40])[:, None].astype(float)
    assert column(codes, target=jumps).keys["type"] == "category"
    assert column(codes, target=codes[:, None].astype(float)).keys["type"] == "number"


def test_user_has_the_last_word_on_a_column() -> None:
    values = [str(1_000 + i % 30) for i in range(N)]
    assert column(values, "zip").sureness == "unsure"
    asked = column(values, "zip", asked="number")
    assert (asked.keys["type"], asked.sureness) == ("number", "sure")
    assert column(values, "zip", asked="ignore").keys["type"] == "ignore"


def test_rare_categories_are_put_together_and_spellings_too() -> None:
    rare = column([*spread("a", "b"), "z"])
    assert (rare.keys.get("categories"), rare.keys["min_rows"]) == (None, 5)
    spelt = column([*spread("Yes", "No"), *["yes", " YES"] * 3])
    assert spelt.keys["categories"] == ["No", "Yes"]
    assert spelt.keys["aliases"] == {"yes": "Yes", "YES": "Yes"}


def test_range_leaves_room_and_takes_a_placeholder_for_missing() -> None:
    values, ones = np.arange(20.0, 60.0), np.ones(40)
    assert number_range(values, ones) == {"min": 0, "max": 120}
    with_hole = number_range(np.append(values, -999), np.append(ones, 5))
    assert with_hole == {"min": 0, "max": 120, "out_of_range": "missing"}
    assert number_range(np.array([-1.0, 1.0]), ones[:2]) == {"min": -1, "max": 1}


@pytest.mark.parametrize(
    ("values", "task", "keys"),
    [
        (spread("(min) 24", "(min) 3.5", *(f"(min) {i}" for i in range(40, 70))), "regression",
         {"affixes": ("(min)",), "unit": "min"}),
        (spread("<=50K.", "<=50K", ">50K", "<=50K"), "binary",
         {"aliases": {"<=50K.": "<=50K"}, "positive": ">50K"}),
        (spread("no", "yes", "no"), "binary", {"positive": "yes"}),
        (spread("a", "b", "c"), "multiclass", {"classes": {"a": "a", "b": "b", "c": "c"}}),
        ([*spread("a", "b"), "", "?"], "binary", {"missing": "drop"}),
        ([float(v) for v in range(N)], "regression", {"min": 0}),
    ],
)  # fmt: skip
def test_target_says_the_task(values: Any, task: str, keys: dict[str, Any]) -> None:
    decided = target(values)
    assert decided.task == task
    assert {key: decided.keys[key] for key in keys} == keys


def test_few_whole_numbers_are_asked_about() -> None:
    grades = [i % 5 + 1 for i in range(N)]
    assert target(grades).choices == ("multiclass", "regression")
    assert target(grades).sureness == "unsure"
    assert target(grades, asked="regression").task == "regression"


@pytest.mark.parametrize(
    ("values", "part"),
    [
        (["a"] * N, "is 'a' in every row"),
        ([""] * N, "holds no value"),
        (["a", "b"] * 15, "30 rows are too few"),
        ([f"c{i % 500}" for i in range(5_000)], "has 500 classes"),
        ([*spread("a", "b"), *"cdef" * 2], r"4 classes with fewer than 10 rows: \['c'"),
        ([f"2024-01-{i % 28 + 1:02d}" for i in range(N)], "holds dates"),
        ([[1]] * N, "not single values"),
    ],
)
def test_target_that_cannot_be_predicted_is_refused(values: Any, part: str) -> None:
    with pytest.raises(DataError, match=part):
        target(values)


def table(**columns: Any) -> Sample:
    rows = pa.table({name: pa.array(values) for name, values in columns.items()})
    source = {"kind": "csv", "path": "t.csv"}
    return Sample(rows, rows.num_rows, is_whole=True, source=source, where="t.csv")


def noisy(n: int = N) -> dict[str, Any]:
    x = RNG.normal(size=n)
    return {"x": x, "y": (x + RNG.normal(size=n) > 0).astype(int)}


ODD_NAMES = ("a: b", "# c", "yes", "null", "new\nline", "{x}", "größe", "a.b", "", "- d", "1e3")


def test_yaml_of_any_names_is_read_back_as_it_was_proposed(tmp_path: Path) -> None:
    sample = table(**noisy(), **{name: RNG.normal(size=N) for name in ODD_NAMES})
    proposal = propose(sample, "y", "odd")
    (tmp_path / "odd.yaml").write_text(yaml_text(proposal, sample), encoding="utf-8")
    assert load_problem("odd", tmp_path) == Problem.model_validate(proposal.keys)


def test_reason_stands_beside_what_is_left_out() -> None:
    sample = table(**noisy(), note=[f"one of many words {i}" for i in range(N)])
    text = yaml_text(propose(sample, "y", "t"), sample)
    assert "note: {type: ignore}  # free text of 5 words" in text


def test_leak_is_left_out_and_named() -> None:
    rows = noisy()
    late = np.where(rows["y"] == 1, "paid", "open")
    proposal = propose(table(**rows, late=late), "y", "t")
    assert proposal.keys["columns"]["late"] == {"type": "ignore"}
    assert proposal.keys["leaks"] == {"after_outcome": ["late"]}
    assert "a leak: 'late'" in next(c.why for c in proposal.columns if c.name == "late")


def test_rows_of_one_customer_stay_together_unless_the_user_says_otherwise() -> None:
    rows = noisy() | {"customer_id": [f"K{i % 80}" for i in range(N)]}
    proposal = propose(table(**rows), "y", "t")
    assert proposal.keys["split"]["group_columns"] == ["customer_id"]
    assert proposal.split.sureness == "unsure"
    plain = propose(table(**rows), "y", "t", Answers({}, split="stratified"))
    assert plain.keys["split"]["kind"] == "stratified"


def test_rows_in_the_order_of_a_date_are_tested_on_the_latest() -> None:
    days = np.arange("2024-01-01", "2025-02-04", dtype="datetime64[D]")[:N]
    proposal = propose(table(**noisy(), day=[str(day) for day in days]), "y", "t")
    assert proposal.keys["split"]["time_column"] == "day"
    assert proposal.keys["derive"]["day_month"] == {"function": "month", "inputs": ["day"]}


def test_table_of_identifiers_is_refused_with_the_reasons() -> None:
    sample = table(id=list(range(N)), key=[f"k{i}" for i in range(N)], y=[i % 2 for i in range(N)])
    with pytest.raises(DataError, match="no column is left to predict from: 'id' another number"):
        propose(sample, "y", "t")


def test_target_that_is_not_there_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(DataError, match=r"--target 'z' is no column; it has \['x', 'y'\]"):
        propose(table(**noisy()), "z", "t")


def test_a_thousand_columns_are_proposed_and_read_back(tmp_path: Path) -> None:
    flags = RNG.integers(0, 2, 120)
    rows = noisy(120) | {f"c{i}": flags for i in range(1_000)}
    sample = table(**rows)
    proposal = propose(sample, "y", "wide")
    raw = yaml.load(yaml_text(proposal, sample), yaml.CSafeLoader)
    assert len(raw["columns"]) == 1_001
    assert raw["candidates"]["lightgbm"]["params"]["colsample_bytree"] == 0.3


@pytest.mark.parametrize(
    ("task", "n_rows", "has_blend"),
    [("regression", 400, True), ("regression", 5_000, False), ("binary", 400, False)],
)
def test_few_rows_with_numbers_to_predict_get_a_blend(
    task: Task, n_rows: int, has_blend: bool
) -> None:
    size = Size(n_rows, n_features=8, n_wide=8, n_classes=0 if task == "regression" else 2)
    found = candidates_of(task, size)
    assert ("blend" in found) == has_blend
    for name, raw in found.items():
        check_candidate(name, Candidate.model_validate(raw), task)
    if has_blend:
        assert [*found["blend"]["members"]] == ["ridge", "lightgbm", "random_forest"]
        assert found["blend"]["members"]["ridge"]["params"]["alpha"] == 1.0


def test_reservoir_keeps_rows_evenly_and_in_order() -> None:
    reservoir = Reservoir(100)
    for start in range(0, 10_000, 100):
        reservoir.add(pa.RecordBatch.from_pydict({"x": list(range(start, start + 100))}))
    kept = reservoir.table()["x"].to_pylist()
    assert (len(kept), reservoir.n_seen) == (100, 10_000)
    assert kept == sorted(kept)
    assert 4_000 < np.mean(kept) < 6_000


def test_large_file_is_sampled_in_places_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of twenty gigabytes 64 megabytes are read, the last rows among them."""
    monkeypatch.setattr(sampling, "PIECE_BYTES", 10_000)
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(b"x,y\n" + b"".join(b"%d,0\n" % i for i in range(150_000)))
        file.truncate(20 << 30)  # nothing stands in between, and the disk keeps nothing of it
        file.seek(0, 2)
        file.write(b"\n" + b"".join(b"%d,1\n" % i for i in range(20_000)))
    sample = read_file(str(path), tmp_path)
    assert sample.bytes_read == sampling.N_PIECES * 10_000
    assert set(sample.rows["y"].to_pylist()) == {"0", "1"}
    assert not sample.is_whole
    assert "0 MB of 21,475 MB were read, in 32 places" in sample.note


def test_file_in_another_encoding_is_read_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("größe;y\n1,5;ü\n".encode("cp1252"))
    sample = read_file(str(path), tmp_path)
    assert sample.rows.to_pydict() == {"größe": ["1,5"], "y": ["ü"]}
    assert sample.source == {"kind": "csv", "path": "a.csv", "encoding": "cp1252"}
    assert "not in UTF-8" in sample.asides[0]


@pytest.mark.parametrize(
    ("head", "part"),
    [
        ("a, a,y", r"1 column\(s\) stand twice in the header: \['a'\]; rename"),
        ("1,2.5", r"the first line holds numbers only \(\['1', '2.5'\]\)"),
    ],
)
def test_header_that_names_no_columns_is_refused(head: str, part: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{head}\n" + "1,2,3\n"[: 2 * head.count(",") + 1] + "\n")
    with pytest.raises(DataError, match=part):
        read_file(str(tmp_path / "a.csv"), tmp_path)
