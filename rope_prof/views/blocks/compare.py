"""A comparison as blocks: what the sides have not alike, how many verdicts of each word, each verdict, the method."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from rope_prof.analysis.comparison.compare import Verdict
from rope_prof.analysis.comparison.sides import Difference
from rope_prof.analysis.run.differences import Unlike
from rope_prof.units import MISSING, duration, ratio, significant
from rope_prof.views.blocks.model import Block, Bullets, Cell, Table, Tone, Words, cells, name
from rope_prof.views.words.comparison import Comparison, gates, method, reasons, tally
from rope_prof.views.words.labels import case_phrases, short
from rope_prof.views.words.sampled import columns
from rope_prof.views.words.verdicts import value

#: So many facts stand open; the rest is folded.
_OPEN = 7


def difference_blocks(
    base: str, cand: str, must: Sequence[Difference], found: Sequence[Unlike], *, one: bool
) -> tuple[Block, ...]:
    """First what a comparison needs alike and has not, then what else differs; `one`: both sides are of one run."""
    if one:
        words = "Both sides are of one run: one machine, one day, the same rounds, in which the ratios are paired."
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


_TONES: dict[str, Tone] = {"FASTER": "strong", "SLOWER": "strong"}
_HEAD = (
    "case",
    "baseline",
    "candidate",
    "metric",
    "verdict",
    "before",
    "after",
    "baseline / candidate",
    "95 % interval",
)


def compare_blocks(found: Comparison) -> tuple[Block, ...]:
    """All of it: what the bounds said, the table, open verdicts with their reasons, and folded how it was measured."""
    how = Bullets(items=tuple(method(found)), typed=found.command, title="How this was measured", folded=True)
    return (Bullets(items=tuple(gates(found))), verdict_table(found), Bullets(items=tuple(reasons(found))), how)


def verdict_table(found: Comparison) -> Table:
    """A row a verdict; below a bubble its two parts, which sum to it."""
    cases = case_phrases([verdict.case for verdict in found.verdicts])
    rows = [row for verdict in found.verdicts for row in (_verdict(verdict, cases[verdict.case]), *_parts(verdict))]
    return Table(head=_HEAD, rows=tuple(rows), right=frozenset({5, 6, 7, 8}))


def _parts(verdict: Verdict) -> tuple[tuple[Cell, ...], ...]:
    sides = (verdict.before_parts, verdict.after_parts)
    if sides == (None, None):
        return ()
    hosts = (duration(side.host) if side else MISSING for side in sides)
    queues = (duration(side.queue) if side else MISSING for side in sides)
    blank, none = [""] * 3, [""] * 2
    return cells(*blank, "= host", "", *hosts, *none), cells(*blank, "+ queue", "", *queues, *none)


def _verdict(verdict: Verdict, case: str) -> tuple[Cell, ...]:
    found = verdict.ratio
    interval = MISSING
    if found is not None and found.lo is not None and found.hi is not None:
        exact = verdict.metric == "kernels"
        interval = "exact" if exact else f"[{significant(found.lo, 4)}, {significant(found.hi, 4)}]"
    return cells(
        name(case),
        name(short(verdict.base)),
        name(short(verdict.cand)),
        verdict.metric,
        Cell(text=verdict.word, tone=_TONES.get(verdict.word, "")),
        value(verdict, verdict.before),
        value(verdict, verdict.after),
        ratio(found.median if found else None),
        interval,
    )


def tally_table(found: Comparison) -> Table:
    """How many verdicts of each word there are of each metric."""
    rows = tuple(cells(metric, *(f"{count} {word}" for word, count in words)) for metric, words in tally(found))
    most = max((len(row) for row in rows), default=1)
    title = f"{found.typed[1]} against {found.typed[0]}"
    return Table(title=title, head=("",) * most, rows=tuple((*row, *cells(*[""] * (most - len(row)))) for row in rows))


def verdict_frame(found: Comparison) -> pl.DataFrame:
    """The verdicts for other programs: times in ns per call, ratio = baseline / candidate with its interval."""
    return pl.DataFrame(
        [
            (v.case.name, v.base, v.cand, v.metric, v.word, v.before, v.after)
            + ((v.ratio.median, v.ratio.lo, v.ratio.hi) if v.ratio else (None,) * 3)
            + (*columns(v.ratio).values(), v.reason)
            for v in found.verdicts
        ],
        schema={
            **dict.fromkeys(("case", "base", "cand", "metric", "verdict"), pl.String),
            **dict.fromkeys(("before", "after", "ratio", "ratio_lo", "ratio_hi"), pl.Float64),
            **dict.fromkeys(columns(None), pl.Int64),
            "reason": pl.String,
        },
        orient="row",
    )
