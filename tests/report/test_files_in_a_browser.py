"""Pictures and Markdown with names that try to be markup, in a real browser: none runs, asks or becomes an element."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from rope_prof.dashboard.downloads import OfPage, made

from rope_prof.io.run.redact import Cleaner, PrivateWords
from rope_prof.views.draw.palette import palette
from rope_prof.views.draw.svg import Drawing, Text
from tests.dashboard.drawn_run import HOSTILE
from tests.report.conftest import MORE_HOSTILE, Written
from tests.report.report_reading import rendered

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = (
    *HOSTILE,
    *MORE_HOSTILE,
    "</text></svg><script>alert(1)</script>",
    "]]><image href='http://evil.example/x'/>",
    '"><foreignObject><iframe src="http://evil.example"></iframe></foreignObject>',
    "<style>*{background:url(http://evil.example)}</style>",
    "[x](javascript:alert(1)) ![y](http://evil.example/y.png) <http://evil.example>",
)
#: Elements that a drawing is made of, and a text: whatever else stands in a page, a name has made.
DRAWN = {"svg", "g", "rect", "path", "line", "polyline", "polygon", "circle", "text", "tspan", "title", "style", "defs"}
WRITTEN = {
    *("html", "head", "body", "p", "h1", "h2", "h3", "h4", "ul", "li", "strong", "em", "code", "pre", "br", "hr"),
    *("table", "thead", "tbody", "tr", "th", "td", "picture", "source", "img", "details", "summary", "sub", "sup", "a"),
}


ATTRIBUTES = """[...document.querySelectorAll('*')].flatMap(
    (one) => [...one.attributes].map((held) => `${held.name}=${held.value}`))"""


@pytest.fixture(scope="module")
def files(hostile_report: Written, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, set[str]]]:
    """Each file as a browser shows it, and the elements that may be in it."""
    folder = tmp_path_factory.mktemp("walked")
    shapes = tuple(Text(x=0, y=14.0 * k, text=name, title=name) for k, name in enumerate(NAMES))
    drawing = Drawing(width=800, height=400, title=NAMES[-1], shapes=shapes, name="names")
    table = pl.DataFrame({"kernel": NAMES, NAMES[-1]: NAMES, "n": range(len(NAMES))})
    what = OfPage(lambda: drawing, lambda: table, NAMES, None)
    for one in made("given", palette("dark"), Cleaner(PrivateWords({})), what):
        (folder / one.name).write_bytes(one.make())
    texts = {"report": hostile_report.markdown, "given": (folder / "given.md").read_text()}
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(f"<!doctype html><meta charset=utf-8>{rendered(text)}")
    pictures = [*sorted(hostile_report.folder.glob("*.svg")), folder / "given.svg"]
    return [*((one, DRAWN) for one in pictures), *((folder / f"{name}.html", WRITTEN | {"meta"}) for name in texts)]


@pytest.mark.browser
def test_no_name_runs_asks_or_becomes_an_element(chromium: Browser, files: list[tuple[Path, set[str]]]) -> None:
    context = chromium.new_context()
    page = context.new_page()
    wrong: list[str] = []
    note: Callable[..., None] = wrong.append
    page.on("request", lambda asked: None if asked.url.startswith("file:") else note(asked.url))
    page.on("dialog", lambda found: (note(found.message), found.dismiss()))
    page.on("pageerror", lambda found: note(str(found)))
    assert len(files) >= 5
    for path, known in files:
        page.goto(path.as_uri())
        found = page.evaluate("[...document.querySelectorAll('*')].map((one) => one.localName)")
        assert set(found) <= known, (path.name, set(found) - known)
        held = page.evaluate(ATTRIBUTES)
        assert not [one for one in held if one.startswith("on")]
        links = [one for one in held if one.startswith(("href=", "src=", "xlink:href="))]
        assert not [one for one in links if "evil.example" in one or "javascript:" in one], path.name
    context.close()
    assert wrong == []
