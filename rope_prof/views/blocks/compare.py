"""What two sides of a comparison have not alike, as blocks."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.comparison.sides import Difference
from rope_prof.analysis.run.differences import Unlike
from rope_prof.units import MISSING
from rope_prof.views.blocks.model import Block, Table, Words, cells

#: So many facts stand open; the rest is folded.
_OPEN = 7


def difference_blocks(
    base: str, cand: str, must: Sequence[Difference], found: Sequence[Unlike], *, one: bool
) -> tuple[Block, ...]:
    """First what a comparison needs alike and has not, then what else differs; `one`: both sides are of one run."""
    if one:
        words = (
            "Both sides are of one run: one machine, one day, the same rounds; the ratios are paired round by round."
        )
        return (Words(text=words),)
    named = {each.what for each in must}
    rows = [cells(each.what, ", ".join(each.base), ", ".join(each.cand), tone="bad") for each in must]
    rows += [cells(each.what, _text(each.base), _text(each.cand)) for each in found if each.what not in named]
    if not rows:
        return (Words(text="Nothing: machine, versions and settings are the same."),)
    head, rest = ("", base, cand), tuple(rows[_OPEN:])
    more = (Table(title=f"{len(rest)} more", head=head, rows=rest, folded=True),) if rest else ()
    return (Table(head=head, rows=tuple(rows[:_OPEN])), *more)


def _text(value: object) -> str:
    return MISSING if value is None else f"{value:,}" if type(value) is int else str(value)
