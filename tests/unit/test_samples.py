"""Samples: what is drawn is what the spec says, and about as learnable as the real table."""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tabular.contract import parse_time
from tabular.errors import ConfigError
from tabular.sample_fit import Roles, fit_spec, main, read_texts, write_spec
from tabular.samples import (
    Identifier,
    Levels,
    Number,
    SampleSpec,
    Time,
    generate,
    load_spec,
    quantile_levels,
)

ROOT = Path(__file__).parents[2]
DATA = ROOT / os.environ.get("BENTOLINE_DATA", "../shared/data")
REAL = {
    "vehicle_insurance": "vehicle_insurance_210k.csv",
    "food_delivery": "food_delivery_zomato.csv",
}
N_ROWS = 16_000
SHARE_TOLERANCE = 0.015

TINY: dict[str, Any] = {
    "source": "by hand",
    "target": "bought",
    "columns": {
        "key": {"kind": "id", "template": "0x{:04x}"},
        "bought": {"kind": "levels", "values": ["no", "yes"]},
        "price": {"kind": "number", "step": 1, "decimals": 0},
        "weight": {"kind": "number", "step": 0.01, "decimals": 2, "fixed": True},
        "start": {"kind": "time", "step": 5, "wraps": False, "forms": {"other": {"hh:mm": 1}}},
        "end": {
            "kind": "time",
            "step": 5,
            "wraps": False,
            "forms": {
                "on the hour": {"share of a day": 1},
                "past midnight": {"hh:mm:ss": 1},
                "other": {"hh:mm": 1},
            },
            "offset_of": {"column": "start"},
        },
    },
    "groups": [
        {
            "share": 1,
            "marginals": {
                "bought": [0.75, 0.25],
                "price": [10, 10, 10],
                "weight": [0.5, 2.5],
                "start": [1435, 1435],
                "end": [5, 15],
            },
            "missing": {"start": 0.2},
            "correlation": [[], [0], [0.9, 0], [0, 0, 0], [0, 0, 0, 0]],
        }
    ],
}


def texts(table: pa.Table, name: str) -> list[str]:
    """One column as strings."""
    column: list[str] = table.column(name).to_pylist()
    return column


def shares(values: list[str]) -> dict[str, float]:
    """Share of each text."""
    return {text: n / len(values) for text, n in Counter(values).items()}


@cache
def shipped(problem: str) -> SampleSpec:
    """One of the two specs of the repository."""
    return load_spec(ROOT / "configs" / "samples" / f"{problem}.json")


@cache
def real_table(problem: str) -> pa.Table:
    """The real table, or a skip."""
    path = DATA / REAL[problem]
    if not path.exists():
        pytest.skip(f"{path} is not there; set BENTOLINE_DATA to the folder of the real tables")
    return read_texts(path)


@cache
def drawn_sample(problem: str) -> pa.Table:
    """A sample of a shipped spec."""
    return generate(shipped(problem), N_ROWS, seed=0)


def made_up_table(n_rows: int = 3000) -> tuple[pa.Table, Roles]:
    """Rows whose rules are known: shop B pays more, end = start + 10 min, far = |near| + 0.05."""
    rng = np.random.default_rng(1)
    shop = rng.choice(["A", "B", ""], n_rows, p=[0.6, 0.3, 0.1])
    near = rng.choice([-10.25, 0.0, 20.5, 30.125], n_rows, p=[0.1, 0.2, 0.3, 0.4])
    start = rng.choice([540, 605, 1435], n_rows)
    pay = rng.normal(50, 5, n_rows) + 30 * (shop == "B")
    written = {540: "0.375", 605: "10:05", 1435: "23:55"}
    ended = {540: "09:10", 605: "10:15", 1435: "24:05:00"}
    columns = {
        "key": [f"k{i}" for i in range(n_rows)],
        "who": [f"P{i % 40}" for i in range(n_rows)],
        "shop": shop.tolist(),
        "near": [repr(x) for x in near.tolist()],
        "far": [repr(round(abs(x) + 0.05, 6)) for x in near.tolist()],
        "start": [written[x] if rng.random() > 0.25 else "" for x in start.tolist()],
        "end": [ended[x] for x in start.tolist()],
        "day": rng.choice(["31-01-2022", "01-02-2022"], n_rows).tolist(),
        "fee": [f"{x:.2f}" for x in np.where(rng.random(n_rows) < 0.4, 2.5, pay / 3).tolist()],
        "pay": [f"{x:.0f}" for x in pay],
    }
    roles = Roles(
        target="pay",
        ids={"key": "k{}", "who": "P{:03d}"},
        times=("start", "end"),
        dates={"day": "%d-%m-%Y"},
        offsets={"far": "near", "end": "start"},
    )
    return pa.table(columns), roles


def test_generate_writes_values_as_the_spec_says() -> None:
    """Identifiers run from 1, spikes stay, clocks pass midnight, and each number has its form."""
    sample = generate(SampleSpec.model_validate(TINY), 4000, seed=0)
    assert sample.column_names == list(TINY["columns"])
    assert texts(sample, "key")[:2] == ["0x0001", "0x0002"]
    assert set(texts(sample, "price")) == {"10.0"}
    assert all(len(text) == 4 and 0.5 <= float(text) <= 2.5 for text in texts(sample, "weight"))
    assert set(texts(sample, "start")) == {"23:55", ""}
    assert set(texts(sample, "end")) == {"1", "24:05:00", "24:10:00"}
    assert shares(texts(sample, "start"))[""] == pytest.approx(0.2, abs=0.02)
    assert shares(texts(sample, "bought"))["yes"] == pytest.approx(0.25, abs=0.02)


def test_generate_follows_the_correlation() -> None:
    """Weight grows with the target, as the latent correlation of 0.9 says."""
    sample = generate(SampleSpec.model_validate(TINY), 4000, seed=0)
    bought = np.array(texts(sample, "bought")) == "yes"
    weight = np.array(texts(sample, "weight"), dtype=object).astype(float)
    assert np.corrcoef(bought, weight)[0, 1] == pytest.approx(0.65, abs=0.04)


@pytest.mark.parametrize("problem", REAL)
def test_generate_is_deterministic(problem: str) -> None:
    """Same spec, rows and seed give the same table; another seed gives another."""
    spec = shipped(problem)
    assert generate(spec, 500, seed=3).equals(generate(spec, 500, seed=3))
    assert not generate(spec, 500, seed=3).equals(generate(spec, 500, seed=4))


@pytest.mark.parametrize("n_rows", [1, 2, 7])
def test_generate_draws_few_rows(n_rows: int) -> None:
    """A sample may be smaller than the number of groups."""
    assert generate(shipped("food_delivery"), n_rows, seed=0).num_rows == n_rows


@pytest.mark.parametrize("problem", REAL)
def test_sample_has_the_marginals_of_its_spec(problem: str) -> None:
    """Shares and quantiles are those of the groups, mixed by their shares."""
    spec = shipped(problem)
    sample = drawn_sample(problem)
    for name, column in spec.random_columns.items():
        missing = [group.missing.get(name, 0.0) for group in spec.groups]
        drawn = shares(texts(sample, name))
        for i, value in enumerate(column.values if isinstance(column, Levels) else ()):
            expected = sum(
                g.share * g.marginals[name][i] * (1 - m)
                for g, m in zip(spec.groups, missing, strict=True)
            )
            assert drawn.get(value, 0) == pytest.approx(expected, abs=SHARE_TOLERANCE), name
        if isinstance(column, Number) and column.offset_of is None:
            values = np.array([float(text) for text in texts(sample, name) if text])
            for share in (0.3, 0.5, 0.9):
                reached = mixed_cdf(spec, name, float(np.quantile(values, share)))
                assert reached == pytest.approx(share, abs=SHARE_TOLERANCE), name


def mixed_cdf(spec: SampleSpec, name: str, value: float) -> float:
    """Share of values up to `value` by the spec's quantiles, group by group."""
    total = 0.0
    for group in spec.groups:
        quantiles = np.array(group.marginals[name])
        rising = np.maximum(quantiles, quantiles + 1e-9 * np.arange(len(quantiles)))
        total += group.share * float(np.interp(value, rising, quantile_levels(len(rising))))
    return total


@pytest.mark.parametrize("problem", REAL)
def test_sample_has_the_marginals_of_the_real_table(problem: str) -> None:
    """Columns, shares of values and missing values are those of the table the spec came from."""
    spec, real = shipped(problem), real_table(problem)
    sample = drawn_sample(problem)
    assert sample.column_names == real.column_names
    for name, column in spec.columns.items():
        if isinstance(column, Identifier):
            continue
        drawn, expected = shares(texts(sample, name)), shares(texts(real, name))
        worst = max(abs(drawn.get(v, 0) - expected.get(v, 0)) for v in {*drawn, *expected})
        assert worst < SHARE_TOLERANCE, name
        if isinstance(column, Number):
            quantiles = [
                np.quantile([float(t) for t in texts(table, name) if t], [0.3, 0.5, 0.9])
                for table in (sample, real)
            ]
            assert quantiles[0] == pytest.approx(quantiles[1], rel=0.03), name


def learned(spec: SampleSpec, table: pa.Table) -> float:
    """ROC-AUC or R2 of gradient boosting on the last quarter of the rows."""
    columns = {name: numbers(spec, table, name) for name in spec.random_columns}
    for name, column in spec.random_columns.items():
        if not isinstance(column, Levels) and column.offset_of:
            delta = columns[name] - np.abs(columns[column.offset_of.column])
            columns[name] = delta % 1440 if isinstance(column, Time) else delta
    target = columns.pop(spec.target)
    matrix, n_train = np.column_stack(list(columns.values())), len(target) * 3 // 4
    quick: Any = {"max_iter": 40, "max_leaf_nodes": 15, "learning_rate": 0.2, "random_state": 0}
    is_class = len(np.unique(target)) == 2
    model = (HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor)(**quick)
    with threadpool_limits(1):  # on a busy machine more threads wait for each other
        model.fit(matrix[:n_train], target[:n_train])
        if is_class:
            score = model.predict_proba(matrix[n_train:])[:, 1]
            return float(roc_auc_score(target[n_train:], score))
        return float(r2_score(target[n_train:], model.predict(matrix[n_train:])))


def numbers(spec: SampleSpec, table: pa.Table, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column as floats, NaN where missing; categories by their place in the spec."""
    column = spec.columns[name]
    if isinstance(column, Levels) and name != spec.target:
        read: dict[str, float] = {text: i for i, text in enumerate(column.values)}
    else:
        parse = parse_time if isinstance(column, Time) else float
        read = {text: parse(text) for text in set(texts(table, name)) if text}
    return np.array([read.get(text, np.nan) for text in texts(table, name)])


@pytest.mark.parametrize(
    ("problem", "low", "high"), [("vehicle_insurance", 0.80, 0.88), ("food_delivery", 0.55, 0.85)]
)
def test_sample_is_as_learnable_as_the_real_table(problem: str, low: float, high: float) -> None:
    """Gradient boosting gets about the ROC-AUC or R2 that it gets on as many real rows."""
    spec = shipped(problem)
    score = learned(spec, drawn_sample(problem))
    assert low < score < high
    real = real_table(problem)
    rows = np.random.default_rng(0).permutation(real.num_rows)[:N_ROWS]
    assert score == pytest.approx(learned(spec, real.take(rows)), abs=0.1)


def test_vehicle_insurance_sample_has_the_real_positive_share() -> None:
    """12.25 % of the customers answer the offer."""
    sample = drawn_sample("vehicle_insurance")
    assert shares(texts(sample, "Response"))["1"] == pytest.approx(0.1225, abs=0.008)


def test_fit_spec_learns_a_made_up_table(tmp_path: Path) -> None:
    """Fitted, written, read and drawn, the sample keeps every rule of the made-up table."""
    table, roles = made_up_table()
    write_spec(fit_spec(table, roles, source="made up"), tmp_path / "spec.json")
    spec = load_spec(tmp_path / "spec.json")
    sample = generate(spec, 3000, seed=0)
    assert spec == fit_spec(table, roles, source="made up")
    assert len(set(texts(sample, "key"))) == 3000
    assert len(set(texts(sample, "who"))) == 40
    for name in ("shop", "start", "day"):
        expected = shares(texts(table, name))
        assert shares(texts(sample, name)) == pytest.approx(expected, abs=0.03), name
    near, far = (numbers(spec, sample, name) for name in ("near", "far"))
    assert far == pytest.approx(abs(near) + 0.05, abs=1e-6)
    assert set(np.unique(near)) >= {0.0, 20.5, 30.125}
    assert shares(texts(sample, "end")).keys() == shares(texts(table, "end")).keys()
    assert shares(texts(sample, "fee"))["2.50"] == pytest.approx(0.4, abs=0.03)
    pay, shop = numbers(spec, sample, "pay"), np.array(texts(sample, "shop"))
    assert pay[shop == "B"].mean() - pay[shop == "A"].mean() == pytest.approx(30, abs=3)


def test_main_writes_a_spec_that_can_be_drawn(tmp_path: Path) -> None:
    """The command line fits a CSV, and the spec names the file without its folder."""
    path, out = tmp_path / "shops.csv", tmp_path / "shops.json"
    path.write_text("code,paid\n" + "".join(f"{i % 3},{i % 2}\n" for i in range(300)))
    assert main([str(path), "--target", "paid", "--category", "code", "--out", str(out)]) == 0
    spec = load_spec(out)
    assert spec.source == "shops.csv: fitted on 300 rows; marginals and correlations only"
    assert generate(spec, 10, seed=0).column_names == ["code", "paid"]


def test_main_refuses_a_pair_without_a_sign(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong flag is one sentence and exit code 2, no traceback."""
    arguments = [str(tmp_path / "no.csv"), "--target", "y", "--id", "key", "--out", "x.json"]
    assert main(arguments) == 2
    assert "--id must be COLUMN=VALUE, got 'key'" in capsys.readouterr().err
    assert main([*arguments[:3], *arguments[5:]]) == 2
    assert "no.csv: cannot be read as a CSV" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("target",), "bougth", r"target names no column 'bougth' \(did you mean 'bought'\?\)"),
        (("colour",), "red", "colour: there is no such key"),
        (("columns", "key", "template"), "x", "template must hold one number such as .*, got x"),
        (("columns", "end", "offset_of", "column"), "price", "end.offset_of must name a time"),
        (("columns", "end", "forms"), {}, "columns.end.time.forms: "),
        (("groups", 0, "share"), 0.5, r"group shares must add up to 1, got \[0.5\]"),
        (("groups", 0, "marginals", "bought"), [1], "marginals.bought must have 2 shares, got 1"),
        (("groups", 0, "marginals", "bought"), [1, 1], "must be shares that add up to 1, got 2"),
        (("groups", 0, "marginals", "price"), [3, 1], "must be two or more quantiles in rising"),
        (("groups", 0, "marginals"), {}, "must name each random column, see .*'bought'"),
        (("groups", 0, "missing", "prize"), 0.1, r"missing names unknown columns \['prize'\]"),
        (("groups", 0, "correlation"), [[]], "correlation must have 5 rows of 0, 1, 2 "),
        (("groups", 0, "correlation", 1), [2], r"correlation must lie in \[-1, 1\]"),
    ],
)
def test_load_spec_refuses_a_bad_spec(
    tmp_path: Path, path: tuple[str | int, ...], value: object, sentence: str
) -> None:
    """The message names the file and the key, what came, and how to mend it."""
    spec = json.loads(json.dumps(TINY))
    part = spec
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    (tmp_path / "bad.json").write_text(json.dumps(spec))
    with pytest.raises(ConfigError, match=rf"bad\.json: .*{sentence}.*Mend it"):
        load_spec(tmp_path / "bad.json")


def test_load_spec_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The message says how to make a spec."""
    with pytest.raises(ConfigError, match=r"none\.json: .*Make one with `python -m"):
        load_spec(tmp_path / "none.json")


def test_generate_refuses_no_rows() -> None:
    """A sample has at least one row."""
    with pytest.raises(ConfigError, match="rows must be at least 1, got 0"):
        generate(SampleSpec.model_validate(TINY), 0, seed=0)


@pytest.mark.parametrize(
    ("column", "roles", "sentence"),
    [
        (["1"] * 300, {"times": ("Day",)}, r"no column 'Day' \(did you mean 'day'\?\)"),
        ([f"t{i}" for i in range(300)], {}, "'day' has 300 distinct texts, at most 200"),
        (["2022-01-31"] * 300, {"dates": {"day": "%d-%m-%Y"}}, "'2022-01-31' has not the form"),
        (["25 h"] * 300, {"times": ("day",)}, "'25 h' is no time of day"),
        ([""] * 300, {}, "column 'day' is empty"),
        (["1"] * 300, {"ids": {"day": "x"}}, "template must hold one number"),
        (["1.5"] * 300, {"offsets": {"day": "word"}}, "An offset needs two number columns"),
        (["1", ""] * 150, {"target": "day"}, "target 'day' is missing in 150 rows"),
    ],
)
def test_fit_spec_refuses_what_it_cannot_read(
    column: list[str], roles: dict[str, Any], sentence: str
) -> None:
    """The message names the column and what to do."""
    table = pa.table({"word": ["a", "b"] * 150, "day": column, "y": ["0", "1", "1"] * 100})
    with pytest.raises(ConfigError, match=sentence):
        fit_spec(table, Roles(**{"target": "y", **roles}), source="made up")
