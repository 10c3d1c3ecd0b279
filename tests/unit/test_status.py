"""What is published, as people and programs read it; two versions side by side; the stages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.version_diff import diff_contracts, diff_metrics
from tabular.bundle import ServedContract
from tabular.contract import Column, Feature
from tabular.versions.stages import Disagreement, Shown, disagreements, wanted_stages
from tests.unit.published import BAD, STAGING_ONLY, Published, published
from tests.unit.tiny import CONTRACT, FEATURES, SERVED

__all__ = ["published"]


def metric(value: float, half: float = 0.1) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def test_status_shows_versions_metrics_data_and_moves_within_100_columns(
    published: Published,
) -> None:
    published.add()
    published.add(STAGING_ONLY, report={"metrics": {"f1": metric(0.7)}, "snapshot": "cd" * 32})
    published.promote("v1")
    published.promote("v2", to="staging")
    assert published.call("--status") == 0
    for said in (
        "production v1, staging v2",
        "v1 (production)",
        "v2 (staging)",
        "0.8 (0.7 to 0.9)",
        "0.7 (0.6 to 0.8)",
        "abababab",
        "cdcdcdcd",
        "it is better",
        "2026-01-02 03:04",
    ):
        assert said in published.said
    assert max(map(len, published.said.splitlines())) <= 100


def test_status_json_holds_what_programs_need(published: Published) -> None:
    for gates in ((), STAGING_ONLY, BAD):
        published.add(gates)
    published.promote("v1")
    report = published.home / "status.json"
    assert published.call("--status", "--json", "--report", str(report)) == 0
    outcome = json.loads(published.said)
    assert json.loads(report.read_text()) == outcome
    assert outcome["zenml"]["state"] == "absent"
    tiny = outcome["problems"]["tiny"]
    assert tiny["aliases"] == {"production": "v1"}
    assert [version["may_be"] for version in tiny["versions"]] == [
        ["staging", "production"],
        ["staging"],
        [],
    ]
    assert tiny["versions"][0]["aliases"] == ["production"]
    assert tiny["versions"][0]["metrics"]["f1"] == {"value": 0.8, "low": 0.7, "high": 0.9}
    assert tiny["versions"][0]["data_sha256"] == "ab" * 32
    assert tiny["moves"][0]["why"] == "it is better"


def test_status_shows_all_problems_unless_one_is_named(published: Published) -> None:
    published.add()
    published.registry.publish("other", published.home / "sealed1")
    published.call("--status", "--json")
    assert set(json.loads(published.said)["problems"]) == {"tiny"}
    import run

    assert run.main(["--status", "--json"]) == 0
    assert set(json.loads(published.capfd.readouterr().out)["problems"]) == {"other", "tiny"}


def test_status_of_an_empty_registry_says_how_to_fill_it(published: Published) -> None:
    import run

    assert run.main(["--status"]) == 0
    assert "--train makes one" in published.capfd.readouterr().out


def test_status_names_a_damaged_version_shows_the_others_and_ends_with_2(
    published: Published,
) -> None:
    published.add()
    published.add()
    file = published.home / "registry" / "tiny" / "versions" / "v1" / "manifest.json"
    file.write_text(file.read_text().replace('"low": 0.7', '"low": 0.6'))
    assert published.call("--status") == 2
    assert str(file) in published.said.replace("\n", "")
    assert "v2 (newest)" in published.said
    first, second = published.status()["versions"]
    assert (bool(first["damaged"]), second["damaged"]) == (True, "")


def test_status_shortens_a_long_history_and_says_so(published: Published) -> None:
    for number in range(1, 13):
        published.add()
        published.promote(f"v{number}")
    published.call("--status")
    assert "and 2 older; --json has all" in published.said
    assert "and 2 earlier; --json has all" in published.said
    assert len(published.status()["moves"]) == 12


def test_diff_shows_what_changed(published: Published) -> None:
    chosen = {"candidate": "forest", "params": {"depth": 3}}
    published.add(report={"chosen": chosen})
    published.add(
        STAGING_ONLY,
        report={
            "metrics": {"f1": metric(0.75)},
            "chosen": {"candidate": "forest", "params": {"depth": 5}},
            "snapshot": "cd" * 32,
        },
    )
    assert published.call("--diff", "v1", "v2") == 0
    for said in (
        "-0.05",
        "abababababab",
        "cdcdcdcdcdcd",
        "depth",
        "failed at 0.7",
        "contracts are",
    ):
        assert said in published.said
    assert max(map(len, published.said.splitlines())) <= 100
    published.promote("v1")
    assert published.call("--diff", "production", "v2", "--json") == 0
    diff = json.loads(published.said)
    assert diff["versions"] == ["v1", "v2"]
    assert diff["model"]["depth"] == [3, 5]
    assert diff["decision"]["threshold"] == [0.4, 0.4]
    assert diff["packages"]["numpy"][0] == diff["packages"]["numpy"][1]
    assert diff["metrics"]["f1"]["better"] == 0


def test_diff_metrics_knows_which_direction_is_better() -> None:
    """f1 falls by .1, the loss falls by .2, mae stays, r2 is new: worked by hand."""
    one = {"f1": metric(0.8), "log_loss": metric(0.5), "mae": metric(2.0)}
    two = {"f1": metric(0.7), "log_loss": metric(0.3), "mae": metric(2.0), "r2": metric(0.9)}
    rows = diff_metrics(one, two)
    assert rows["f1"]["difference"] == pytest.approx(-0.1)
    assert rows["log_loss"]["difference"] == pytest.approx(-0.2)
    assert {name: row["better"] for name, row in rows.items()} == {
        "f1": 0,
        "log_loss": 1,
        "mae": None,
        "r2": None,
    }
    assert rows["r2"]["values"] == [None, metric(0.9)]


def test_diff_contracts_names_columns_ranges_and_categories() -> None:
    columns = {name: c for name, c in CONTRACT.columns.items() if name != "row"}
    columns["age"] = columns["age"].model_copy(update={"max": 100.0, "description": "years"})
    columns["new"] = Column(type="number")
    cities = Feature(name="city", kind="category", categories=("Mumbai", "Pune"))
    changed = ServedContract(
        contract=CONTRACT.model_copy(update={"columns": columns}),
        features=tuple(cities if one.name == "city" else one for one in FEATURES),
    )
    assert diff_contracts(SERVED, changed) == [
        {"column": "row", "key": "column", "values": ["is there", None]},
        {"column": "age", "key": "max", "values": [90.0, 100.0]},
        {"column": "city", "key": "known categories", "values": [["Delhi"], ["Pune"]]},
        {"column": "new", "key": "column", "values": [None, "is there"]},
    ]
    assert diff_contracts(SERVED, SERVED) == []


def test_stages_follow_aliases_and_audit(published: Published) -> None:
    """v1 held production, v2 staging only, v3 holds both, v4 nothing but candidate."""
    for number in (1, 2, 3, 4):
        published.add()
        published.registry.set_alias("tiny", "candidate", f"v{number}", actor="run", why="new")
    published.promote("v1")
    published.promote("v2", to="staging")
    published.promote("v3", to="staging")
    published.promote("v3")
    assert {
        name: tuple(shown) for name, shown in wanted_stages(published.registry, "tiny").items()
    } == {
        "v1": ("archived", False),
        "v2": ("archived", False),
        "v3": ("production", False),
        "v4": ("none", True),
    }


NONE, STAGING = Shown("none", False), Shown("staging", False)
ARCHIVED, PRODUCTION = Shown("archived", False), Shown("production", False)


@pytest.mark.parametrize(
    ("wanted", "shown", "found"),
    [
        ({"v1": PRODUCTION}, {"v1": PRODUCTION}, []),
        ({"v1": NONE}, {"v1": ARCHIVED}, []),
        ({"v1": ARCHIVED}, {"v1": NONE}, [("v1", "in none, and the registry says archived")]),
        ({"v1": NONE}, {}, [("v1", "was missing")]),
        ({"v1": NONE}, {"v1": Shown("none", True)}, [("v1", "was tagged as candidate")]),
        ({"v1": Shown("none", True)}, {"v1": NONE}, [("v1", "was not tagged as candidate")]),
        ({}, {"x": PRODUCTION}, [("x", "the registry has no such version")]),
        ({}, {"x": ARCHIVED}, []),
        (
            {"v1": PRODUCTION, "v2": ARCHIVED, "v3": NONE},
            {"v1": STAGING, "v2": PRODUCTION, "v3": PRODUCTION},
            [("v2", "says archived"), ("v3", "says no stage"), ("v1", "says production")],
        ),
    ],
)
def test_disagreements_are_named_and_versions_leave_before_others_enter(
    wanted: dict[str, Shown], shown: dict[str, Shown], found: list[tuple[str, str]]
) -> None:
    got: tuple[Disagreement, ...] = disagreements(wanted, shown)
    assert [one.version for one in got] == [version for version, _ in found]
    for one, (_, words) in zip(got, found, strict=True):
        assert words in one.sentence


def test_report_that_is_older_shows_what_it_has(published: Published) -> None:
    """Keys that an older version did not write are null, and nothing fails."""
    older: dict[str, Any] = {"metrics": {}, "rows": {}, "verdict": None, "created_at": None}
    published.add(report=older)
    assert published.call("--status") == 0
    assert published.status()["versions"][0]["evaluation_set"] is None
