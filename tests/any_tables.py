"""Twelve tables as people have them, each with its own traps, and how to score an answer to them.

Five come with scikit-learn; seven are drawn here, with the traps written beside them. A hand-made
baseline of tuned boosted trees is given the same rows, cleaned by somebody who knows the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

Task = str
Frame = pd.DataFrame


@dataclass(frozen=True)
class AnyTable:
    """A table: how it is written to a file, and the clean (X, y) that a person would make of it."""

    name: str
    task: Task
    target: str
    rows: Callable[[], tuple[Frame, Frame]]
    suffix: str = ".csv"
    form: tuple[tuple[str, Any], ...] = ()

    def write(self, folder: Path) -> tuple[Path, Frame]:
        """Write the raw table; give its path and the clean inputs, target last, in its order."""
        raw, clean = self.rows()
        path = folder / f"{self.name}{self.suffix}"
        if self.suffix == ".parquet":
            raw.to_parquet(path)
        else:
            raw.to_csv(path, index=False, **dict(self.form))
        return path, clean


def _bundled(name: str) -> tuple[Frame, Frame]:
    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    clean = bunch.frame
    raw = clean.copy()
    if hasattr(bunch, "target_names") and name != "digits":
        raw["target"] = [str(bunch.target_names[code]) for code in bunch.target]
    return raw, clean


def _logit(score: Any, rng: np.random.Generator) -> Any:
    return rng.random(len(score)) < 1 / (1 + np.exp(-score))


def income() -> tuple[Frame, Frame]:
    """Blanks before each text, "?" for missing, classes that end with a point in some rows."""
    rng, n = np.random.default_rng(1), 4_000
    age, hours = rng.integers(17, 90, n), rng.integers(5, 80, n)
    work = rng.choice(
        ["Private", "Self-emp", "State-gov", "Federal-gov"], n, p=[0.7, 0.15, 0.1, 0.05]
    )
    school = rng.integers(1, 17, n)
    gain = np.where(rng.random(n) < 0.08, rng.lognormal(8, 1, n).round(), 0)
    high = _logit(-6 + 0.35 * school + 0.03 * hours + 0.02 * age + 0.0004 * gain, rng)
    clean = Frame({"age": age, "hours": hours, "school": school, "gain": gain, "work": work})
    clean["work"] = clean["work"].mask(rng.random(n) < 0.06)
    raw = clean.assign(work=clean["work"].fillna("?").radd(" "), fnlwgt=rng.permutation(n) * 7 + 90)
    point = np.where(rng.random(n) < 0.3, ".", "")
    raw["income"] = np.char.add(np.where(high, " >50K", " <=50K"), point)
    return raw, clean.assign(income=high.astype(int))


def flats() -> tuple[Frame, Frame]:
    """Semicolons, decimal commas, points of thousands, euros, cp1252, codes with leading zeros."""
    rng, n = np.random.default_rng(2), 3_000
    area, rooms = rng.gamma(9, 9, n).round(1) + 15, rng.integers(1, 7, n)
    towns = {"01067": 0.9, "04109": 0.95, "10115": 1.4, "50667": 1.2, "80331": 1.9, "99084": 0.7}
    plz = rng.choice([*towns], n)
    share = rng.random(n).round(3)
    price = area * 2_900 * np.array([towns[p] for p in plz]) * (1 - 0.2 * share)
    price = (price * rng.lognormal(0, 0.08, n) + 4_000 * rooms).round(-2)
    clean = Frame({"area": area, "rooms": rooms, "share": share, "plz": plz, "price": price})

    def german(value: float, digits: int) -> str:
        return f"{value:,.{digits}f}".translate(str.maketrans(",.", ".,"))

    raw = Frame(
        {
            "Objekt-Nr.": [f"OBJ{i:05d}" for i in rng.permutation(n)],
            "Wohnfläche (m²)": [german(v, 1) for v in area],
            "Zimmer": rooms,
            "Anteil": [f"{german(v * 100, 1)} %" for v in share],
            "PLZ": plz,
            "Kaufpreis": [f"{german(v, 0)} €" for v in price],
        }
    )
    return raw, clean


def rides() -> tuple[Frame, Frame]:
    """Times of day, dates of another country, minutes with their unit, a copy in seconds."""
    rng, n = np.random.default_rng(3), 3_000
    minute = rng.integers(0, 1_440, n)
    day = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 364, n), "D")
    km = rng.gamma(2, 3, n).round(2)
    rush = np.isin(minute // 60, [7, 8, 16, 17, 18])
    took = 4 + km * (2.2 + 1.4 * rush + 0.6 * (day.dayofweek < 5)) + rng.normal(0, 1.5, n)
    took = np.maximum(took, 1).round(1)
    clean = Frame({"minute": minute, "weekday": day.dayofweek, "month": day.month, "km": km})
    raw = Frame(
        {
            "ride": rng.permutation(n) + 100_000,
            "day": day.strftime("%m/%d/%Y"),
            "at": [
                f"{m // 60 % 12 or 12}:{m % 60:02d} {'PM' if m >= 720 else 'AM'}" for m in minute
            ],
            "distance": [f"{v} km" for v in km],
            "took_seconds": (took * 60).round(1),
            "took": [f"(min) {v}" for v in took],
        }
    )
    return raw, clean.assign(took=took)


def churn() -> tuple[Frame, Frame]:
    """Rare positives, yes and no in several spellings, numbers as text, a reason given too late."""
    rng, n = np.random.default_rng(4), 6_000
    months, fee = rng.integers(0, 72, n), rng.normal(65, 25, n).clip(18).round(2)
    plan = rng.choice(["monthly", "one year", "two years"], n, p=[0.55, 0.25, 0.2])
    calls = rng.poisson(1.5, n)
    weight = {"monthly": 1.2, "one year": -0.5, "two years": -1.6}
    score = -3.4 - 0.03 * months + 0.02 * fee + 0.4 * calls + np.array([weight[p] for p in plan])
    gone = _logit(score, rng)
    clean = Frame({"months": months, "fee": fee, "calls": calls, "plan": plan})
    spelt = {True: ["Yes", "yes", "YES "], False: ["No", "no", "No "]}
    raw = Frame(
        {
            "customerID": [f"{rng.integers(1e4):04d}-{i:05d}" for i in range(n)],
            "months": months,
            "monthly.fee": [f"${v}" for v in fee],
            "total": [f"{v:,.2f}" if m else " " for v, m in zip(fee * months, months, strict=True)],
            "calls": calls,
            "plan": plan,
            "reason for leaving": np.where(gone, rng.choice(["price", "moved"], n), ""),
            "Churn": [rng.choice(spelt[bool(g)]) for g in gone],
        }
    )
    return raw, clean.assign(churn=gone.astype(int))


def machines() -> tuple[Frame, Frame]:
    """Several rows of each machine, -999 for a broken sensor, tabs between the fields."""
    rng, n = np.random.default_rng(5), 5_000
    machine = rng.integers(0, 150, n)
    bias = rng.normal(0, 0.6, 150)[machine]
    heat, load, wear = rng.normal(60, 12, n), rng.random(n) * 100, rng.gamma(2, 20, n)
    fails = _logit(-4 + 0.06 * (heat - 60) + 0.02 * load + 0.03 * wear + bias, rng)
    heat = np.where(rng.random(n) < 0.05, np.nan, heat).round(2)
    clean = Frame({"heat": heat, "load": load.round(1), "wear": wear.round(1)})
    raw = clean.fillna({"heat": -999}).assign(machine_id=[f"M{m:03d}" for m in machine])
    raw["state"] = np.where(fails, "failed", "fine")
    return raw, clean.assign(machine_id=machine, state=fails.astype(int))


def sensors() -> tuple[Frame, Frame]:
    """A moment with a zone in the order of the rows, as Parquet, and a column of lists."""
    rng, n = np.random.default_rng(6), 3_000
    at = pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")
    wind, cloud = rng.gamma(2, 3, n), rng.random(n)
    hour, month = at.hour.to_numpy(), at.month.to_numpy()
    sun = np.maximum(np.sin((hour - 6) / 12 * np.pi), 0) * (1 - 0.7 * cloud)
    power = (40 * sun + 2.5 * wind + rng.normal(0, 2, n)).round(3)
    clean = Frame({"wind": wind, "cloud": cloud, "hour": hour, "month": month, "power_kw": power})
    raw = Frame({"measured_at": at, "wind": wind, "cloud": cloud, "power_kw": power})
    raw["tags"] = [["a", "b"]] * n
    return raw, clean


def support() -> tuple[Frame, Frame]:
    """Four classes, channel codes without an order, rare categories, free text, UTF-16."""
    rng, n = np.random.default_rng(7), 4_000
    channel = rng.choice([3, 7, 12, 26, 40, 124, 152, 160], n)
    product = np.array([f"P-{min(int(v), 60):02d}" for v in rng.exponential(9, n)])
    length = rng.lognormal(4, 0.7, n).round()
    wait = rng.gamma(2, 15, n).round(1)
    effects = rng.normal(0, 1.6, (61, 4))
    score = effects[[int(p[2:]) for p in product]]
    score = score + np.outer(np.log(length) - 4, [1, -1, 0.5, 0])
    score = score + rng.normal(0, 1.2, (200, 4))[channel]
    team = (score + rng.gumbel(size=(n, 4))).argmax(axis=1)
    clean = Frame({"channel": channel, "product": product, "length": length, "wait": wait})
    words = np.array(
        [
            "please",
            "my",
            "order",
            "was",
            "not",
            "here",
            "when",
            "it",
            "came",
            "and",
            "the",
            "box",
            "is",
            "open",
        ]
    )
    raw = clean.assign(
        message=[" ".join(rng.choice(words, 9)) for _ in range(n)],
        team=np.array(["billing", "delivery", "returns", "sales"])[team],
    )
    return raw, clean.assign(team=team)


TABLES = (
    AnyTable("iris", "multiclass", "target", lambda: _bundled("iris")),
    AnyTable("wine", "multiclass", "target", lambda: _bundled("wine"), form=(("sep", "|"),)),
    AnyTable("breast_cancer", "binary", "target", lambda: _bundled("breast_cancer")),
    AnyTable("diabetes", "regression", "target", lambda: _bundled("diabetes")),
    AnyTable("digits", "multiclass", "target", lambda: _bundled("digits"), ".csv.gz"),
    AnyTable("income", "binary", "income", income),
    AnyTable(
        "flats", "regression", "Kaufpreis", flats, ".txt", (("sep", ";"), ("encoding", "cp1252"))
    ),
    AnyTable("rides", "regression", "took", rides, form=(("encoding", "utf-8-sig"),)),
    AnyTable("churn", "binary", "Churn", churn),
    AnyTable("machines", "binary", "state", machines, ".tsv", (("sep", "\t"),)),
    AnyTable("sensors", "regression", "power_kw", sensors, ".parquet"),
    AnyTable("support", "multiclass", "team", support, form=(("encoding", "utf-16"),)),
)
