"""The pages that people read, their fenced blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from docs.generator.hook import PAGES

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", flags=re.MULTILINE | re.DOTALL)
SHELLS = ("bash", "console", "sh", "")
# A block without a language shows a command with what it prints; its other lines are no commands.
PROGRAMS = (
    "python", ".venv/bin/", "make", "curl", "bentoml", "git", "bash", ".ci/run", "docker", "aws",
    "terraform", "zenml", "kubectl", "ssh",
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command of a page, without the variables set before it."""

    page: str
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        return self.words[0]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


@cache
def pages() -> dict[str, str]:
    """Every page that is written by hand, by its path."""
    named = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
    found = sorted((ROOT / "docs").rglob("*.md"))
    return {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in (*named, *found)}


@cache
def generated_pages() -> dict[str, str]:
    """What the code says of itself, by the path on the site."""
    return {f"docs/{place}": make() for place, make in PAGES.items()}


def blocks(*languages: str) -> list[Block]:
    """The fenced blocks of these languages."""
    return [
        Block(page, language, re.sub(rf"^{indent}", "", body, flags=re.MULTILINE))
        for page, text in pages().items()
        for indent, language, body in FENCE.findall(text)
        if language in languages
    ]


def commands() -> list[Command]:
    """Every command of every page, in order."""
    found = []
    for block in blocks(*SHELLS):
        for line in _whole_lines(block.text):
            is_marked = line.startswith("$ ")
            text = re.sub(r"^(\$ )?((export )?[A-Z][A-Z0-9_]*=\S*\s*)*", "", line.strip())
            if (block.language == "bash" or is_marked or text.startswith(PROGRAMS)) and (
                words := shlex.split(text, comments=True)
            ):
                found += [Command(block.page, tuple(part)) for part in _parts(words)]
    return found


def _whole_lines(text: str) -> list[str]:
    """Lines as a shell reads them: one that ends in a backslash or inside quotes goes on."""
    whole: list[str] = []
    is_open = False
    for line in text.replace("\\\n", " ").splitlines():
        if is_open:
            whole[-1] += "\n" + line
        else:
            whole.append(line)
        is_open = re.sub(r"(^|\s)#.*", "", whole[-1]).count("'") % 2 == 1
    return whole


def _parts(words: list[str]) -> list[list[str]]:
    """The commands that && and | join."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", "|", ";"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]
