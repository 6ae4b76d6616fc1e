"""Section 5 of a report: µs a call over tokens, with every cell that loses marked."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.run.rows import Row
from rope_prof.model.run import Case
from rope_prof.units import MISSING, US, in_us, microseconds, ratio
from rope_prof.views.blocks.model import Block, Cell, Picture, Table, Words, cells
from rope_prof.views.draw.lines import Point, Series, log_chart
from rope_prof.views.report.data import ReportData
from rope_prof.views.words.figures import between
from rope_prof.views.words.labels import counts, family_words, swept
from rope_prof.views.words.losses import Pair, main, verdicts
from rope_prof.views.words.verdicts import MEANING, SIGNS


def sweep(data: ReportData) -> tuple[Block, ...]:
    """µs a call over the swept axis, a table a family; a cell that loses to the chain in its mode is marked."""
    pairs = {p.key.name: p for p in main(verdicts(data.run, data.samples)) if p.verdict.metric == "wall"}
    blocks: list[Block] = []
    families: dict[tuple[object, str], list[Row]] = {}
    for row in data.rows:
        if row.rank == 0:
            families.setdefault((row.case.family, row.l2), []).append(row)
    for (_, l2), rows in families.items():
        case = rows[0].case
        known = sorted({row.case.swept for row in rows if row.wall_ns})
        if len(known) < 2:
            continue
        sides = list(dict.fromkeys((row.path, row.mode) for row in rows if row.wall_ns))
        by = {(row.path, row.mode, row.case.swept): row for row in rows}
        title = f"{family_words(case)} · {l2} L2"
        body = tuple(cells(f"{n:,}", *(_sweep_cell(by.get((*side, n)), pairs) for side in sides)) for n in known)
        blocks.append(
            Table(
                title=title,
                head=(counts(case.operation), *(f"{path} · {mode}" for path, mode in sides)),
                rows=body,
                right=frozenset(range(len(sides) + 1)),
                folded=bool(blocks),
            )
        )
        blocks.append(_chart(title, case, sides, known, by, pairs, f"sweep-{len(blocks)}", folded=len(blocks) > 1))
    if not blocks:
        return ()
    note = (
        "µs a call (unprofiled wall, median) and, behind it, how many times as fast as the "
        f"{data.run.operation.baseline} chain in the same mode (for the chain itself: as in mode eager). {MEANING}."
    )
    return (*blocks, Words(text=note, tone="muted"))


def _sweep_cell(row: Row | None, pairs: dict[str, Pair]) -> Cell:
    if row is None or row.wall_ns is None:
        return Cell(text=MISSING if row is None else row.status, tone="muted")
    pair = pairs.get(row.key)
    median = microseconds(row.wall_ns.median)
    if pair is None or pair.verdict.ratio is None:
        return Cell(text=median)
    word = pair.verdict.word
    return Cell(
        text=f"{SIGNS[word]} {median}".lstrip(),
        tone="bad" if word == "SLOWER" else "",
        small=ratio(pair.verdict.ratio.median),
    )


def _chart(
    title: str,
    case: Case,
    sides: Sequence[tuple[str, str]],
    known: Sequence[int],
    by: dict[tuple[str, str, int], Row],
    pairs: dict[str, Pair],
    name: str,
    *,
    folded: bool,
) -> Block:
    paths = list(dict.fromkeys(path for path, _ in sides))
    series = []
    for path, mode in sides:
        points = []
        for n in known:
            row = by.get((path, mode, n))
            if row is None or row.wall_ns is None or row.status != "measured":
                continue
            wall, pair = row.wall_ns, pairs.get(row.key)
            points.append(
                Point(
                    x=n,
                    y=wall.median / US,
                    lo=in_us(wall.lo),
                    hi=in_us(wall.hi),
                    bad=pair is not None and pair.verdict.word == "SLOWER",
                    unsure=wall.lo is None or (pair is not None and pair.verdict.word == "UNKNOWN"),
                    title=f"{path} · {mode}, {swept(row.case).phrase}: "
                    f"{microseconds(wall.median)} µs [{between(wall, US)}]",
                )
            )
        if points:
            shade = paths.index(path)
            series.append(
                Series(
                    label=f"{path} · {mode}",
                    points=tuple(points),
                    shade=shade,
                    mark=shade,
                    dash=mode == "graph",
                    hollow=mode != "eager",
                )
            )
    drawing = log_chart(
        series, counts(case.operation), "µs a call", f"µs a call over {counts(case.operation)}, {title}"
    )
    return Picture(
        name=name,
        title=f"{title}, drawn" if folded else "",
        folded=folded,
        drawing=drawing,
        caption=f"{title}. Both axes logarithmic; whiskers are 95 % intervals of the median.",
        where="page",
    )
