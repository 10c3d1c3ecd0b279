"""How texts are written is told from the texts: numbers, dates, times, and none of these."""

from __future__ import annotations

import pytest

from tabular.proposal.forms import find_dates, find_numbers, find_times
from tabular.proposal.names import slug, unit_of, words


def counts(*texts: str) -> dict[str, int]:
    return dict.fromkeys(texts, 10)


@pytest.mark.parametrize(
    ("texts", "decimal", "thousands", "affixes", "unit"),
    [
        (("1.5", "2", "1e5"), ".", "", (), ""),
        (("1,234", "56", "789"), ".", ",", (), ""),
        (("$5", "$1,200.50", "-$3"), ".", ",", ("$",), "$"),
        (("12 %", "7%"), ".", "", ("%",), "%"),
        (("1,5", "2,25"), ",", "", (), ""),
        (("0,123", "0,456"), ",", "", (), ""),
        (("1.234,5", "2"), ",", ".", (), ""),
        (("1.234.567", "2.345"), ",", ".", (), ""),
        (("1\u202f234", "5"), ".", " ", (), ""),
        (("(min) 24", "(min) 3"), ".", "", ("(min)",), "min"),
        (("24 mins", "3 mins"), ".", "", ("mins",), "min"),
        (("€ 5,00", "€ 6,50"), ",", "", ("€",), "€"),
    ],
)
def test_numbers_are_read_as_they_are_written(
    texts: tuple[str, ...], decimal: str, thousands: str, affixes: tuple[str, ...], unit: str
) -> None:
    found = find_numbers(counts(*texts))
    assert found is not None
    assert (found.numeral.decimal, found.numeral.thousands) == (decimal, thousands)
    assert (found.numeral.affixes, found.unit) == (affixes, unit)


@pytest.mark.parametrize(
    "texts",
    [("A12", "B3"), ("ID100", "ID200"), ("5 kg", "300 g"), ("x", "1"), ("1-2", "3-4"), ("1:30",)],
)
def test_codes_and_mixed_units_are_no_numbers(texts: tuple[str, ...]) -> None:
    """5 kg and 300 g side by side are not 5 and 300."""
    assert find_numbers(counts(*texts)) is None


def test_number_that_may_be_read_in_two_ways_is_said_to_be() -> None:
    """Nothing in 1,234 alone tells a thousand from little more than one."""
    found = find_numbers(counts("1,234", "2,345"))
    assert found is not None
    assert found.is_ambiguous
    german = find_numbers(counts("1.234", "2.345"), has_decimal_comma=True)
    assert german is not None
    assert (german.numeral.thousands, german.is_ambiguous) == (".", True)


@pytest.mark.parametrize(
    ("texts", "forms", "is_ambiguous"),
    [
        (("2024-01-02",), ("%Y-%m-%d",), False),
        (("2024-01-02T03:04:05Z", "2024-01-02"), ("iso",), False),
        (("13/02/2024", "01/02/2024"), ("%d/%m/%Y",), False),
        (("02/13/2024", "01/02/2024"), ("%m/%d/%Y",), False),
        (("01/02/2024", "03/04/2024"), ("%d/%m/%Y",), True),
        (("20240131", "20230101"), ("%Y%m%d",), False),
        (("Jan 5, 2024",), ("%b %d, %Y",), False),
        (("5-Mar-24",), ("%d-%b-%y",), False),
        (("2024-01-02", "13/02/2024"), ("%Y-%m-%d", "%d/%m/%Y"), False),
        (("13/02/2024 9:30 PM",), ("%d/%m/%Y %I:%M %p",), False),
    ],
)
def test_dates_are_read_as_they_are_written(
    texts: tuple[str, ...], forms: tuple[str, ...], is_ambiguous: bool
) -> None:
    found = find_dates(counts(*texts))
    assert found is not None
    assert (found.forms, found.is_ambiguous) == (forms, is_ambiguous)


@pytest.mark.parametrize("text", ["12:30", "abc1", "123", "12345678", "2024", "1.5"])
def test_other_texts_are_no_dates(text: str) -> None:
    assert find_dates(counts(text)) is None


@pytest.mark.parametrize(
    ("texts", "are_times"),
    [
        (("21:55", "9:05"), True),
        (("9:55 PM", "12pm"), True),
        (("24:61",), False),
        (("0.5", "1"), False),
    ],
)
def test_times_of_day_are_told_from_shares(texts: tuple[str, ...], are_times: bool) -> None:
    assert find_times(counts(*texts)) == are_times


def test_names_are_cut_into_words_and_units() -> None:
    assert words("CustomerID") == ["customer", "id"]
    assert words("größe_cm") == ["grösse", "cm"]
    assert [unit_of(name) for name in ("weight_kg", "sepal length (cm)", "Time (min)", "x")] == [
        "kg", "cm", "min", "",
    ]  # fmt: skip
    assert slug("Größe & Co.2") == "groe_co_2"
