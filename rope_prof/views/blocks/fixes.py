"""What to fix in a trace: the first few losses, what each could save, what to change, where to look.

Places are of the dashboard's page Any trace, whose address carries its window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from rope_prof.analysis.fixes.fix import Fix, Fixes
from rope_prof.units import duration
from rope_prof.views.blocks.findings import timeline_address
from rope_prof.views.blocks.model import Block, Cell, Table, Words
from rope_prof.views.words.fixes import fix_do, fix_place, fix_saves, fix_share, fix_title
from rope_prof.views.words.names import short_name

SHOWN: Final = 3
_NAMES: Final = ("Nothing to fix", "One thing to fix", "Two things to fix", "Three things to fix")
_NOTHING: Final = "Nothing to fix: no loss takes 1 % of a device's time or more."
_NOTE: Final = "Each bound stands by itself, on the profiled clock: two may be the same time, so they do not add up."


def fix_words(found: Fixes, zero_ns: int | None, source: str) -> Iterator[Words]:
    """The first lines for a terminal; `zero_ns`: the first start of anything in the file."""
    if not found.fixes:
        yield Words(text=_none(found), tone="strong")
        return
    yield Words(text=f"{_NAMES[min(SHOWN, len(found.fixes))]}{_more(found)}", tone="strong")
    for number, fix in enumerate(found.fixes[:SHOWN], 1):
        yield Words(text=f"  {number}. {fix_saves(fix)}, {fix_share(fix)}: {fix_title(fix)}")
        yield Words(text=f"     do: {fix_do(fix)}", tone="muted")
        place = fix_place(fix)
        at = f"{short_name(fix.place.event)} at {_at(fix, zero_ns)}{f', {place}' if place else ''}"
        yield Words(text=f"     see: {at}; {_address(fix, zero_ns, source)}", tone="muted")
    yield Words(text=f"  {_NOTE}", tone="muted")


def fix_blocks(found: Fixes, zero_ns: int | None, source: str | None) -> Iterator[Block]:
    """A table for a page or report, each row with a link to its place; `source` None: the trace has no address."""
    if not found.fixes:
        yield Words(text=_none(found))
        return
    rows = tuple(_row(fix, zero_ns, source) for fix in found.fixes)
    head = ("saves", "what is lost, what to change", "where")
    shown = rows[:SHOWN]
    yield Table(title=_NAMES[len(shown)], head=head, rows=shown, note=_NOTE, wraps=True)
    if rows[SHOWN:]:
        yield Table(title=f"{len(rows) - SHOWN} more", head=head, rows=rows[SHOWN:], folded=True, wraps=True)


def _row(fix: Fix, zero_ns: int | None, source: str | None) -> tuple[Cell, ...]:
    link = "" if source is None else _address(fix, zero_ns, source)
    event = short_name(fix.place.event)
    return (
        Cell(text=fix_saves(fix), small=fix_share(fix)),
        Cell(text=fix_title(fix), small=fix_do(fix)),
        Cell(text=f"at {_at(fix, zero_ns)}", link=link, small=", ".join(filter(None, (event, fix_place(fix))))),
    )


def _none(found: Fixes) -> str:
    return _NOTHING if found.reason is None else f"What to fix is not said: {found.reason}"


def _more(found: Fixes) -> str:
    left = len(found.fixes) - SHOWN
    return f" ({left} more: --json lists all)" if left > 0 else ""


def _at(fix: Fix, zero_ns: int | None) -> str:
    return duration(fix.place.start_ns - (zero_ns or 0))


def _address(fix: Fix, zero_ns: int | None, source: str) -> str:
    return timeline_address(zero_ns, asdict(fix.place), fix.place.source or source)
