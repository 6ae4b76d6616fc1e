"""What to fix in a trace: the first few losses, what each could save, what to change, where to look.

Places are of the dashboard's page Any trace, whose address carries its window.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from rope_prof.analysis.fixes.fix import Fix, Fixes
from rope_prof.units import duration, percent
from rope_prof.views.blocks.findings import timeline_address
from rope_prof.views.blocks.model import Block, Bullets, Cell, Table, Words
from rope_prof.views.words.fixes import fix_do, fix_place, fix_saves, fix_share, fix_title
from rope_prof.views.words.names import clipped, short_name

SHOWN: Final = 3
_NAMES: Final = ("Nothing to fix", "One thing to fix", "Two things to fix", "Three things to fix")
_NOTHING: Final = "Nothing to fix: no loss takes 1 % of a device's time or more."
#: What is said in brackets, a page says where it unfolds.
_ASIDE: Final = re.compile(r" \([^)]*\)")
_WHERE: Final = 40
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
        yield Words(text=f"     see: {_seen(fix, zero_ns)}; {_address(fix, zero_ns, source)}", tone="muted")
    yield Words(text=f"  {_NOTE}", tone="muted")


def fix_answer(found: Fixes) -> str:
    """What to fix first, in a sentence."""
    if not found.fixes:
        return _none(found)
    first = found.fixes[0]
    title = fix_title(first)
    return f"{title[0].upper()}{title[1:]}: {fix_saves(first)}."


def fix_blocks(found: Fixes, zero_ns: int | None, source: str | None) -> Iterator[Block]:
    """A table for a page or report, each row with a link to its place; `source` None: the trace has no address.

    What unfolds under it: all that is known of each place, and the rest of the losses.
    """
    if not found.fixes:
        yield Words(text=_none(found))
        return
    rows = tuple(_row(fix, zero_ns, source) for fix in found.fixes)
    head = ("saves", "loss, and what to change", "where")
    yield Table(head=head, rows=rows[:SHOWN], wraps=True)
    places = tuple(
        f"{fix_title(fix)}, {fix_share(fix)}: {_seen(fix, zero_ns)}; {fix_do(fix)}" for fix in found.fixes[:SHOWN]
    )
    yield Bullets(title="Where each is seen", items=(*places, _NOTE), folded=True)
    if rows[SHOWN:]:
        yield Table(title=f"{len(rows) - SHOWN} more", head=head, rows=rows[SHOWN:], folded=True, wraps=True)


def _row(fix: Fix, zero_ns: int | None, source: str | None) -> tuple[Cell, ...]:
    link = "" if source is None else _address(fix, zero_ns, source)
    where = next(filter(None, (fix.place.line, fix.place.module, fix.place.operator, fix.place.range)), "")
    return (
        Cell(text=fix_saves(fix), small=fix_share(fix) if fix.ranks else percent(fix.share)),
        Cell(text=fix_title(fix), small=_ASIDE.sub("", fix_do(fix))),
        Cell(text=f"at {_at(fix, zero_ns)}", link=link, small=clipped(where, _WHERE)),
    )


def _seen(fix: Fix, zero_ns: int | None) -> str:
    """The costliest instance and when it was, then line, module, operator and range."""
    place = fix_place(fix)
    return f"{short_name(fix.place.event)} at {_at(fix, zero_ns)}{f', {place}' if place else ''}"


def _none(found: Fixes) -> str:
    return _NOTHING if found.reason is None else f"What to fix is not said: {found.reason}"


def _more(found: Fixes) -> str:
    left = len(found.fixes) - SHOWN
    return f" ({left} more: --json lists all)" if left > 0 else ""


def _at(fix: Fix, zero_ns: int | None) -> str:
    return duration(fix.place.start_ns - (zero_ns or 0))


def _address(fix: Fix, zero_ns: int | None, source: str) -> str:
    return timeline_address(zero_ns, asdict(fix.place), fix.place.source or source)
