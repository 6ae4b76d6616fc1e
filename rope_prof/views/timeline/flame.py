"""A flame graph of a stretch as the browser draws it: boxes in shares of the whole, the longest of a parent first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import polars as pl

from rope_prof.analysis.selection.flame import Stacks, flame, known_sources, stacks
from rope_prof.units import duration, significant
from rope_prof.views.timeline.scene import Scene
from rope_prof.views.words.groupings import FLAME_WORDS
from rope_prof.views.words.names import short_name

#: So many frames that only call each other are drawn.
_TRUNK: Final = 4
#: Below it a box is no wider than a pixel: it is counted, not drawn.
_LEAST: Final = 1 / 1500


def flames(sides: Sequence[tuple[str, Scene, int, int]], wanted: str, begun: bool) -> dict[str, Any]:
    """Of each (title, scene, lo, hi) its flame graph by `wanted`, or by the first source that any side tells of.

    `begun`: of what begins inside alone.
    """
    known = {source for _, scene, _, _ in sides for source in known_sources(scene.trace)}
    sources = [source for source in FLAME_WORDS if source in known]
    by = wanted if wanted in sources else next(iter(sources), "")
    return {
        "by": by,
        "sources": [[source, FLAME_WORDS[source]] for source in sources],
        "sides": [_side(title, _folded(scene, lo, hi, by, begun)) for title, scene, lo, hi in sides] if by else [],
    }


@lru_cache(maxsize=8)
def _stacks(scene: Scene, by: str) -> Stacks:
    return stacks(scene.trace, scene.events, by)


@lru_cache(maxsize=16)  # a zoom asks for the same stretch again
def _folded(scene: Scene, lo: int, hi: int, by: str, begun: bool) -> pl.DataFrame:
    """`FLAME` with `at` and `width` in shares of the whole."""
    found = flame(_stacks(scene, by), scene.events, lo, hi, begun).with_row_index("row")
    total = max(int(found["ns"][0]), 1)
    ordered = found.sort("parent", pl.col("ns") * -1, "name", nulls_last=True)
    before = ordered.select("row", before=pl.col("ns").cum_sum().over("parent") - pl.col("ns")).sort("row")["before"]
    at = before.to_numpy().copy()
    parent, depth = found["parent"].to_numpy(), found["depth"].to_numpy()
    for level in range(1, int(depth.max(initial=0)) + 1):
        rows = np.flatnonzero(depth == level)
        at[rows] += at[parent[rows]]
    return found.with_columns(at=pl.Series(at / total), width=pl.col("ns") / total)


def _side(title: str, found: pl.DataFrame) -> dict[str, Any]:
    total = int(found["ns"][0])
    skipped = _trunk(found)
    shown = found.filter((pl.col("width") >= _LEAST) & (pl.col("depth") > skipped)).sort("depth", "at")
    return {
        "title": title,
        "skipped": skipped,
        "total": duration(total),
        "left": found.height - 1 - skipped - shown.height,
        "boxes": [
            [
                depth - 1 - skipped,
                round(at, 6),
                round(width, 6),
                name,
                short_name(name, 60),
                leaf,
                _told(ns, total, events),
            ]
            for depth, at, width, name, leaf, ns, events in shown.select(
                "depth", "at", "width", "name", "leaf", "ns", "events"
            ).iter_rows()
        ],
    }


def _trunk(found: pl.DataFrame) -> int:
    """How many frames from the top hold all of it and only call each other; few of them are drawn."""
    levels = (
        found.filter(pl.col("depth") > 0).group_by("depth").agg(pl.len(), pl.col("leaf").any(), pl.col("width").max())
    )
    alone = levels.sort("depth").select(whole=(pl.col("len") == 1) & ~pl.col("leaf") & (pl.col("width") == 1))["whole"]
    trunk = alone.arg_min() if not alone.all() else len(alone)
    return max((trunk or 0) - 1, 0) if (trunk or 0) > _TRUNK else 0


def _told(ns: int, total: int, events: int) -> str:
    return f"{duration(ns)}, {significant(100 * ns / total)} % of GPU time, {events:,} on the device"
