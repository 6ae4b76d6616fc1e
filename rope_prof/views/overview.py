"""The overview's facts: rows of a run -> one case's sides, where fusing pays, and what cannot be trusted.

Takes its statistics from `rope_prof.analysis.summary`; divides two of them where a share is asked for, no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rope_prof.analysis.summary import INFLATION_LIMIT, Row
from rope_prof.model.run import Case
from rope_prof.units import ratio

ON_CPU = "Recorded on a CPU: a kernel is a leaf operator, and nothing here is a GPU figure."

#: A ratio whose whole interval lies in here is no difference.
_SAME = (0.98, 1.02)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One key of the case: its row and what follows from it."""

    label: str
    row: Row

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
    def raw_trusted(self) -> bool:
        """Whether the profiler stretched the call little enough for its raw bubbles to mean something."""
        return self.row.inflation is not None and self.row.inflation <= INFLATION_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Speedup of one side at one token count; `word` is what to think of it."""

    tokens: int
    row: Row | None

    @property
    def word(self) -> str:
        """faster | slower | level (the interval holds 1, lies within 2 % of it, or there is none) | wrong | missing."""
        row = self.row
        if row is None or row.status in {"unavailable", "failed", "pending", "checked"}:
            return "missing"
        if row.status == "wrong":
            return "wrong"
        interval = row.speedup_interval
        if interval is None:
            return "missing"
        if interval.lo is None or interval.hi is None or interval.lo <= 1 <= interval.hi:
            return "level"
        if _SAME[0] <= interval.lo and interval.hi <= _SAME[1]:
            return "level"
        return "faster" if interval.lo > 1 else "slower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One case in one look. `candidate` is None where nothing can be held against the baseline."""

    case: Case
    baseline: Side | None
    candidate: Side | None
    sides: tuple[Side, ...]
    tokens: tuple[int, ...]
    cells: tuple[tuple[str, tuple[Cell, ...]], ...]
    doubts: tuple[str, ...]

    @property
    def longest_ns(self) -> float | None:
        """The longest wall time among the sides: the common scale of their bars."""
        walls = [side.row.wall_ns.median for side in self.sides if side.row.wall_ns]
        return max(walls, default=None)


def overview(rows: Sequence[Row], case_name: str, device: str = "cuda") -> Overview:
    """The overview of the case called `case_name`, recorded on `device`.

    Errors: KeyError for a case that no row has.
    """
    first_rank = [row for row in rows if row.rank == 0]
    mine = [row for row in first_rank if row.case.name == case_name]
    if not mine:
        raise KeyError(case_name)
    sides = tuple(Side(label=label(row, mine), row=row) for row in mine)
    baseline = next((s for s in sides if (s.row.path, s.row.mode) == ("unfused", "eager")), None)
    candidate = _candidate(sides, baseline)
    family = [row for row in first_rank if _same_but_tokens(row.case, mine[0].case)]
    tokens = tuple(sorted({row.case.tokens for row in family}))
    return Overview(
        case=mine[0].case,
        baseline=baseline,
        candidate=candidate,
        sides=sides,
        tokens=tokens,
        cells=_cells(family, tokens),
        doubts=(*([ON_CPU] if device == "cpu" else []), *_doubts(sides)),
    )


def label(row: Row, rows: Sequence[Row]) -> str:
    """`fused · eager`, with the L2 state where `rows` have both."""
    name = f"{row.path} · {row.mode}"
    return f"{name} · {row.l2}" if len({other.l2 for other in rows}) > 1 else name


def _candidate(sides: Sequence[Side], baseline: Side | None) -> Side | None:
    """Fused, eager, where it was measured; else the fastest right side that is not the baseline."""
    rivals = [s for s in sides if s is not baseline and s.row.status == "measured" and s.row.speedup is not None]
    fused = [s for s in rivals if (s.row.path, s.row.mode) == ("fused", "eager")]
    return next(iter(fused), None) or max(rivals, key=lambda s: s.row.speedup or 0.0, default=None)


def _same_but_tokens(case: Case, other: Case) -> bool:
    return replace(case, tokens=0) == replace(other, tokens=0)


def _cells(rows: Sequence[Row], tokens: Sequence[int]) -> tuple[tuple[str, tuple[Cell, ...]], ...]:
    """Each side but the baseline with its cell per token count."""
    found: dict[str, dict[int, Row]] = {}
    for row in rows:
        if (row.path, row.mode) != ("unfused", "eager"):
            found.setdefault(label(row, rows), {})[row.case.tokens] = row
    return tuple(
        (name, tuple(Cell(tokens=count, row=by_tokens.get(count)) for count in tokens))
        for name, by_tokens in found.items()
    )


def _doubts(sides: Sequence[Side]) -> list[str]:
    """Sentences on what the reader must not believe."""
    doubts = []
    stretched = [s for s in sides if s.row.inflation is not None and not s.raw_trusted]
    if stretched:
        names = ", ".join(f"{s.label} {ratio(s.row.inflation)}" for s in stretched)
        doubts.append(
            f"The profiler stretches a call over {INFLATION_LIMIT:g}x ({names}): raw bubbles are greyed; "
            "the corrected ones come from unprofiled time."
        )
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
    return doubts
