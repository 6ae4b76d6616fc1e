"""What is shown: plain blocks, and a report of sections of them.

Four writers print the same blocks: a terminal, a page of the dashboard, a report's page and Markdown. Texts are plain
text: a writer escapes them. Nothing here knows a run, a unit or a format.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from rope_prof.model.frozen import Frozen
from rope_prof.views.words.names import changed

if TYPE_CHECKING:
    from rope_prof.views.draw.chart import Chart
    from rope_prof.views.draw.svg import Drawing

Where = Literal["both", "page", "markdown"]
Tone = Literal["", "bad", "good", "muted", "strong", "doubt"]


class Cell(Frozen, kw_only=True):
    """One cell. `name`: a name from a file, shown letter for letter; `small`: what stands under or behind the text.

    `link`: an address of the server that hands the page out; a report, which has none, leaves it out.
    """

    codes: ClassVar = ("tone", "link")
    text: str
    tone: Tone = ""
    name: bool = False
    small: str = ""
    link: str = ""


class Words(Frozen, kw_only=True):
    """A paragraph."""

    codes: ClassVar = ("tone", "where")
    text: str
    tone: Tone = ""
    where: Where = "both"


class Bullets(Frozen, kw_only=True):
    """A list of sentences, under its title where it has one; a `folded` one opens under it. `typed`: a command."""

    codes: ClassVar = ("where",)
    items: tuple[str, ...]
    title: str = ""
    folded: bool = False
    typed: str = ""
    where: Where = "both"


class Table(Frozen, kw_only=True):
    """`right` holds the columns of figures. A `folded` one opens under its title; `note` stands under the table.

    `breaks`: the rows that begin a group. `apart`: blanks between two columns of a terminal. `wraps`: cells are
    sentences, which a page breaks.
    """

    codes: ClassVar = ("where",)
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    right: frozenset[int] = frozenset()
    title: str = ""
    folded: bool = False
    note: str = ""
    breaks: frozenset[int] = frozenset()
    apart: int = 1
    wraps: bool = False
    where: Where = "both"


class Code(Frozen, kw_only=True):
    """Commands as they are typed, a line each."""

    codes: ClassVar = ("where",)
    lines: tuple[str, ...]
    where: Where = "both"


class Picture(Frozen, kw_only=True):
    """A drawing with its caption; `name` names its files. `chart`: the same for a page that zooms, where it can."""

    codes: ClassVar = ("name", "chart", "where")
    name: str
    drawing: Drawing
    chart: Chart | None = None
    caption: str = ""
    title: str = ""
    folded: bool = False
    where: Where = "both"


Block = Words | Bullets | Table | Code | Picture


class Section(Frozen, kw_only=True):
    """One question and its answer. Without a block it was not measured. `number` None: on the page alone.

    A `folded` one opens under its title on the page.
    """

    codes: ClassVar = ("key",)
    key: str
    number: int | None
    title: str
    blocks: tuple[Block, ...] = ()
    folded: bool = False


class Headline(Frozen, kw_only=True):
    """The one number: `factor` times, and in a sentence of what."""

    codes: ClassVar = ("tone",)
    factor: str
    words: str
    detail: str
    tone: Tone = ""


class Card(Frozen, kw_only=True):
    """One figure before and after."""

    title: str
    before: str
    after: str
    note: str = ""


class Report(Frozen, kw_only=True):
    """All of it, in order. `source` is the run or trace as it was typed, which `command` shows whole; `brief`: what
    stands before all sections of a text.
    """

    codes: ClassVar = ("command",)
    source: str
    title: str
    kicker: str
    headline: Headline | None
    cards: tuple[Card, ...]
    sections: tuple[Section, ...]
    brief: tuple[Block, ...] = ()
    command: str = "show"


T = TypeVar("T")


def mapped(value: T, change: Callable[[str], str]) -> T:
    """The same with every text changed; names of roles, files and sections (`codes` of a kind) are left alone."""
    return _mapped(value, change)  # type: ignore[no-any-return]


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return changed(value, change)
    if isinstance(value, tuple):
        return tuple(_mapped(one, change) for one in value)
    names = _texts(value.__class__)
    new = {}
    for name in names:
        held = getattr(value, name)
        made = _mapped(held, change)
        if made is not held:
            new[name] = made
    return dataclasses.replace(value, **new) if new else value


@cache
def _texts(kind: type) -> tuple[str, ...]:
    """The fields of a record of that kind whose texts are no code; none of what is no record."""
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    return tuple(f.name for f in fields if f.name not in getattr(kind, "codes", ()))


def with_blocks(report: Report, key: str, *blocks: Block) -> Report:
    """The report with those blocks at the end of the section called `key`."""
    sections = tuple(
        dataclasses.replace(one, blocks=(*one.blocks, *blocks)) if one.key == key else one for one in report.sections
    )
    return dataclasses.replace(report, sections=sections)


def folded(block: Bullets | Table | Picture) -> Bullets | Table | Picture:
    """The same, which opens under its title."""
    return dataclasses.replace(block, folded=True)


def charted(
    chart: Chart, name: str, *, title: str = "", caption: str = "", folded: bool = False, where: Where = "both"
) -> Picture:
    """That chart as a figure, still and to zoom into."""
    return Picture(
        name=name, drawing=chart.drawing, chart=chart, title=title, caption=caption, folded=folded, where=where
    )


def cells(*texts: str | Cell, tone: Tone = "") -> tuple[Cell, ...]:
    """A row: plain texts become plain cells of that tone."""
    return tuple(one if isinstance(one, Cell) else Cell(text=one, tone=tone) for one in texts)


def name(text: str) -> Cell:
    """A name from a file, letter for letter."""
    return Cell(text=text, name=True)
