"""Many ranks as blocks: ranks side by side, idle by cause, ranges across ranks, who is late; a run over its ranks.

Chooses units and what to show first; computes nothing. Names are shown letter for letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from rope_prof.analysis.fixes.fix import Fixes
from rope_prof.analysis.ranks.late import host_late
from rope_prof.analysis.ranks.rank import HostLate, RangeAcross, RankUse
from rope_prof.analysis.ranks.ranks import RanksReport, Recording
from rope_prof.analysis.run.numbers import Numbers
from rope_prof.analysis.run.rank_causes import RankCauses, Slowness
from rope_prof.analysis.run.rank_spread import RankSpread, rank_spread
from rope_prof.units import MISSING, US, counted, duration, microseconds, percent, ratio, significant, size, whole
from rope_prof.views.blocks.fixes import fix_blocks, fix_words
from rope_prof.views.blocks.model import Block, Bullets, Cell, Table, Tone, Words, cells, name
from rope_prof.views.blocks.trace import figures, more_ranges
from rope_prof.views.words.causes import cause_name
from rope_prof.views.words.labels import counts
from rope_prof.views.words.ranks import cause_lines, clock_line, late_line

RANKS_SHOWN = 32
RANGES_SHOWN = 12
#: The label of a rank in a column of figures is no longer.
LABEL_CHARS = 12
_TONES: dict[str, Tone] = {"sound": "good", "suspect": "doubt"}


def ranks_blocks(found: RanksReport) -> Iterator[Block]:
    """The verdicts of all traces, then each recording."""
    yield _verdicts(found)
    for recording in found.recordings:
        yield from _recording(recording)


def summary_blocks(found: RanksReport, recording: Recording) -> Iterator[Block]:
    """The verdicts of all traces, and what must be known of that recording."""
    yield _verdicts(found)
    yield from _head(recording)


def rank_answer(recording: Recording) -> str:
    """Who is late, what it costs and where, in a sentence."""
    late = recording.stragglers
    if recording.unranked:
        return "These traces do not say which rank they are of, so none is late: they stand beside each other."
    return late_line(late[0]) if late else "No rank makes the others wait by a figure that counts."


def loss_blocks(recording: Recording) -> Iterator[Block]:
    """What to fix over all ranks, each with a link to the place in its own trace; nothing where no rank is sound."""
    if _sound(recording):
        yield from fix_blocks(Fixes(fixes=recording.fixes), 0, "")


def _verdicts(found: RanksReport) -> Words:
    counts = ", ".join(f"{count:,} {verdict}" for verdict, count in found.verdicts.items())
    return Words(text=f"{counted(found.traces, 'trace')}: {counts}")


def _head(recording: Recording) -> Iterator[Words]:
    yield Words(text=f"\n{recording.name}", tone="strong")
    yield from (Words(text=f"  {note}", tone="doubt") for note in recording.notes)
    yield Words(text=f"  {clock_line(recording)}")


def _sound(recording: Recording) -> bool:
    """Whether anything can be said of what to fix."""
    return bool(recording.fixes) or any(rank.fixes is not None for rank in recording.ranks)


def _recording(recording: Recording) -> Iterator[Block]:
    yield from _head(recording)
    if _sound(recording):
        yield from fix_words(Fixes(fixes=recording.fixes), 0, "")
    ranks = _shown_ranks(recording)
    yield _ranks(ranks, len(recording.ranks))
    doubts = [rank for rank in recording.ranks if rank.reason]
    for rank in doubts[:RANKS_SHOWN]:
        yield Words(text=f"  {rank.label} {rank.verdict or rank.status}: {rank.reason or ''}")
    if len(doubts) > RANKS_SHOWN:
        yield Words(text=f"  {len(doubts) - RANKS_SHOWN} more in --json")
    if any(rank.idle_by_cause_ns for rank in recording.ranks):
        yield _causes(ranks)
    if any(rank.communication_ns or rank.copied_bytes or rank.outside_kernels for rank in recording.ranks):
        yield _moved(ranks)
    if recording.ranges:
        yield _ranges(recording)
    on_host = host_late(recording.ranks, recording.ranges)
    if on_host:
        yield _host_ranges(on_host)


def _shown_ranks(recording: Recording) -> Sequence[RankUse]:
    """All of them, or those that differ most: late and doubtful ones, then by idle time."""
    if len(recording.ranks) <= RANKS_SHOWN:
        return recording.ranks
    late = {one.rank for one in recording.stragglers}
    order = sorted(recording.ranks, key=lambda r: (r.label not in late, r.verdict == "sound", -(r.idle_ns or 0)))
    chosen = {id(rank) for rank in order[:RANKS_SHOWN]}
    return [rank for rank in recording.ranks if id(rank) in chosen]


def _ranks(ranks: Sequence[RankUse], total: int) -> Table:
    rows = []
    for rank in ranks:
        verdict = rank.verdict or rank.status
        share = "" if rank.idle_share is None else f", {significant(100 * rank.idle_share)} %"
        came = rank.arrivals
        rows.append(
            cells(
                name(rank.label),
                Cell(text=verdict, tone=_TONES.get(verdict, "bad")),
                whole(rank.kernels),
                *(duration(ns) for ns in (rank.busy_ns, rank.span_ns)),
                f"{duration(rank.idle_ns)}{share}",
                whole(None if came is None else came.last),
                duration(None if came is None else came.cost_ns),
            )
        )
    note = "last: to how many collectives it came last; costs: how long the others waited for it alone"
    if len(ranks) < total:
        note += f". {total - len(ranks):,} more ranks in --json"
    head = ("rank", "verdict", "kernels", "busy", "span", "idle", "last", "costs")
    return figures("Ranks", *head, rows=rows, note=note)


def _causes(ranks: Sequence[RankUse]) -> Table:
    totals: dict[str, int] = {}
    for rank in ranks:
        for cause, ns in rank.idle_by_cause_ns.items():
            totals[cause] = totals.get(cause, 0) + ns
    causes = sorted(totals, key=lambda cause: -totals[cause])
    rows = [
        cells(name(rank.label), *(duration(rank.idle_by_cause_ns.get(cause)) for cause in causes))
        for rank in ranks
        if rank.idle_by_cause_ns
    ]
    return figures("Idle by cause", "rank", *map(cause_name, causes), rows=rows)


def _moved(ranks: Sequence[RankUse]) -> Table:
    """What each rank's communication shows and hides, what it copies, and what no range owns."""
    rows = [
        cells(
            name(rank.label),
            *(duration(ns) for ns in (rank.communication_ns, rank.exposed_ns)),
            percent(rank.exposed_ns / rank.span_ns if rank.exposed_ns is not None and rank.span_ns else None),
            size(rank.copied_bytes),
            duration(rank.copies_only_ns),
            whole(rank.outside_kernels),
        )
        for rank in ranks
    ]
    note = "exposed: no other kernel runs; alone: copies run and nothing else does; outside: kernels in no range"
    head = ("rank", "communication", "exposed", "of span", "copied", "alone", "outside")
    return figures("Communication and copies", *head, rows=rows, note=note)


def _ranges(recording: Recording) -> Table:
    """Each range with the middle of the ranks, its longest and where that is."""
    held = [across for across in recording.ranges if across.median_ns is not None]
    rows = [_range(across) for across in held[:RANGES_SHOWN]]
    note = more_ranges(len(held) - RANGES_SHOWN)
    head = ("range", "ranks", "calls", "a call", "longest", "rank", "ratio")
    return figures("Ranges over ranks", *head, rows=rows, note=note)


def _host_ranges(found: Sequence[HostLate]) -> Table:
    """Ranges in which one rank's host spends longer than the others' by a part of the span that counts."""
    rows = [
        cells(name(one.range), whole(one.calls), duration(one.median_ns), duration(one.longest_ns), _clipped(one.rank))
        for one in found[:RANGES_SHOWN]
    ]
    note = "all calls together by the host's clock, of which the GPU may see nothing"
    return figures("Longer on one host", "range", "calls", "the ranks' middle", "longest", "rank", rows=rows, note=note)


def _range(across: RangeAcross) -> tuple[Cell, ...]:
    calls = [count for count in across.calls if count is not None]
    known = [ns for ns in across.call_ns if ns is not None]
    least, most = (min(calls), max(calls)) if calls else (None, None)
    return cells(
        name(across.name),
        f"{len(calls)}",
        whole(least) if least == most else f"{whole(least)}–{whole(most)}",
        duration(across.median_ns),
        duration(max(known, default=None)),
        _clipped(across.worst or MISSING),
        ratio(across.worst_ratio),
    )


def _clipped(text: str) -> str:
    """The label of a rank in a column of figures: its end tells file names apart."""
    return text if len(text) <= LABEL_CHARS else f"…{text[1 - LABEL_CHARS :]}"


def run_answer(found: Numbers) -> str:
    """Of a run on several ranks: who is slow and why, in a sentence; empty for one of one rank or of before."""
    lines = cause_lines(found.ranks, found.run.settings.get("alone_rounds"))
    return " ".join(lines[1:3])


def run_blocks(found: Numbers) -> list[Block]:
    """A run on several ranks: what `run_answer` leaves, their spread, each alone and at once; none of one rank."""
    spreads = rank_spread(found.rows)
    if not spreads:
        return []
    lines = cause_lines(found.ranks, found.run.settings.get("alone_rounds"))
    more = (*lines[:1], *lines[3:])
    said: list[Block] = [Bullets(items=more)] if more else []
    return [*said, *cause_tables(found.ranks), *rank_tables(spreads)]


def rank_tables(spreads: Sequence[RankSpread]) -> list[Table]:
    """A run's spread over its ranks, with a line for each rank that was lost; none for a run of one rank."""
    if not spreads:
        return []
    rows = [
        cells(
            f"{one.path} {one.mode}",
            f"{one.case.swept:,}",
            str(one.ranks) if one.timed == one.ranks else f"{one.timed} of {one.ranks}",
            *(microseconds(ns) for ns in (one.wall_lo_ns, one.wall_median_ns, one.wall_hi_ns)),
            whole(one.slow),
            ratio(one.ratio),
            _between(one.busy_lo_ns, one.busy_hi_ns),
            _between(one.bubble_lo_ns, one.bubble_hi_ns),
        )
        for one in spreads
    ]
    lost = dict.fromkeys(_lost(rank, why) for one in spreads for rank, why in one.lost)
    head = (
        "path",
        counts(spreads[0].case.operation),
        "timed",
        "wall, fastest",
        "median",
        "slowest",
        "rank",
        "ratio",
        "busy",
        "bubble",
    )
    return [figures("Over ranks, µs per call", *head, rows=rows, note="\n".join(lost))]


def cause_tables(found: Sequence[RankCauses]) -> list[Table]:
    """Each rank of a run alone and at once with the others; none where no rank was timed alone."""
    if not found:
        return []
    rows = [
        cells(
            str(one.rank),
            *(_slowness(each) for each in (one.own_wall, one.own_device, one.shared_wall, one.shared_device)),
            microseconds(one.bubble_alone_ns),
            microseconds(one.bubble_ns),
            ", ".join(one.causes) or "–",
        )
        for one in found
    ]
    head = (
        "rank",
        "alone, wall",
        "alone, device",
        "at once, wall",
        "at once, device",
        "bubble alone",
        "at once",
        "slow",
    )
    note = (
        "alone: over the middle of the other ranks alone; at once: over the rank itself alone; medians over its keys, "
        "with how many of them are slower by 5 % and beyond their interval; bubbles: wall - busy, µs per call"
    )
    return [figures("Why a rank is slow", *head, rows=rows, note=note)]


def _slowness(one: Slowness | None) -> str:
    return MISSING if one is None else f"{ratio(one.ratio)} ({one.slow} of {one.keys})"


def _lost(rank: int, why: str) -> str:
    return why if why.startswith(f"rank {rank} ") else f"rank {rank}: {why}"


def _between(lo: float | None, hi: float | None) -> str:
    low, high = microseconds(lo), microseconds(hi)
    return low if low == high else f"{low} … {high}"


def rank_table(ranks: Sequence[RankUse]) -> pl.DataFrame:
    """Ranks side by side, as people read them; times in µs, causes that any rank has."""
    causes = sorted({cause for rank in ranks for cause in rank.idle_by_cause_ns})
    columns: dict[str, list[object]] = {
        "rank": [rank.label for rank in ranks],
        "verdict": [rank.verdict or rank.status for rank in ranks],
        "kernels": [rank.kernels for rank in ranks],
        "kernel time, µs": [_us(rank.kernel_ns) for rank in ranks],
        "busy, µs": [_us(rank.busy_ns) for rank in ranks],
        "idle, µs": [_us(rank.idle_ns) for rank in ranks],
        "last to": [None if rank.arrivals is None else rank.arrivals.last for rank in ranks],
        "costs the others, µs": [None if rank.arrivals is None else _us(rank.arrivals.cost_ns) for rank in ranks],
        "clock, µs": [None if rank.clock is None else _us(rank.clock.offset_ns) for rank in ranks],
    }
    columns |= {f"{cause}, µs": [_us(rank.idle_by_cause_ns.get(cause)) for rank in ranks] for cause in causes}
    columns["why"] = [rank.reason for rank in ranks]
    words = ("rank", "verdict", "why")
    counts = ("kernels", "last to")
    types = {n: pl.String if n in words else pl.Int64 if n in counts else pl.Float64 for n in columns}
    return pl.DataFrame(columns, schema=types, strict=False)


def _us(ns: int | None) -> float | None:
    return None if ns is None else round(ns / US, 1)
