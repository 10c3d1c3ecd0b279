"""Numbers as people write them are read, in a column and as a target; other texts are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from tabular.checks.targets import parse_target
from tabular.contract import Column, Contract
from tabular.moments import parse_any_date, parse_date
from tabular.mongo.values import stored_value
from tabular.numerals import Numeral
from tabular.problem import Problem
from tabular.records import Reader, raw_value
from tabular.settings import Candidate, Gate, Search, Source, Split, Target
from tabular.tables.arrow_columns import MANY_VALUES, read_column

DOLLARS = {"thousands": ",", "affixes": ("$",)}
COMMA = {"decimal": ",", "thousands": "."}


@pytest.mark.parametrize(
    ("form", "text", "number"),
    [
        (DOLLARS, "$1,234.50", 1234.5),
        (DOLLARS, "-$5", -5),
        (DOLLARS, "1234", 1234),
        (COMMA, "1.234,5", 1234.5),
        (COMMA, "3,5", 3.5),
        (COMMA, "1.234", 1234),
        ({"thousands": " "}, "1\u202f234", 1234),
        ({"affixes": ("%",)}, "12 %", 12),
        ({"affixes": ("(min)",)}, "(min) 24", 24),
        ({"decimal": ","}, "\u2212,5", -0.5),
    ],
)
def test_number_is_read_as_it_is_written(form: dict[str, Any], text: str, number: float) -> None:
    assert Numeral(**form).read_number(text) == number


@pytest.mark.parametrize(
    ("form", "text"),
    [(DOLLARS, "1,23"), (DOLLARS, "€5"), ({"decimal": ","}, "1.5"), (COMMA, "1.2,5"), (COMMA, "")],
)
def test_number_of_another_form_is_refused(form: dict[str, Any], text: str) -> None:
    """A wrong guess would be off by a thousand, and nobody would see it."""
    with pytest.raises(ValueError, match=r"digits|comma|could not convert"):
        Numeral(**form).read_number(text)


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"decimal": ",", "thousands": ","}, "decimal and thousands must differ"),
        ({"affixes": ("x1",)}, "affixes must hold no digit"),
        ({"affixes": (" ",)}, "affixes must hold no digit"),
    ],
)
def test_form_that_would_misread_is_refused(form: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Numeral(**form)


def test_column_of_many_texts_reads_points_as_its_form_says() -> None:
    """Arrow's quick way of reading numbers would take 1.234 for less than two."""
    texts = [f"{n}.{n}" for n in range(100, 101 + MANY_VALUES)]
    typed, broken = read_column(Column(type="number", **COMMA), pa.array(texts), frozenset())
    assert isinstance(typed, np.ndarray)
    assert not broken
    assert typed[0] == 100100


def test_request_may_write_a_number_as_the_table_does_or_as_a_number() -> None:
    reader = Reader(Column(type="number", max=10_000, **DOLLARS), frozenset())
    assert [reader.read("$1,234"), reader.read(1234)] == [1234, 1234]


def test_text_with_marks_is_stored_in_a_collection_as_it_is() -> None:
    """Otherwise 1.234 would come back as a number that the column's form does not know."""
    assert stored_value(Column(type="number", **COMMA), "1.234", frozenset()) == "1.234"


@pytest.mark.parametrize(
    ("form", "text", "days"),
    [
        ("iso", "1970-01-02", 1),
        ("iso", "1970-01-01T12:00:00Z", 0.5),
        ("iso", "1970-01-01T02:00+02:00", 0),
        ("epoch_s", "86400", 1),
        ("epoch_ms", 43_200_000, 0.5),
        ("%d/%m/%Y", "03/01/1970", 2),
    ],
)
def test_date_is_read_and_written_in_each_form(form: str, text: Any, days: float) -> None:
    assert parse_date(text, form) == days
    written = raw_value(Column(type="date", format=form), np.float64(days))
    assert parse_date(written, form) == days


def test_date_column_takes_several_forms_in_their_order() -> None:
    column = Column(type="date", format="%d/%m/%Y", other_formats=("iso",))
    forms = (column.format, *column.other_formats)
    assert [parse_any_date(text, forms) for text in ("02/01/1970", "1970-01-02")] == [1, 1]
    with pytest.raises(ValueError, match="sometime"):
        parse_any_date("sometime", forms)


def problem(task: str, **target: Any) -> Problem:
    return Problem(
        name="p",
        title="P",
        task=task,
        source=Source(kind="csv", path="-"),
        target=Target(column="y", **target),
        columns={"x": Column(type="number")},
        split=Split(kind="random"),
        search=Search(metric="mae" if task == "regression" else "log_loss"),
        candidates={"a": Candidate(estimator="lightgbm")},
        gates=(Gate(metric="latency_ms", max=9),),
    )


def test_target_is_read_as_it_is_written() -> None:
    values = np.array(["(min) 24", "(min) 7,5", "soon"], dtype=object)
    regression = problem("regression", decimal=",", affixes=("(min)",))
    parsed, broken = parse_target(regression, values)
    assert parsed.tolist() == [24, 7.5, 0]
    assert broken == {2: "target: number"}


def test_target_class_may_be_written_in_several_ways() -> None:
    """The test part of a well-known table of incomes ends each class with a point."""
    classes = {"low": "<=50K", "high": ">50K"}
    case = problem("binary", classes=classes, positive="high", aliases={"<=50K.": "<=50K"})
    parsed, broken = parse_target(case, np.array(["<=50K.", ">50K", "<=50K", "?"], dtype=object))
    assert parsed[:3].tolist() == [0, 1, 0]
    assert list(broken) == [3]


@pytest.mark.parametrize(
    ("task", "target", "says"),
    [
        ("regression", {"aliases": {"a": "b"}}, "are for classification"),
        ("binary", {"classes": {"a": 1, "b": 2}, "positive": "a", "decimal": ","}, "for task regr"),
        (
            "binary",
            {"classes": {"a": 1, "b": 2}, "positive": "a", "aliases": {"x": "3"}},
            r"target.aliases '3' is not known",
        ),
    ],
)
def test_target_that_cannot_be_meant_is_refused(
    task: str, target: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        problem(task, **target)


def test_contract_of_an_older_bundle_reads_plain_numbers() -> None:
    """A bundle that was written before these keys lacks them."""
    old = Contract.model_validate({"columns": {"x": {"type": "number"}}})
    assert old.columns["x"].is_plain
