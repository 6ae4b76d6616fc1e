"""How near each path comes to what the card itself can do: floors by launches and by bytes.

A floor is the best known way, not a proof: a share over 1 means that a path does better than it, and is shown as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.run.ceilings import Ceilings
from rope_prof.analysis.run.rows import Row
from rope_prof.analysis.run.series import UNRANKED
from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Case


class Floor(Frozen, kw_only=True):
    """One key against its floors. `floor_ns` is the larger of the two: a launch runs beside the kernel before it.

    `launch_ns`: one launch (one graph node in mode graph). `bytes_ns`: one pass over the views. `share`: floor / wall.
    `won`: (wall of the baseline in this mode - wall) / (that wall - floor), the part taken of all that could be won.
    """

    key: str
    case: Case
    path: str
    mode: str
    l2: str
    rank: int = 0
    launch_ns: float | None
    bytes_ns: float | None
    floor_ns: float | None
    share: float | None
    won: float | None


def roofline(rows: Sequence[Row], ceilings: Ceilings) -> tuple[Floor, ...]:
    """The floors of the timed rows of that case and rank that are neither wrong nor failed.

    A floor by bytes holds for its own L2 state alone.
    """
    here = (ceilings.case, ceilings.rank)
    ranked = (row for row in rows if row.status not in UNRANKED and row.wall_ns is not None)
    mine = [row for row in ranked if (row.case, row.rank) == here]
    baselines = {(row.mode, row.l2): row for row in mine if row.is_baseline}
    return tuple(_floor(row, ceilings, baselines.get((row.mode, row.l2))) for row in mine)


def _floor(row: Row, ceilings: Ceilings, baseline: Row | None) -> Floor:
    launch = ceilings.graph_node_ns if row.mode == "graph" else ceilings.empty_launch_ns
    moved = ceilings.in_place_ns if row.l2 == ceilings.l2 else None
    floor = max((ns for ns in (launch, moved) if ns is not None), default=None) if moved is not None else None
    share = won = None
    if floor is not None and row.wall_ns is not None and row.wall_ns.median > 0:
        share = floor / row.wall_ns.median
        against = baseline if baseline is not row else None
        if against is not None and against.wall_ns is not None and against.wall_ns.median > floor:
            won = (against.wall_ns.median - row.wall_ns.median) / (against.wall_ns.median - floor)
    return Floor(
        key=row.key,
        case=row.case,
        path=row.path,
        mode=row.mode,
        l2=row.l2,
        rank=row.rank,
        launch_ns=launch,
        bytes_ns=moved,
        floor_ns=floor,
        share=share,
        won=won,
    )
