"""The web page: its files, read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from service.errors import RequestError
from service.http import HTML, Answer, Request

FOLDER = Path(__file__).parent / "page"
MEDIA_TYPES = {
    ".html": HTML,
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}


async def index(request: Request) -> Answer:  # noqa: ARG001  # every handler is given it
    """The page."""
    return _files()["index.html"]


async def page_file(request: Request) -> Answer:
    """One of the page's files.

    Raises:
        RequestError: There is none of that name.
    """
    name = request.path.rpartition("/")[2]
    if name not in _files():
        raise RequestError(404, "not_found", "the page has no such file.")
    return _files()[name]


@cache
def _files() -> dict[str, Answer]:
    return {
        path.name: Answer(200, path.read_bytes(), MEDIA_TYPES[path.suffix])
        for path in FOLDER.iterdir()
        if path.suffix in MEDIA_TYPES
    }
