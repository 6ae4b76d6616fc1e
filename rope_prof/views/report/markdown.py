"""A report as Markdown for a pull request: a block of `HEAD_LINES`, twelve sections behind one fold, under a limit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from urllib.parse import quote

from rope_prof.model.frozen import Frozen
from rope_prof.views.blocks.model import Block, Bullets, Cell, Code, Picture, Report, Section, Table, Words
from rope_prof.views.words.markdown import clip, code, html_text, md
from rope_prof.views.words.names import short_name, shown

#: A comment or a description on GitHub holds 65,536 characters.
LIMIT = 60_000
#: Longer names are folded.
NAME_LENGTH = 72
#: What a reader sees before the fold has at most so many lines.
HEAD_LINES = 25
EVIDENCE = "The evidence, in {} sections"
GROUNDS = ("light", "dark")
NOT_MEASURED = "*not measured*"


class _Room(Frozen):
    """How much of a long part is written: rows of a table or list, tables of a section, letters of a text."""

    rows: int
    tables: int
    letters: int


_ROOMS = (
    _Room(10_000, 1_000, 20_000),
    _Room(60, 24, 1_000),
    _Room(30, 12, 500),
    _Room(15, 6, 250),
    _Room(8, 3, 120),
    _Room(4, 1, 60),
)


def report_markdown(report: Report, image_base: str = "") -> str:
    """The text, shorter than `LIMIT`: where all of it is longer, tables lose rows and say how many.

    `image_base` stands before the names of the pictures: a folder or an address that ends with a slash, or nothing.
    """
    text = ""
    for room in _ROOMS:
        text = _Writer(room, report.source, image_base, report.command).write(report)
        if len(text) < LIMIT:
            return text
    return text[: LIMIT - 20].rsplit("\n", 1)[0] + "\n\n…\n"


def blocks_markdown(title: str, blocks: Sequence[Block], source: str) -> str:
    """Those blocks whole under a heading (none without a title), without pictures: what a page gives away."""
    writer = _Writer(_ROOMS[0], source, "")
    parts = [writer.block(block) for block in blocks if not isinstance(block, Picture)]
    return "\n\n".join([*([f"# {md(title)}"] if title else []), *filter(None, parts)]) + "\n"


def pictures(report: Report) -> Iterator[Picture]:
    """The figures whose files the text names."""
    for section in report.sections:
        for block in section.blocks if section.number is not None else ():
            if isinstance(block, Picture) and block.where != "page":
                yield block


def picture_file(figure: Picture, ground: str, kind: str) -> str:
    """`before-after.dark.png`."""
    return f"{figure.name}.{ground}.{kind}"


class _Writer:
    """One pass over a report with a given room."""

    def __init__(self, room: _Room, source: str, image_base: str, command: str = "show") -> None:
        self.room, self.source, self.base, self.command = room, source, image_base, command

    def write(self, report: Report) -> str:
        parts = [f"# {md(report.title)}", md(report.kicker)]
        found = report.headline
        if found is not None:
            parts.append(f"**{md(f'{found.factor} {found.words}'.strip())}.** {md(found.detail)}")
        parts += [self.still(b) if isinstance(b, Picture) else self.block(b) for b in report.brief]
        cards = "\n".join(f"- {md(f'{c.title}: {c.before} → {c.after} ({c.note}).')}" for c in report.cards)
        sections = [self.section(section) for section in report.sections if section.number is not None]
        title = EVIDENCE.format("twelve" if len(sections) == 12 else len(sections))
        parts.append(_under(title, "\n\n".join(filter(None, (cards, *sections))), folded=True))
        return "\n\n".join(part for part in parts if part) + "\n"

    def section(self, section: Section) -> str:
        blocks = [block for block in section.blocks if block.where != "page"]
        head = f"## {section.number}. {md(section.title)}"
        if not blocks:
            return f"{head}\n\n{NOT_MEASURED}"
        parts, tables = [head], 0
        for block in blocks:
            tables += isinstance(block, Table)
            if isinstance(block, Table) and tables > self.room.tables:
                continue
            parts.append(self.block(block))
        if tables > self.room.tables:
            parts.append(f"… and {tables - self.room.tables} more tables; {self.all_of_it()}")
        return "\n\n".join(parts)

    def all_of_it(self) -> str:
        return f"all of it: {code(f'python -m rope_prof {self.command} {self.source} --json')}"

    def block(self, block: Block) -> str:
        if isinstance(block, Words):
            text = md(clip(block.text, self.room.letters))
            return f"**{text}**" if block.tone == "bad" else text
        if isinstance(block, Bullets):
            lines = [f"- {md(clip(item, self.room.letters))}" for item in block.items[: self.room.rows]]
            left = len(block.items) - len(lines)
            lines += [f"- … and {left} more"] if left else []
            lines += [f"- Command: {code(block.typed)}"] if block.typed else []
            return _under(block.title, "\n".join(lines), folded=block.folded)
        if isinstance(block, Code):
            return _fenced([clip(line, self.room.letters) for line in block.lines])
        if isinstance(block, Table):
            return _under(block.title, self.table(block), folded=block.folded)
        return self.figure(block)

    def table(self, table: Table) -> str:
        head = table.head if any(table.head) else (" ",) * len(table.head)
        rows = table.rows[: self.room.rows]
        rule = ("---:" if k in table.right else "---" for k in range(len(head)))
        lines = [_row(md(cell) for cell in head), _row(rule), *(_row(map(self.cell, row)) for row in rows)]
        left = len(table.rows) - len(rows)
        return "\n".join(lines) + (f"\n\n… and {left} more rows; {self.all_of_it()}" if left else "")

    def cell(self, cell: Cell) -> str:
        text = clip(cell.text, self.room.letters)
        inside = _name(text) if cell.name else md(text)
        if cell.tone in {"bad", "strong"} and inside:
            inside = f"**{inside}**"
        return f"{inside} ({md(cell.small)})" if cell.small else inside

    def still(self, figure: Picture) -> str:
        """The picture alone, on one line."""
        return self.figure(figure).split("\n\n")[0].replace("\n", "")

    def figure(self, figure: Picture) -> str:
        light, dark = (self.base + quote(picture_file(figure, ground, "png")) for ground in GROUNDS)
        vector = (f"[{ground}]({self.base}{quote(picture_file(figure, ground, 'svg'))})" for ground in GROUNDS)
        picture = (
            f'<picture>\n<source media="(prefers-color-scheme: dark)" srcset="{escape(dark)}">\n'
            f'<img alt="{escape(shown(figure.drawing.title))}" src="{escape(light)}">\n</picture>'
        )
        return f"{picture}\n\n{md(clip(figure.caption, self.room.letters))} As SVG: {', '.join(vector)}."


def _name(name: str) -> str:
    """A name whole; a long one short, and whole once it is opened."""
    if len(name) <= NAME_LENGTH:
        return code(name)
    return f"<details><summary>{code(short_name(name, NAME_LENGTH))}</summary>{code(name)}</details>"


def _row(cells: Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _fenced(lines: list[str]) -> str:
    text = "\n".join(shown(line) for line in lines)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _under(title: str, body: str, *, folded: bool) -> str:
    if folded:
        return f"<details>\n<summary>{html_text(title)}</summary>\n\n{body}\n\n</details>"
    return f"**{md(title)}**\n\n{body}" if title else body
