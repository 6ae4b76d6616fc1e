"""Markdown as a renderer reads it: to HTML by markdown-it, then to plain text by an HTML parser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from markdown_it import MarkdownIt

RENDERER = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")


class Reader(HTMLParser):
    """Collects tags, texts and the tables' cells; notes what is not closed."""

    VOID = frozenset(("meta", "link", "br", "img", "source", "input", "hr", "rect", "polyline", "circle", "polygon"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "br", "img", "source", "input", "hr"}:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in {"td", "th"} and self.tables:
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self.open and self.tables and {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def rendered(markdown: str) -> str:
    return RENDERER.render(markdown)


def plain(markdown: str) -> str:
    """What a reader sees of a piece of Markdown."""
    return "".join(read(rendered(markdown)).texts)


def tables_of(markdown: str, title: str) -> list[list[list[str]]]:
    """The tables of the section with that title, cell by cell."""
    body = re.split(rf"^## \d+\. {re.escape(title)}$", markdown, flags=re.MULTILINE)[1].split("\n## ")[0]
    return read(rendered(body)).tables
