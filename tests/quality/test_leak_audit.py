"""Planted leaks are found in real tables, and nothing is found where nothing was planted."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tabular.checks.quarantine import check_rows
from tabular.contract import Column
from tabular.leaks.audit import LeakAudit, audit_leaks
from tabular.leaks.findings import Finding
from tabular.problem import Problem, load_problem
from tabular.sources import open_rows
from tabular.split import split_rows

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("BENTOLINE_DATA", ROOT / "../shared/data"))
FILES = {
    "vehicle_insurance": "vehicle_insurance_210k.csv",
    "food_delivery": "food_delivery_zomato.csv",
    "network_security": "network_security_phishing.csv",
    "iris": "",
}
PLANTED_ROWS = 40_000
TRIED_SEEDS = (42, 1)

pytestmark = pytest.mark.quality


@cache
def real_table(name: str) -> tuple[pd.DataFrame, Problem]:
    """Typed rows of the real table that passed the contract."""
    file = FILES[name]
    if file and not (DATA / file).exists():
        pytest.skip(f"{DATA / file} is not there; set BENTOLINE_DATA to the public tables' folder")
    return checked(name, str(DATA / file) if file else "")


def checked(name: str, data: str = "") -> tuple[pd.DataFrame, Problem]:
    """Typed rows of a problem's own source, or of a file."""
    problem = load_problem(name, ROOT / "configs" / "problems")
    source = open_rows(problem, data=data, root=ROOT, mongodb_uri="", needs_target=True)
    rows, _, _ = check_rows(pa.Table.from_batches(source.batches), problem)
    return rows, problem


def audited(rows: pd.DataFrame, problem: Problem) -> LeakAudit:
    """Split as the YAML says, and audit as the pipeline does."""
    parts = split_rows(rows, problem)
    return audit_leaks(parts.train, parts.test.drop(columns=problem.target.column), problem)


def with_columns(
    rows: pd.DataFrame, problem: Problem, added: Mapping[str, Any], **types: str
) -> tuple[pd.DataFrame, Problem]:
    """Columns put in; a number unless its type is given, or it holds texts."""
    for name, values in added.items():
        if np.asarray(values).dtype.kind in "OU":
            rows = rows.assign(**{name: pd.Series(values, dtype="str", index=rows.index)})
            types.setdefault(name, "category")
        else:
            rows = rows.assign(**{name: np.asarray(values, dtype=np.float32)})
    columns = {name: Column.model_validate({"type": types.get(name, "number")}) for name in added}
    return rows, problem.model_copy(update={"columns": {**problem.columns, **columns}})


def set_parts(problem: Problem, **parts: Mapping[str, Any]) -> Problem:
    """The problem with keys of `split` or `leaks` changed."""
    return problem.model_copy(
        update={
            part: type(old).model_validate({**old.model_dump(), **changes})
            for part, changes in parts.items()
            if (old := getattr(problem, part)) is not None
        }
    )


def insurance_columns(y: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    n = len(y)
    bit = rng.integers(0, 2, n)
    is_known = rng.random(n) < np.where(y == 1, 0.7, 0.03)
    return {
        "refused": 1 - y,
        "offer": np.where(y == 1, "taken", "left"),
        "reason_code": rng.integers(0, 6, n) + 6 * y,
        "half_a": bit,
        "half_b": bit ^ y,
        "call_score": y + rng.normal(0, 0.2, n),
        "contract_number": rng.permutation(3 * n)[:n],
        "claim_amount": np.where(is_known, rng.lognormal(9, 1, n), np.nan),
        "signed_on_paper": rng.integers(0, 3, n),
    }


def food_columns(y: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    n, trip = len(y), rng.lognormal(2, 0.6, len(y))
    riding = rng.normal(15, 5, n)
    return {
        "seconds_taken": y * 60 + 30,
        "log_minutes": np.log(y),
        "riding_minutes": riding,
        "waiting_minutes": y - riding,
        "trip_km": trip,
        "speed_kmh": 60 * trip / y,
        "courier_guess": y + rng.normal(0, 0.5, n),
        "refund": np.where((y > 30) & (rng.random(n) < 0.8), rng.lognormal(3, 1, n), np.nan),
    }


def network_columns(y: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    n, bit = len(y), rng.integers(0, 3, len(y))
    return {
        "verdict": np.array(["bad", "good"], dtype=object)[y],
        "blocklist_code": rng.integers(0, 40, n) * 2 + y,
        "key_a": bit,
        "key_b": (bit + 1 + y) % 3,
        "address": np.array([f"http://site-{i}.example" for i in range(n)], dtype=object),
        "reported_day": np.where(y == 0, rng.integers(0, 365, n), np.nan),
    }


def iris_columns(y: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    n = len(y)
    a, b = rng.integers(0, 3, n), rng.integers(0, 3, n)
    return {
        "species_code": (y + 1) % 3,
        "shelf": y * 4 + rng.integers(0, 4, n),
        "lock_a": a,
        "lock_b": b,
        "lock_c": (a + b + y) % 3,
        "gardener": y + rng.normal(0, 0.05, n),
    }


PLANTERS: dict[str, Callable[[np.ndarray, np.random.Generator], dict[str, Any]]] = {
    "vehicle_insurance": insurance_columns,
    "food_delivery": food_columns,
    "network_security": network_columns,
    "iris": iris_columns,
}


@cache
def planted(name: str) -> LeakAudit:
    """The audit of a table with all its column leaks; a column may be named by one finding."""
    rows, problem = real_table(name)
    if len(rows) > PLANTED_ROWS:
        rows = rows.sample(PLANTED_ROWS, random_state=0).sort_index().reset_index(drop=True)
    added = PLANTERS[name](rows[problem.target.column].to_numpy(), np.random.default_rng(7))
    rows, problem = with_columns(rows, problem, added)
    if "signed_on_paper" in added:
        problem = set_parts(problem, leaks={"after_outcome": ("signed_on_paper",)})
    return audited(rows, problem)


@pytest.mark.parametrize(
    ("table", "rule", "columns"),
    [
        ("vehicle_insurance", "equals_target", {"refused"}),
        ("vehicle_insurance", "equals_target", {"offer"}),
        ("vehicle_insurance", "determines_target", {"reason_code"}),
        ("vehicle_insurance", "determines_target", {"half_a", "half_b"}),
        ("vehicle_insurance", "single_column", {"call_score"}),
        ("vehicle_insurance", "id_like", {"contract_number"}),
        ("vehicle_insurance", "missing_follows_target", {"claim_amount"}),
        ("vehicle_insurance", "known_after_outcome", {"signed_on_paper"}),
        ("food_delivery", "equals_target", {"seconds_taken"}),
        ("food_delivery", "equals_target", {"log_minutes"}),
        ("food_delivery", "sums_to_target", {"riding_minutes", "waiting_minutes"}),
        ("food_delivery", "sums_to_target", {"trip_km", "speed_kmh"}),
        ("food_delivery", "single_column", {"courier_guess"}),
        ("food_delivery", "missing_follows_target", {"refund"}),
        ("network_security", "equals_target", {"verdict"}),
        ("network_security", "determines_target", {"blocklist_code"}),
        ("network_security", "determines_target", {"key_a", "key_b"}),
        ("network_security", "id_like", {"address"}),
        ("network_security", "single_column", {"reported_day"}),
        ("iris", "equals_target", {"species_code"}),
        ("iris", "determines_target", {"shelf"}),
        ("iris", "determines_target", {"lock_a", "lock_b", "lock_c"}),
        ("iris", "single_column", {"gardener"}),
    ],
)
def test_planted_column_is_named_by_its_rule(table: str, rule: str, columns: set[str]) -> None:
    """Each planted column, pair or triple is one finding, which says how to take it out."""
    found = [f for f in planted(table).findings if set(f.columns) == columns]
    assert [f.rule for f in found] == [rule]
    assert all(name in found[0].sentence for name in columns)
    assert "type: " in found[0].sentence


@pytest.mark.parametrize("table", PLANTERS)
def test_planted_table_gives_no_finding_beside_the_plants(table: str) -> None:
    """What was not planted is not named."""
    with np.errstate(divide="ignore"):
        plants = PLANTERS[table](np.array([0, 1] * 40), np.random.default_rng(0)).keys()
    others = [f for f in planted(table).findings if f.columns and not set(f.columns) <= plants]
    assert others == []


def rows_finding(audit: LeakAudit, rule: str) -> Finding:
    (finding,) = [f for f in audit.findings if f.rule == rule]
    assert finding.severity == "warn"
    return finding


def test_copied_rows_are_named_where_they_stand_on_both_sides() -> None:
    """One row in ten of the food table is there twice: 8 % of a random test part has its twin."""
    rows, problem = real_table("food_delivery")
    rows = rows.head(10_000)
    twice = pd.concat([rows, rows.sample(1_000, random_state=0)], ignore_index=True)
    finding = rows_finding(audited(twice, problem), "duplicates_across_split")
    assert 0.10 < finding.score < 0.16
    assert "split.kind: group" in finding.sentence


def test_copies_of_the_network_table_are_named_under_a_random_split() -> None:
    """Nearly half of the table is copies: the table's known trap."""
    rows, problem = real_table("network_security")
    problem = set_parts(problem, split={"kind": "stratified"})
    copied = [f for f in audited(rows, problem).findings if f.rule == "duplicates_across_split"]
    assert copied[0].severity == "warn"
    assert copied[0].score > 0.4


def test_group_that_a_random_split_parts_is_named_with_its_column() -> None:
    """Orders of one route share their delay and a route key: only a group split shows it."""
    rows, problem = real_table("food_delivery")
    rng = np.random.default_rng(3)
    rows = rows.head(12_000).copy()
    n_routes = 120
    y = rows[problem.target.column].to_numpy()
    order = np.argsort(y + rng.normal(0, 2, len(y)))
    route = np.empty(len(y), dtype=int)
    route[order] = np.arange(len(y)) * n_routes // len(y)
    key = rng.permutation(n_routes)[route]
    rows, problem = with_columns(rows, problem, {"route_key": key})
    rows = rows.assign(Delivery_person_ID=pd.Series([f"route {r}" for r in route], dtype="str"))
    finding = rows_finding(audited(rows, problem), "duplicates_across_split")
    assert finding.columns == ("Delivery_person_ID",)
    assert "split.group_columns: [Delivery_person_ID]" in finding.sentence


def test_time_order_that_a_random_split_hides_is_named_with_its_column() -> None:
    """Each week has a rate of its own: a random split learns it, the future does not know it."""
    rows, problem = real_table("vehicle_insurance")
    rows = rows.head(30_000)
    rng, y = np.random.default_rng(5), rows[problem.target.column].to_numpy()
    weight = rng.lognormal(0, 1.5, 40)
    week = np.where(
        y == 1, rng.choice(40, len(y), p=weight / weight.sum()), rng.integers(0, 40, len(y))
    )
    rows, problem = with_columns(rows, problem, {"week": week, "day": week}, day="date")
    rows = rows.assign(day=19_000.0 + 7 * week)
    finding = rows_finding(audited(rows, problem), "time_order")
    assert finding.columns == ("day",)
    assert "split.time_column: day" in finding.sentence


@pytest.mark.parametrize("name", FILES)
def test_shipped_problem_on_its_real_table_raises_no_alarm(name: str) -> None:
    """No rule blocks or warns, whichever rows the split draws."""
    rows, problem = real_table(name)
    for seed in TRIED_SEEDS if len(rows) < 50_000 else TRIED_SEEDS[:1]:
        audit = audited(rows, set_parts(problem, split={"seed": seed}))
        assert [f.sentence for f in audit.findings if f.severity != "note"] == []


@pytest.mark.parametrize("name", ["vehicle_insurance", "food_delivery"])
def test_built_in_sample_raises_no_alarm(name: str) -> None:
    """What a user trains first is clean too."""
    rows, problem = checked(name)
    assert audited(rows, problem).findings == ()


def test_network_table_names_its_copies_and_that_one_side_keeps_them() -> None:
    """With the YAML's group split the copies are a note: 47 % of the rows, none across."""
    rows, problem = real_table("network_security")
    audit = audited(rows, problem)
    (note,) = audit.findings
    assert (note.rule, note.severity, note.score) == ("duplicates_across_split", "note", 0.0)
    assert 0.45 < audit.copies.copied_share < 0.49
    assert "keeps them on one side" in note.sentence
