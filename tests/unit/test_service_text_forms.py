"""Times and dates in the OpenAPI document: what fits the keywords is read by the contract."""

import re
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.text_forms import CLOCK, text_form
from tabular.contract import Column
from tabular.moments import parse_date, parse_time

FORMS = ["%d.%m.%Y", "%Y/%m/%d %H:%M:%S", "%H%M_%y%m%d"]


@settings(max_examples=100, deadline=None)
@given(st.from_regex(CLOCK, fullmatch=True))
def test_every_time_of_the_pattern_is_read(text):
    assert text_form(Column(type="time")) == {"pattern": CLOCK}
    hours, minutes = text.strip().split(":")[:2]
    assert parse_time(text) == int(hours) * 60 + int(minutes)


@settings(max_examples=100, deadline=None)
@given(form=st.sampled_from(FORMS), moment=st.datetimes(datetime(1970, 1, 1), datetime(2068, 1, 1)))
def test_every_date_of_the_form_fits_its_pattern(form, moment):
    pattern = text_form(Column(type="date", format=form))["pattern"]
    text = moment.strftime(form)
    assert re.search(pattern, text)
    assert not re.search(pattern, text + "x")
    assert parse_date(text, form) <= moment.timestamp() / 86_400 + 1


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Column(type="date"), {"format": "date"}),
        (Column(type="date", format="iso"), {"format": "date-time"}),
        (Column(type="date", format="%d %B %Y"), {}),
        (Column(type="date", other_formats=("%d.%m.%Y",)), {}),
        (Column(type="category"), {}),
        (Column(type="number"), {}),
    ],
)
def test_other_columns_have_the_keyword_that_fits_or_none(column, expected):
    assert text_form(column) == expected
