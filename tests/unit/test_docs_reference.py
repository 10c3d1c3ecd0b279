"""What is documented is there, and what is there is documented; links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from markdown import Markdown

import run
from docs.generator.config import keys, parts, sentences
from service.routes import routes
from tabular.problem import Problem
from tests.unit.docs_pages import ROOT, blocks, generated_pages, pages

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
VARIABLE = re.compile(r"\bBENTOLINE_[A-Z_]*[A-Z]\b")
METRIC = re.compile(r"\bbentoline_[a-z_]*[a-z]\b")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
SOURCES = (
    "run.py", "Makefile", "Dockerfile", "docker-compose.yml", "benchmarks", "configs", "deploy",
    "pipelines", "service", "steps", "tabular",
)  # fmt: skip
# Other spellings of a route, which older clients know, and files of the pages.
ALSO = {"/healthz", "/docs.json", "/docs/start.js", "/page/*", "/training", "/training/*"}


def source_text() -> str:
    """Every line of the project but tests and pages; Terraform's variables are its own."""
    files = [
        file
        for name in SOURCES
        for file in ([ROOT / name] if (ROOT / name).is_file() else sorted((ROOT / name).rglob("*")))
        if file.is_file()
        and file.suffix in (".py", ".sh", ".yml", ".yaml", "")
        and "terraform" not in file.parts
    ]
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


def anchors(text: str) -> set[str]:
    """The places of a page that a link may name."""
    page: Any = Markdown(extensions=["toc", "fenced_code"])
    page.convert(text)

    def walk(tokens: list[dict[str, Any]]) -> set[str]:
        return {one["id"] for one in tokens}.union(*(walk(one["children"]) for one in tokens))

    return walk(page.toc_tokens)


@pytest.mark.parametrize("model", parts(), ids=lambda model: model.__name__)
def test_every_key_of_the_yaml_says_what_it_means(model: Any) -> None:
    said = sentences(model)
    silent = [key for key, _ in keys(model) if not said.get(key, "").strip()]
    assert silent == [], f"write a sentence below the field in class {model.__name__}"


def test_every_model_of_the_yaml_has_its_part_of_the_page() -> None:
    page = generated_pages()["docs/reference/config.md"]
    for place in filter(None, parts().values()):
        assert f"## `{place}`" in page


def yaml_blocks() -> list[Any]:
    return [pytest.param(b, id=f"{b.page}: {b.text.strip()[:30]}") for b in blocks("yaml")]


@pytest.mark.parametrize("block", yaml_blocks())
def test_yaml_of_the_guides_is_taken(block: Any) -> None:
    shown = yaml.safe_load(block.text)
    if "components" in shown:
        from pipelines.stacks.definition import StackDefinition

        assert StackDefinition.model_validate({"name": "shown", **shown}).components
        return
    text = (ROOT / "configs" / "problems" / "vehicle_insurance.yaml").read_text(encoding="utf-8")
    whole = {"name": "shown", **yaml.safe_load(text)}
    if not set(shown) <= set(Problem.model_fields):
        pytest.skip("no part of a problem")
    for key, part in shown.items():
        whole[key] = {**whole.get(key, {}), **part} if isinstance(part, dict) else part
    assert Problem.model_validate(whole)


def test_every_action_and_flag_is_in_the_reference() -> None:
    page = generated_pages()["docs/reference/cli.md"]
    for option in run.parser()._actions:
        assert option.dest == "help" or f"`{option.option_strings[-1]}" in page


def test_no_page_names_a_flag_of_run_py_that_is_not_there() -> None:
    known = {name for option in run.parser()._actions for name in option.option_strings}
    wrong = [
        (page, flag)
        for page, text in pages().items()
        for span in re.findall(r"`([^`\n]+)`", text)
        if span.startswith("--") or "run.py" in span
        for flag in FLAG.findall(span)
        if flag not in known | FLAGS_OF_OTHERS
    ]
    assert wrong == []


FLAGS_OF_OTHERS = {"--read-only", "--init", "--recursive"}


def test_every_variable_is_documented_and_every_documented_one_is_read() -> None:
    read = set(VARIABLE.findall(source_text()))
    told = set(VARIABLE.findall(pages()["docs/reference/environment.md"]))
    assert {"not told": sorted(read - told), "not read": sorted(told - read)} == {
        "not told": [],
        "not read": [],
    }


def test_every_metric_named_anywhere_is_one_that_is_shown() -> None:
    shown = set(METRIC.findall(generated_pages()["docs/reference/metrics.md"]))
    families = {re.sub(r"_(total|bucket)$", "", name) for name in shown}
    watched = "\n".join(
        file.read_text(encoding="utf-8")
        for folder in ("grafana", "prometheus")
        for file in sorted((ROOT / "deploy" / folder).rglob("*"))
        if file.suffix in (".json", ".yml", ".yaml")
    )
    named = set(METRIC.findall("\n".join(pages().values()) + watched))
    strange = [n for n in named if re.sub(r"_(total|bucket|sum|count)$", "", n) not in families]
    assert [n for n in strange if not n.startswith(NO_METRIC)] == []


NO_METRIC = ("bentoline_host",)


def test_every_route_is_in_the_reference() -> None:
    page = generated_pages()["docs/reference/api.md"]
    settings = SimpleNamespace(token="t", trainer="x", home=Path(), problem="")
    stand_in: Any = SimpleNamespace(settings=settings, model=None, routes=dict, is_on=True)
    served = routes(*[stand_in] * len(signature(routes).parameters))
    missing = [p for p in served if p not in ALSO and f" {p.replace('*', 'ID')}`" not in page]
    assert missing == []


@pytest.mark.parametrize("page", pages())
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    whole = pages() | generated_pages()
    text = re.sub(r"```.*?```", "", pages()[page], flags=re.DOTALL)
    dead = []
    for link in (*LINK.findall(text), *IMAGE.findall(text)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        place = (ROOT / page).parent / path if path else ROOT / page
        name = str(place.resolve().relative_to(ROOT))
        is_there = name in whole or place.exists()
        if not is_there or (anchor and anchor not in anchors(whole[name])):
            dead.append(link)
    assert dead == []


def test_site_is_built_without_a_warning_and_asks_nobody_else(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    html = list(tmp_path.rglob("*.html"))
    assert len(html) > 30
    for file in html:
        asked = re.findall(r'(?:src|<link[^>]*href)="(https?://[^"]*)"', file.read_text("utf-8"))
        assert asked == [], file
