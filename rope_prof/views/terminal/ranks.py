"""A `Fleet` as rich tables for a terminal: ranks side by side, idle by cause, ranges across ranks, who is late.

Chooses units and what to show first; computes nothing. Names are shown letter for letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rope_prof.analysis.ranks.ranks import Fleet, RangeAcross, RankUse, Recording
from rope_prof.units import MISSING, duration, ratio, significant
from rope_prof.views.terminal.trace import NAME_WIDTH
from rope_prof.views.words.names import shown
from rope_prof.views.words.ranks import clock_line, late_line

RANKS_SHOWN = 32
RANGES_SHOWN = 12
_STYLE = {"sound": "green", "suspect": "yellow", "unusable": "red", "unreadable": "red", "failed": "red"}


def fleet_tables(found: Fleet) -> Iterator[RenderableType]:
    """The verdicts of all traces, then each recording."""
    line = Text(f"{found.traces:,} trace{'' if found.traces == 1 else 's'}: ")
    line.append(", ".join(f"{count:,} {verdict}" for verdict, count in found.verdicts.items()))
    yield line
    for recording in found.recordings:
        yield from _recording(recording)


def _recording(recording: Recording) -> Iterator[RenderableType]:
    yield Text(f"\n{shown(recording.name)}", style="bold")
    for note in recording.notes:
        yield Text(f"  {shown(note)}", style="yellow")
    yield Text(f"  {clock_line(recording)}")
    for late in recording.stragglers:
        yield Text(f"  {shown(late_line(late))}", style="bold yellow")
    ranks = _shown_ranks(recording)
    yield _ranks(ranks, len(recording.ranks))
    doubts = [rank for rank in recording.ranks if rank.reason]
    for rank in doubts[:RANKS_SHOWN]:
        yield Text(f"  {shown(rank.label)} {rank.verdict or rank.status}: {shown(rank.reason or '')}")
    if len(doubts) > RANKS_SHOWN:
        yield Text(f"  {len(doubts) - RANKS_SHOWN} more in --json")
    if any(rank.idle_by_cause_ns for rank in recording.ranks):
        yield _causes(ranks)
    if recording.ranges:
        yield _ranges(recording)


def _shown_ranks(recording: Recording) -> Sequence[RankUse]:
    """All of them, or those that differ most: late and doubtful ones, then by idle time."""
    if len(recording.ranks) <= RANKS_SHOWN:
        return recording.ranks
    late = {one.rank for one in recording.stragglers}
    order = sorted(recording.ranks, key=lambda r: (r.label not in late, r.verdict == "sound", -(r.idle_ns or 0)))
    chosen = {id(rank) for rank in order[:RANKS_SHOWN]}
    return [rank for rank in recording.ranks if id(rank) in chosen]


def _table(title: str, first: str, *columns: str, names: Iterable[str] = ()) -> Table:
    """A table whose first column is as wide as its header and as most of `names`, folding longer ones."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    least = max(len(first), *(min(cell_len(name), NAME_WIDTH) for name in names), 0)
    table.add_column(first, overflow="fold", min_width=least)
    for column in columns:
        table.add_column(column, justify="right", overflow="ellipsis", no_wrap=True)
    return table


def _ranks(ranks: Sequence[RankUse], total: int) -> Table:
    table = _table("Ranks", "rank", "verdict", "kernels", "busy", "span", "idle", "last", "costs", names=_labels(ranks))
    for rank in ranks:
        verdict = rank.verdict or rank.status
        share = "" if rank.idle_share is None else f", {significant(100 * rank.idle_share)} %"
        times = [duration(ns) for ns in (rank.busy_ns, rank.span_ns)]
        came = rank.arrivals
        table.add_row(
            Text(shown(rank.label)),
            Text(verdict, style=_STYLE.get(verdict, "")),
            MISSING if rank.kernels is None else f"{rank.kernels:,}",
            *times,
            f"{duration(rank.idle_ns)}{share}",
            MISSING if came is None else f"{came.last:,}",
            MISSING if came is None else duration(came.cost_ns),
        )
    said = ["last: to how many collectives it came last; costs: how long the others waited for it alone"]
    if len(ranks) < total:
        said.append(f"{total - len(ranks):,} more ranks in --json")
    table.caption, table.caption_justify = Text(". ".join(said)), "left"
    return table


def _labels(ranks: Sequence[RankUse]) -> list[str]:
    return [shown(rank.label) for rank in ranks]


def _clipped(text: str) -> str:
    """The label of a rank in a column of figures: its end tells file names apart."""
    return text if len(text) <= NAME_WIDTH else f"…{text[1 - NAME_WIDTH :]}"


def _causes(ranks: Sequence[RankUse]) -> Table:
    totals: dict[str, int] = {}
    for rank in ranks:
        for cause, ns in rank.idle_by_cause_ns.items():
            totals[cause] = totals.get(cause, 0) + ns
    causes = sorted(totals, key=lambda cause: -totals[cause])
    table = _table("Idle by cause", "rank", *causes, names=_labels(ranks))
    for rank in ranks:
        if rank.idle_by_cause_ns:
            table.add_row(
                Text(shown(rank.label)),
                *(duration(rank.idle_by_cause_ns.get(c)) if c in totals else "" for c in causes),
            )
    return table


def _ranges(recording: Recording) -> Table:
    """Each range with the middle of the ranks, its longest and where that is."""
    first = recording.ranges[:RANGES_SHOWN]
    heads = ("ranks", "calls", "a call", "longest", "rank", "ratio")
    table = _table("Ranges over ranks", "range", *heads, names=[shown(across.name) for across in first])
    for across in first:
        table.add_row(*_range(across))
    if len(recording.ranges) > RANGES_SHOWN:
        rest = f"{len(recording.ranges) - RANGES_SHOWN:,} more by less busy time: --json lists all, --range picks"
        table.caption, table.caption_justify = Text(rest), "left"
    return table


def _range(across: RangeAcross) -> tuple[Text | str, ...]:
    calls = [count for count in across.calls if count is not None]
    known = [ns for ns in across.call_ns if ns is not None]
    counts = (
        MISSING if not calls else f"{min(calls):,}" if min(calls) == max(calls) else f"{min(calls):,}–{max(calls):,}"
    )
    return (
        Text(shown(across.name)),
        f"{len(calls)}",
        counts,
        duration(across.median_ns),
        duration(max(known)) if known else MISSING,
        Text(_clipped(shown(across.worst or MISSING))),
        ratio(across.worst_ratio),
    )
