"""The page as a person uses it, in a real browser against the real service."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.browser.conftest import Serve


def predict(page: Any) -> str:
    page.get_by_role("button", name="Predict", exact=True).click()
    page.wait_for_selector("#answer .headline")
    return str(page.inner_text("#answer"))


def test_form_has_a_field_for_each_column_with_its_hint_and_example(open_page):
    page = open_page()
    page.wait_for_selector("#field-age")
    assert page.inner_text("h1") == "A tiny model"
    labels = page.locator("#fields label").all_inner_texts()
    assert labels == ["age", "fee", "city", "opened"]
    assert "18 to 90; whole number; required" in page.inner_text("#field-age-hint")
    assert page.input_value("#field-age") != ""
    assert page.locator("#field-city-list option").count() == 2


def test_answer_of_a_class_shows_probabilities_threshold_and_contributions(open_page):
    page = open_page()
    page.fill("#field-age", "18")
    page.fill("#field-fee", "-4.5")
    text = predict(page)
    assert re.search(r"The model says “yes” from a probability of 40 %", text)
    assert "What moved it" in text
    assert page.locator("#answer svg").count() == 2
    assert re.search(r"Model v1, request \S+", text)


def test_answer_of_a_value_shows_its_unit_and_interval(open_page):
    page = open_page("regression")
    text = predict(page)
    assert re.search(r"^-?[\d.,]+ min$", page.inner_text("#answer .headline"))
    assert re.search(r"90 % of such rows lie between -?[\d.,]+ and -?[\d.,]+ min", text)
    assert page.locator("#answer svg circle").count() == 1


def test_form_works_by_keyboard_alone(open_page):
    page = open_page()
    page.wait_for_selector("#field-age")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "field-age":
            break
    page.keyboard.press("Control+A")
    page.keyboard.type("61")
    page.keyboard.press("Enter")
    page.wait_for_selector("#answer .headline")
    assert page.evaluate("document.activeElement.id") == "answer"


def test_wrong_value_is_said_at_its_field_and_focused(open_page):
    page = open_page()
    page.fill("#field-age", "17")
    page.get_by_role("button", name="Predict", exact=True).click()
    page.wait_for_selector("#field-age[aria-invalid=true]")
    assert "Got 17; allowed: in [18, 90]" in page.inner_text("#field-age-error")
    assert page.evaluate("document.activeElement.id") == "field-age"
    page.fill("#field-age", "44")
    predict(page)
    assert page.inner_text("#field-age-error") == ""


def test_empty_optional_field_and_unseen_category_are_answered_with_a_warning(open_page):
    page = open_page()
    page.fill("#field-fee", "")
    page.fill("#field-city", "Paris")
    assert "city: a category that training did not see" in predict(page)


def test_csv_is_answered_row_by_row_with_errors_in_their_place(open_page, tmp_path):
    table = tmp_path / "rows.csv"
    lines = ["age,fee,city,opened", '30,1.5,"Delhi",09:30', "17,1,Delhi,09:30", "61,,Paris,"]
    table.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    page = open_page()
    page.set_input_files("#file", table)
    page.get_by_role("button", name="Predict the file").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the answers").click()
    rows = read(Path(download.value.path()))
    assert [row["age"] for row in rows] == ["30", "17", "61"]
    assert [bool(row["prediction"]) for row in rows] == [True, False, True]
    assert "age: got 17" in rows[1]["error"]
    assert float(rows[0]["probability yes"]) == pytest.approx(
        1 - float(rows[0]["probability no"]), abs=1e-9
    )
    assert "3 rows, 1 of them with an error" in page.inner_text("#progress-words")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_long_csv_is_sent_in_parts_and_keeps_its_order(open_page, tmp_path):
    table = tmp_path / "long.csv"
    ages = [18 + n % 70 for n in range(5_001)]
    table.write_text("age,fee,city,opened\n" + "".join(f"{a},1,Delhi,10:00\n" for a in ages))
    page = open_page()
    parts: list[str] = []
    page.on("request", lambda one: "partial=true" in one.url and parts.append(one.url))
    page.set_input_files("#file", table)
    page.get_by_role("button", name="Predict the file").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the answers").click()
    rows = read(Path(download.value.path()))
    assert [int(row["age"]) for row in rows] == ages
    assert len(parts) == 3
    assert not any(row["error"] for row in rows)


def test_versions_show_metrics_aliases_and_verdict(open_page):
    page = open_page()
    page.wait_for_selector("#versions-table table")
    text = page.inner_text("#versions-table")
    for word in ("v1", "production", "serves here", "0.91 [0.88, 0.94]", "1 of 1 gates hold"):
        assert word in text


def test_phone_needs_no_sideways_scrolling(open_page):
    page = open_page(width=360)
    predict(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_page_without_a_model_says_so(open_page):
    page = open_page("none")
    page.get_by_role("heading", name="No model is served").wait_for()
    assert "no production version of tiny yet" in page.inner_text("#about")
    assert not page.is_visible("#record")


def test_documentation_works_without_the_internet(open_page):
    page = open_page()
    page.get_by_role("link", name="API").click()
    page.wait_for_selector(".opblock-summary-path")
    assert "/predict" in page.inner_text("#docs")


def test_explanation_answers_programs_too(serve: Serve, record: dict[str, Any]):
    body = json.dumps(record).encode()
    request = Request(f"{serve()}/explain", body, {"content-type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        found = json.loads(answer.read())
    distance = found["answer"] - found["reference_answer"]
    assert sum(found["contributions"].values()) == pytest.approx(distance, abs=1e-9)
    assert set(found["contributions"]) == set(record)
