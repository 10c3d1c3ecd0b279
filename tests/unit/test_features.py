"""Derived columns, against naive implementations, and what a derivation may be."""

import math
import warnings
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabular.contract import Column, Contract, Derivation
from tabular.errors import ConfigError
from tabular.features import (
    DERIVATIONS,
    check_derivations,
    day_of_month,
    day_of_week,
    days_between,
    derive,
    equals,
    haversine_km,
    hour,
    hour_of_day,
    learn_features,
    log1p,
    minutes_between,
    month,
    part_of_day,
    ratio,
    year,
)

COLUMNS = {
    "lat": Column(type="number"),
    "lon": Column(type="number"),
    "from": Column(type="time"),
    "to": Column(type="time"),
    "city": Column(type="category"),
}


def one(*values):
    return [np.array([v], dtype=np.float32) for v in values]


def naive_km(lat_a, lon_a, lat_b, lon_b):
    """Angle of two unit vectors: another formula than the one under test."""

    def vector(lat, lon):
        lat, lon = math.radians(lat), math.radians(lon)
        return (math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat))

    a, b = vector(lat_a, lon_a), vector(lat_b, lon_b)
    cross = (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return 6371.0088 * math.atan2(math.hypot(*cross), dot)


latitudes, longitudes = st.floats(-90, 90, width=32), st.floats(-180, 180, width=32)


@given(latitudes, longitudes, latitudes, longitudes)
def test_haversine_agrees_with_the_angle_of_unit_vectors(lat_a, lon_a, lat_b, lon_b):
    points = (lat_a, lon_a, lat_b, lon_b)
    # Near the antipodes haversine loses half of its digits: 1 m of 20,000 km.
    assert haversine_km(*one(*points))[0] == pytest.approx(naive_km(*points), rel=1e-6, abs=1e-3)


def test_haversine_of_known_distances():
    assert haversine_km(*one(0, 0, 0, 90))[0] == pytest.approx(math.pi / 2 * 6371.0088)
    assert haversine_km(*one(52.5200, 13.4050, 48.8566, 2.3522))[0] == pytest.approx(877.5, abs=1)
    assert np.isnan(haversine_km(*one(np.nan, 0, 0, 0))[0])


@given(st.integers(0, 1439), st.integers(0, 1439))
def test_minutes_between_counts_forward_across_midnight(start, end):
    naive, clock = 0, start
    while clock != end:
        clock, naive = (clock + 1) % 1440, naive + 1
    assert minutes_between(*one(start, end))[0] == naive


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_calendar_functions_agree_with_datetime(day):
    days = np.array([(day - date(1970, 1, 1)).days + 0.75, np.nan])
    assert day_of_week(days)[0] == day.weekday()
    assert day_of_month(days)[0] == day.day
    assert month(days)[0] == day.month
    assert year(days)[0] == day.year
    for function in (day_of_week, day_of_month, month, year, hour_of_day):
        assert np.isnan(function(days)[1])


@given(st.integers(-40_000, 40_000), st.integers(0, 86_399))
def test_hour_of_day_is_the_clocks(day: int, second: int) -> None:
    """Days are float64: no second slips into the hour before."""
    assert hour_of_day(np.array([day + second / 86_400]))[0] == second // 3600


def test_days_between_has_a_sign() -> None:
    assert days_between(np.array([10.5, 3]), np.array([12.0, 1])).tolist() == [1.5, -2]


def test_hour_and_part_of_day():
    times = np.array([0, 359, 360, 720, 1080, 1439, np.nan], dtype=np.float32)
    assert hour(times)[:6].tolist() == [0, 5, 6, 12, 18, 23]
    assert part_of_day(times).tolist() == [
        "night",
        "night",
        "morning",
        "afternoon",
        "evening",
        "evening",
        "",
    ]


def test_arithmetic_is_missing_where_it_has_no_answer():
    a, b = np.array([6, 1, np.nan], np.float32), np.array([3, 0, 2], np.float32)
    np.testing.assert_array_equal(ratio(a, b), [2, np.nan, np.nan])
    np.testing.assert_array_equal(log1p(np.array([0, -2.0])), [0, np.nan])
    np.testing.assert_array_equal(equals(a, value=6), [1, 0, np.nan])


def test_derive_gives_one_row_and_many_the_same_and_changes_no_input():
    contract = Contract(
        columns=COLUMNS,
        derive={
            "wait": Derivation(function="minutes_between", inputs=("from", "to")),
            "part": Derivation(function="part_of_day", inputs=("from",)),
        },
    )
    columns = {
        "from": np.array([10, 1430, np.nan], np.float32),
        "to": np.array([25, 5, 7], np.float32),
    }
    whole = derive(contract, columns)
    assert set(columns) == {"from", "to"}
    assert whole["wait"].dtype == np.float32
    np.testing.assert_array_equal(whole["wait"], [15, 15, np.nan])
    for row in range(3):
        single = derive(contract, {n: v[row : row + 1] for n, v in columns.items()})
        np.testing.assert_array_equal(single["wait"], whole["wait"][row : row + 1])
        assert single["part"][0] == whole["part"][row]


@pytest.mark.parametrize(
    ("name", "keys", "part"),
    [
        ("city", {"function": "hour", "inputs": ["from"]}, "has the name of a column"),
        ("km", {"function": "haversin_km", "inputs": ["lat"]}, r"did you mean 'haversine_km'\?"),
        ("h", {"function": "hour", "inputs": ["form"]}, r"no column 'form' \(did you mean 'from'"),
        ("h", {"function": "hour", "inputs": ["lat"]}, r"types \['number'\], but hour reads"),
        ("h", {"function": "hour", "inputs": ["from", "to"]}, r"\['time', 'time'\]"),
        ("e", {"function": "equals", "inputs": ["lat"]}, r"params must be \['value'\], got \[\]"),
        ("h", {"function": "hour", "inputs": ["from"], "params": {"x": 1}}, r"got \['x'\]"),
    ],
)
def test_check_derivations_refuses(name, keys, part):
    contract = Contract(columns=COLUMNS, derive={name: Derivation(**keys)})
    with pytest.raises(ConfigError, match=part):
        check_derivations(contract, where="x.yaml")


@pytest.mark.parametrize("name", DERIVATIONS)
def test_every_derivation_takes_missing_values_without_a_warning(name):
    function = DERIVATIONS[name]
    inputs = [np.array([np.nan, 1.0]) for _ in function.reads]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = function.call(*inputs, **dict.fromkeys(function.params, 1.0))
    assert len(values) == 2
    assert values[0] == "" if function.categories else np.isnan(values[0])


def test_learn_features_takes_frequent_categories_in_contract_order():
    contract = Contract(
        columns={
            "code": Column(type="category", min_rows=2),
            "size": Column(type="category", categories=("S", "M", "L")),
            "key": Column(type="id"),
            "hidden": Column(type="number", feature=False),
            "at": Column(type="time"),
            "n": Column(type="number"),
        },
        derive={"part": Derivation(function="part_of_day", inputs=("at",))},
    )
    columns = {"code": np.array(["9", "10", "9", "10", "7", ""], dtype=object)}
    features = learn_features(contract, columns)
    assert [(f.name, f.kind) for f in features] == [
        ("code", "category"),
        ("size", "category"),
        ("n", "number"),
        ("part", "category"),
    ]
    assert features[0].categories == ("10", "9")
    assert features[1].categories == ("S", "M", "L")
    assert features[3].categories == ("night", "morning", "afternoon", "evening")
