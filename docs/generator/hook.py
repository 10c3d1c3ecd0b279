"""What `mkdocs.yml` calls: adds the generated pages to those in the folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # `mkdocs` is a program of its own
    sys.path.insert(0, str(ROOT))

from docs.generator.api import api_page  # noqa: E402
from docs.generator.cli import cli_page  # noqa: E402
from docs.generator.config import config_page  # noqa: E402
from docs.generator.records import audit_page, metrics_page  # noqa: E402

ADRS = "adr/README.md"
PAGES: dict[str, Callable[[], str]] = {
    "reference/config.md": config_page,
    "reference/cli.md": cli_page,
    "reference/api.md": api_page,
    "reference/metrics.md": metrics_page,
    "reference/audit.md": audit_page,
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add every decision to the part of the navigation that ends with the page about them."""
    for part in config.nav or []:
        for places in part.values():
            if ADRS in places:
                places += [f"adr/{file.name}" for file in decisions()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for place, make in PAGES.items():
        files.append(File.generated(config, place, content=make()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """List the decisions on the page about them."""
    return f"{markdown}\n{adr_list()}" if page.file.src_uri == ADRS else markdown


def adr_list() -> str:
    """Every decision by its title."""
    titles = {one.name: one.read_text("utf-8").partition("\n")[0] for one in decisions()}
    return "\n".join(f"- [{title.removeprefix('# ')}]({name})" for name, title in titles.items())


def decisions() -> list[Path]:
    """The pages of single decisions, in order."""
    return sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
