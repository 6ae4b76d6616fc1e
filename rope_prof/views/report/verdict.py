"""Sections 1 and 2 of a report: the verdict with every place where something loses, the table of paths and modes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rope_prof.analysis.comparison.compare import METRICS
from rope_prof.analysis.run.rows import Row
from rope_prof.analysis.verdict import SAME_WITHIN
from rope_prof.units import MISSING, ends, gigabytes_per_s, number, percent, ratio
from rope_prof.views.blocks.model import Block, Bullets, Cell, Table, Tone, Words, cells
from rope_prof.views.blocks.overview import Overview, OverviewSide
from rope_prof.views.blocks.overview_tables import calls_picture
from rope_prof.views.blocks.run import Column, median
from rope_prof.views.report.data import ReportData
from rope_prof.views.words.figures import LONG, between, error
from rope_prof.views.words.labels import case_phrases, counts, family_words, side_label
from rope_prof.views.words.losses import Pair, losses, main, sentences
from rope_prof.views.words.sampled import counted_over, interval_line
from rope_prof.views.words.trust import MARKED

_TONES: dict[str, Tone] = {"FASTER": "good", "SLOWER": "bad", "SAME": "", "UNDECIDED": "muted", "UNKNOWN": "muted"}
_RATIO = ("baseline / candidate", "95 % interval")


def verdict(data: ReportData, view: Overview | None, pairs: Sequence[Pair]) -> tuple[Block, ...]:
    """The candidate's verdict in each case, and every place where something loses. `pairs`: all verdicts of the run."""
    if view is None or view.candidate is None or not pairs:
        return ()
    side = view.candidate
    mine = [p for p in main(pairs) if (p.key.path, p.key.mode, p.key.l2) == (side.row.path, side.row.mode, side.row.l2)]
    base = side_label(mine[0].base, data.rows) if mine else ""
    named = case_phrases([pair.key.case for pair in mine])
    by_metric = {metric: [p for p in mine if p.verdict.metric == metric] for metric in ("wall", "device")}
    rows = tuple(
        cells(named[wall.key.case], *_verdict_cells(wall), *_verdict_cells(device))
        for wall, device in zip(by_metric["wall"], by_metric["device"], strict=True)
    )
    table = Table(
        title=f"{side.label} against {base}",
        head=("case", *("wall", *_RATIO), *("device", *_RATIO)),
        rows=rows,
        right=frozenset({2, 3, 5, 6}),
        folded=len(rows) > LONG,
    )
    note = (
        f"Over 1x the candidate is faster. SAME: the whole interval within {SAME_WITHIN:.0%} of 1; FASTER or SLOWER: "
        "it excludes 1; UNDECIDED: record more. wall is the host's clock around a loop of calls, device the "
        f"device's own; both without a profiler. {interval_line(data.rows)}."
    )
    return (*calls_picture(view), table, *_losing(pairs, data), Words(text=note, tone="muted"))


def _verdict_cells(pair: Pair) -> tuple[Cell, ...]:
    found = pair.verdict
    word = Cell(text=found.word, tone=_TONES[found.word], small=found.reason or "" if found.ratio is None else "")
    return (word, Cell(text=ratio(found.ratio.median if found.ratio else None)), Cell(text=between(found.ratio)))


def _losing(pairs: Sequence[Pair], data: ReportData) -> tuple[Block, ...]:
    slower = [p for p in pairs if p.verdict.word == "SLOWER"]
    open_ = [p for p in pairs if p.verdict.word in {"UNDECIDED", "UNKNOWN"}]
    judged = (
        f"{len(pairs)} verdicts on all paths, modes and cases: {len(slower)} SLOWER, {len(open_)} undecided or unknown."
    )
    if not slower:
        return (Words(text=f"It loses nowhere that was measured. {judged}"),)
    rows = tuple(
        cells(
            side_label(p.key, data.rows),
            p.key.case.words,
            p.verdict.metric,
            side_label(p.base, data.rows),
            ratio(p.verdict.ratio.median if p.verdict.ratio else None),
            between(p.verdict.ratio),
        )
        for p in slower
    )
    table = Table(
        title=f"Each of the {len(rows)}",
        head=("slower", "case", "metric", "than", *_RATIO),
        rows=rows,
        right=frozenset({4, 5}),
        folded=len(rows) > LONG,
    )
    return (Words(text=f"Where something loses. {judged}"), Bullets(items=tuple(_told(slower, data))), table)


def _told(slower: Sequence[Pair], data: ReportData) -> Iterator[str]:
    """A sentence a baseline and clock, of each family of cases: as the overview says it."""
    families = {p.key.case.family: p.key.case for p in slower}
    keys = [row for row in data.rows if row.rank == 0]
    for family, case in families.items():
        here = [p for p in slower if p.key.case.family == family]
        known = [row.case.swept for row in keys if row.case.family == family]
        prefix = f"{family_words(case)}: " if len(families) > 1 else ""
        for metric in METRICS:
            for text in sentences(losses(here, keys, metric), known, case.operation):
                yield f"{prefix}slower by {metric} {text}"


#: More cases than these share a table with the others of their family.
FEW = 6
COLUMNS = (
    Column("kernels a call", lambda row: number(row.kernels_per_call)),
    Column("device µs", lambda row: median(row.device_ns)),
    Column("wall µs", lambda row: median(row.wall_ns)),
    Column("[p10, p90]", lambda row: ends(row.p10_ns, row.p90_ns) or MISSING),
    Column("n", lambda row: str(row.wall_ns.n) if row.wall_ns else MISSING),
    Column("idle share", lambda row: _idle_share(OverviewSide(label="", row=row))),
    Column("GB/s", lambda row: gigabytes_per_s(row.bytes_per_s)),
    Column("share of floor", lambda row: percent(row.roofline_share)),
    Column("max error", lambda row: error(row.max_error)),
)


def _idle_share(side: OverviewSide) -> str:
    return side.marked(percent(side.bubble_share))


def table(data: ReportData, view: Overview | None) -> tuple[Block, ...]:
    """The main case's table open; of the others one a case, or where they are many one a family of cases."""
    if view is None:
        return ()
    shown = [row for row in data.rows if row.rank == 0]
    rows = [row for row in shown if any((row.wall_ns, row.device_ns, row.kernels_per_call, row.reason))]
    main = [row for row in rows if row.case == view.case]
    others: dict[object, list[Row]] = {}
    many = len({row.case for row in rows}) > FEW
    for row in rows:
        if row.case != view.case:
            others.setdefault(row.case.family if many else row.case, []).append(row)
    if not rows:
        return ()
    blocks = [_table(main, view.case.words, data.rows)] if main else []
    for group in others.values():
        title = family_words(group[0].case) if many else group[0].case.words
        blocks.append(_table(group, title, data.rows, folded=True, swept=many))
    note = (
        "Medians. kernels a call: from the capture; device and wall: unprofiled; n: what the intervals of wall are "
        f"over, {counted_over(row.wall_ns for row in rows) or MISSING}; idle share: (wall − busy) / wall; GB/s: bytes "
        "by the formula of section 8 / device time; share of floor: one pass over the same bytes "
        "that computes nothing, timed in the same rounds / device time. –: not measured."
    )
    if any(OverviewSide(label="", row=row).denied for row in rows):
        note += f" {MARKED}"
    return (*blocks, Words(text=note, tone="muted"))


def _table(
    group: Sequence[Row], title: str, rows: Sequence[Row], *, folded: bool = False, swept: bool = False
) -> Table:
    """Those rows under one title; with the swept value in front where these differ."""
    head = ("path · mode", *(one.head for one in COLUMNS))
    body = [(_side(row, rows), *cells(*(one.text(row) for one in COLUMNS))) for row in group]
    right = frozenset(range(1, len(head)))
    if swept:
        head = (counts(group[0].case.operation), *head)
        body = [(Cell(text=f"{row.case.swept:,}"), *line) for row, line in zip(group, body, strict=True)]
        right = frozenset((0, *(k + 1 for k in right)))
    return Table(title=title, head=head, rows=tuple(body), right=right, folded=folded)


def _side(row: Row, rows: Sequence[Row]) -> Cell:
    tone: Tone = "bad" if row.status in {"wrong", "failed"} else "" if row.status == "measured" else "muted"
    return Cell(text=side_label(row, rows) + ("" if row.status == "measured" else f" ({row.status})"), tone=tone)
