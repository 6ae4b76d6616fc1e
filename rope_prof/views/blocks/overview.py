"""The overview's facts: rows of a run -> one case's sides, where fusing pays, and what cannot be trusted.

Takes its statistics from `rope_prof.analysis.run.rows`; divides two of them where a share is asked for, no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rope_prof.analysis.run.headline import BestAgainstBest
from rope_prof.analysis.run.rows import AGREE_WITHIN, INFLATION_LIMIT, Row
from rope_prof.analysis.stats import Figure
from rope_prof.analysis.verdict import SAME_WITHIN, Word, judge
from rope_prof.model.run import Case
from rope_prof.units import MISSING, duration, number, percent, ratio, significant
from rope_prof.views.blocks.model import Card, Headline, Tone
from rope_prof.views.words.figures import error
from rope_prof.views.words.headline import more_words, rival_words
from rope_prof.views.words.labels import side as side_words
from rope_prof.views.words.labels import side_label
from rope_prof.views.words.losses import Loss, Pair, defeats, doubtful, losses, sentences
from rope_prof.views.words.notes import doubts_of
from rope_prof.views.words.sampled import counted_over
from rope_prof.views.words.trust import DENIED, MARKED, ON_CPU

#: What the headline says of a ratio that is no gain and no loss for sure.
_OPEN = {
    "SAME": f"the same: the whole interval within {100 * SAME_WITHIN:g} % of 1",
    "UNDECIDED": "undecided: the interval holds 1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewSide:
    """One key of the case: its row and what follows from it. `ratio`: baseline / this one, of the wall time."""

    label: str
    row: Row
    ratio: Figure | None = None

    @property
    def bubble_share(self) -> float | None:
        """Corrected bubble / unprofiled wall time of a call."""
        row = self.row
        if row.wall_ns is None or row.bubble_corrected_ns is None or row.wall_ns.median <= 0:
            return None
        return row.bubble_corrected_ns / row.wall_ns.median

    @property
    def raw_share(self) -> float | None:
        """Raw bubble / profiled period of a call."""
        row = self.row
        if row.period_ns is None or row.bubble_raw_ns is None or row.period_ns <= 0:
            return None
        return row.bubble_raw_ns / row.period_ns

    @property
    def denied(self) -> bool:
        """Whether the cross-check by graph replay was made and disagrees with the corrected bubble."""
        return self.row.bubbles_agree is False

    def marked(self, bubble: str) -> str:
        """That text of the corrected bubble, with a `≠` behind it where it is denied."""
        return f"{bubble} {DENIED}" if self.denied else bubble


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoffCell:
    """Speedup of one side at one value of the swept axis over the baseline; `word` is what to think of it."""

    swept: int
    row: Row | None
    ratio: Figure | None = None

    @property
    def word(self) -> Word | Literal["wrong", "missing"]:
        """The verdict on its ratio; `wrong` where the path is, `missing` where nothing was timed to hold it against."""
        row = self.row
        if row is None or row.status in {"unavailable", "failed", "pending", "checked"}:
            return "missing"
        if row.status == "wrong":
            return "wrong"
        return "missing" if self.ratio is None else judge(self.ratio.lo, self.ratio.hi)


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """What the sides are held against: its row in the shown case, and key -> baseline / key of the wall time."""

    label: str
    row: Row | None
    ratios: Mapping[str, Figure]
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One case in one look. `candidate` is None where nothing can be held against the baseline.

    `best`: best against best, where nobody chose another baseline. `losses`: `than unfused · eager: fused · eager at 1
    and 64 tokens`, one a baseline, the chosen one first; `own`: those of the candidate's path alone,
    `fused · compile loses to unfused · compile at every size`; `others_lose`: so do other paths. `undecided`: where the
    candidate's path is slower by the median and rounds do not decide it. `rivals`: the other
    paths that beat the baseline's best too, each in its fastest mode, the fastest first.
    """

    case: Case
    baseline: OverviewSide | None
    candidate: OverviewSide | None
    sides: tuple[OverviewSide, ...]
    swept: tuple[int, ...]
    cells: tuple[tuple[str, tuple[PayoffCell, ...]], ...]
    doubts: tuple[str, ...]
    losses: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    others_lose: bool = False
    undecided: tuple[str, ...] = ()
    best: BestAgainstBest | None = None
    rivals: tuple[BestAgainstBest, ...] = ()


def overview(
    rows: Sequence[Row],
    case_name: str,
    device: str = "cuda",
    *,
    against: Against | None = None,
    wanted: Callable[[Row], bool] | None = None,
    pairs: Sequence[Pair] = (),
    headlines: Sequence[BestAgainstBest] = (),
) -> Overview:
    """The overview of the case called `case_name`, recorded on `device`.

    `against`: the baseline, the chain run eagerly where none is named; `wanted`: which rows may be the headline;
    `pairs`: what else the sides are held against, by the rule of `views.words.losses`; `headlines`: best against best.
    Errors: KeyError for a case that no row has.
    """
    first_rank = [row for row in rows if row.rank == 0]
    mine = [row for row in first_rank if row.case.name == case_name]
    if not mine:
        raise KeyError(case_name)
    held = against or _chain(first_rank, mine)
    sides = tuple(OverviewSide(label=side_label(row, mine), row=row, ratio=held.ratios.get(row.key)) for row in mine)
    baseline = None if held.row is None else OverviewSide(label=held.label, row=held.row)
    family = [row for row in first_rank if row.case.family == mine[0].case.family]
    swept = tuple(sorted({row.case.swept for row in family}))
    cells = _cells(family, swept, held)
    candidate = _candidate([s for s in sides if wanted is None or wanted(s.row)], baseline)
    if candidate is None and device == "cpu":  # what was measured there is what there is to say, whatever is chosen
        candidate = _candidate(sides, baseline)
    lost = (*_losses(cells, held.label), *losses(_of(family, pairs), family))
    own, unsure = (
        [one for one in found if candidate is not None and one.side.startswith(f"{candidate.row.path} ·")]
        for found in (lost, doubtful(_of(family, pairs), family))
    )
    return Overview(
        case=mine[0].case,
        baseline=baseline,
        candidate=candidate,
        best=(best := _best(headlines, candidate, baseline, mine)),
        rivals=_rivals(headlines, best),
        sides=sides,
        swept=swept,
        cells=cells,
        losses=sentences(lost, swept, mine[0].case.operation),
        others_lose=any(one not in own for one in lost),
        own=defeats(own, swept, mine[0].case.operation),
        undecided=defeats(unsure, swept, mine[0].case.operation, "against"),
        doubts=(*([ON_CPU] if device == "cpu" else []), *held.caveats, *_doubts(sides)),
    )


def _chain(rows: Sequence[Row], mine: Sequence[Row]) -> Against:
    """The baseline run eagerly, as the summary holds every row against it."""
    row = next((row for row in mine if row.is_baseline and row.mode == "eager"), None)
    ratios = {row.key: row.speedup_interval for row in rows if row.speedup_interval is not None}
    return Against(
        label=side_words(mine[0].case.operation.baseline, "eager") if row is None else side_label(row, mine),
        row=row,
        ratios=ratios,
    )


def _best(
    headlines: Sequence[BestAgainstBest], side: OverviewSide | None, base: OverviewSide | None, mine: Sequence[Row]
) -> BestAgainstBest | None:
    """Best against best of the shown path, where it is shown eager against the eager baseline of its own run."""
    if side is None or base is None or side.row.mode != "eager" or not any(row is base.row for row in mine):
        return None
    what = (side.row.case, side.row.l2, side.row.rank, side.row.path, base.row.path, base.row.mode)
    return next((h for h in headlines if (h.case, h.l2, h.rank, h.path, h.baseline, "eager") == what), None)


def _rivals(headlines: Sequence[BestAgainstBest], best: BestAgainstBest | None) -> tuple[BestAgainstBest, ...]:
    if best is None:
        return ()
    place = (best.case, best.l2, best.rank)
    others = [one for one in headlines if (one.case, one.l2, one.rank) == place and one.path != best.path]
    return tuple(
        sorted((one for one in others if one.best.after_ns < best.best.before_ns), key=lambda one: one.best.after_ns)
    )


def _candidate(sides: Sequence[OverviewSide], baseline: OverviewSide | None) -> OverviewSide | None:
    """Fused, eager, where it was measured; else the fastest right side that is not the baseline."""
    rivals = [s for s in sides if s.row is not (baseline and baseline.row) and s.row.status == "measured"]
    rivals = [s for s in rivals if s.ratio is not None]
    fused = [s for s in rivals if (s.row.path, s.row.mode) == ("fused", "eager")]
    return next(iter(fused), None) or max(rivals, key=lambda s: s.ratio.median if s.ratio else 0.0, default=None)


def _cells(rows: Sequence[Row], swept: Sequence[int], held: Against) -> tuple[tuple[str, tuple[PayoffCell, ...]], ...]:
    """Each side but the baseline with its cell per swept value."""
    found: dict[str, dict[int, Row]] = {}
    base = None if held.row is None else (held.row.path, held.row.mode, held.row.l2)
    for row in rows:
        if held.ratios.get(row.key) or (row.path, row.mode, row.l2) != base:
            found.setdefault(side_label(row, rows), {})[row.case.swept] = row
    return tuple(
        (name, tuple(_cell(count, by_count.get(count), held) for count in swept)) for name, by_count in found.items()
    )


def _losses(cells: Sequence[tuple[str, tuple[PayoffCell, ...]]], base: str) -> Iterator[Loss]:
    for side, found in cells:
        for cell in found:
            if cell.word == "SLOWER":
                yield Loss(base, side, cell.swept)


def _of(family: Sequence[Row], pairs: Sequence[Pair]) -> list[Pair]:
    mine = {row.key for row in family}
    return [pair for pair in pairs if pair.key.name in mine]


def _cell(count: int, row: Row | None, held: Against) -> PayoffCell:
    return PayoffCell(swept=count, row=row, ratio=None if row is None else held.ratios.get(row.key))


def _doubts(sides: Sequence[OverviewSide]) -> list[str]:
    """Sentences on what the reader must not believe."""
    doubts = []
    apart = [(s, s.row.inflation) for s in sides if s.row.inflation is not None and not s.row.raw_trusted]
    stretched = [f"{s.label} {ratio(inflation)}" for s, inflation in apart if inflation > 1]
    shorter = [f"{s.label} {ratio(inflation)}" for s, inflation in apart if inflation <= 1]
    if stretched:
        doubts.append(
            f"The profiler stretches a call over {INFLATION_LIMIT:g}x ({', '.join(stretched)}): raw bubbles are "
            "greyed; the corrected ones come from unprofiled time."
        )
    if shorter:
        doubts.append(
            f"Calls took far less time under the profiler than without it ({', '.join(shorter)}): the host was held "
            "up, or the clock was another; their raw bubbles are greyed, and the corrected ones are doubtful too."
        )
    held = doubts_of([s.row for s in sides], [s.label for s in sides])
    doubts += [f"{', '.join(named)}: {why}." for why, named in held.items()]
    for s in sides:
        row = s.row
        if row.status == "wrong":
            doubts.append(f"{s.label} is wrong ({row.reason or 'fails the accuracy check'}): shown, not ranked.")
        elif row.status in {"unavailable", "failed", "pending", "checked"}:
            doubts.append(f"{s.label} was not timed: {row.reason or row.status}.")
        elif row.bubble_corrected_ns is not None and row.bubble_corrected_ns < 0:
            doubts.append(
                f"{s.label}: a call is busy longer in the trace than a call takes unprofiled (calls overlap on the "
                "device, or the profiler slows its kernels), so its bubble is negative."
            )
    return [*doubts, *_denied(sides)]


def _denied(sides: Sequence[OverviewSide]) -> Iterator[str]:
    """The corrected bubbles that their cross-check denies, both figures of each."""
    figures = [
        f"{s.label} {duration(s.row.bubble_corrected_ns)} corrected, {duration(s.row.bubble_by_replay_ns)} by replay"
        for s in sides
        if s.denied
    ]
    if figures:
        yield (
            f"{DENIED} The corrected bubble and its cross-check by graph replay, which no profiler touches, lie over "
            f"{AGREE_WITHIN:.0%} of the call apart ({'; '.join(figures)}): such a bubble is not known."
        )


def headline(view: Overview) -> Headline | None:
    """How much faster, in one number with its interval; None where nothing can be held against the baseline.

    Best against best, and then mode by mode, unless another baseline was chosen.
    """
    side, base = view.candidate, view.baseline
    if side is None or base is None or side.ratio is None:
        return None
    found, than, more = side.ratio, base.label, ""
    walls = [duration(row.wall_ns.median if row.wall_ns else None) for row in (base.row, side.row)]
    label = side.label
    if view.best is not None:
        one = view.best.best
        found, told = one.ratio, (more_words(view.best), rival_words(view.rivals))
        more = "".join(f" {said}" for said in told if said)
        walls = [duration(one.before_ns), duration(one.after_ns)]
        label = f"{view.best.path} · {one.cand_mode}"
        than = f"{view.best.baseline} · {one.base_mode}, each at its best"
    faster = found.median >= 1
    word, bounds = "faster" if faster else "slower", "too few rounds or processes for an interval"
    tone: Tone = "" if faster else "bad"
    if (judged := judge(found.lo, found.hi)) in _OPEN:
        word, tone = f"{word} ({_OPEN[judged]})", "doubt"
    if found.lo is not None and found.hi is not None:
        ends = (found.lo, found.hi) if faster else (1 / found.hi, 1 / found.lo)
        bounds = (
            f"95 % interval of the paired ratio {significant(ends[0])}x to {significant(ends[1])}x, "
            f"{counted_over([found])}"
        )
    on_cpu = f" {ON_CPU}" if ON_CPU in view.doubts else ""
    return Headline(
        factor=ratio(found.median if faster else 1 / found.median),
        words=f"{word} with {label} than with {than}",
        detail=f"{walls[0]} → {walls[1]} a call on the host's clock, unprofiled; {bounds}.{more}{on_cpu}",
        tone=tone,
    )


def cards(view: Overview) -> tuple[Card, ...]:
    """Kernels, bubble, busy time and accuracy, before and after; a figure that either side lacks has no card."""
    base, side = view.baseline, view.candidate
    if base is None or side is None:
        return ()
    limit = side.row.accuracy.limit if side.row.accuracy else None
    found = (
        Card(
            title="Kernels a call",
            before=number(base.row.kernels_per_call),
            after=number(side.row.kernels_per_call),
            note="median",
        ),
        Card(
            title="Bubble a call",
            before=base.marked(duration(base.row.bubble_corrected_ns)),
            after=side.marked(duration(side.row.bubble_corrected_ns)),
            note=f"{percent(base.bubble_share)} of the call → {percent(side.bubble_share)}, unprofiled"
            + (f"; {MARKED.removesuffix('.')}" if base.denied or side.denied else ""),
        ),
        Card(
            title="Device busy a call",
            before=duration(base.row.busy_ns),
            after=duration(side.row.busy_ns),
            note="without overlap",
        ),
        Card(
            title="Largest error",
            before=error(base.row.max_error),
            after=error(side.row.max_error),
            note="not checked" if limit is None else f"against float64; tolerance {error(limit)}",
        ),
    )
    return tuple(card for card in found if MISSING not in (card.before, card.after))


#: In place of a headline.
NOTHING = Headline(
    factor="",
    words="Nothing to compare",
    detail="No measured path is chosen that can be held against the baseline: choose a path and a mode above, or a "
    "baseline; record more with “python -m rope_prof record”.",
)


def lost_words(view: Overview) -> str:
    """Where the candidate's path loses, where nobody can say yet, and whether others lose."""
    sure, more = ("for sure ", f" Undecided: {'; '.join(view.undecided)}.") if view.undecided else ("", "")
    if not view.losses:
        return f"No measured token count is {sure}slower.{more}"
    path = "" if view.candidate is None else view.candidate.row.path
    if not view.own:
        return f"{path or 'It'} is {sure}slower at no measured token count; other paths are: below.{more}"
    said = f"{'; '.join(view.own)}."
    return f"{said}{more} Other paths lose too: below." if view.others_lose else f"{said}{more}"
