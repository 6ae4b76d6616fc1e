"""The GPU time of a stretch folded by what the host was in when it launched: ranges, modules or Python stacks.

A frame's time is that of all GPU events launched in it, clipped to the stretch: sums, not unions, so that children add
up to their parent. Leaves are the events' own names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from rope_prof.analysis.trace.calls import families
from rope_prof.analysis.trace.groups import group_numbers
from rope_prof.analysis.trace.nesting import Nest, innermost_rows, nested
from rope_prof.analysis.trace.spans import Int64s
from rope_prof.model.trace import Trace

#: One row a frame, a parent before its children; the first is all of the stretch.
FLAME: Final[dict[str, Any]] = {
    "parent": pl.Int64,  # row; -1 of the first
    "depth": pl.Int64,
    "name": pl.String,
    "leaf": pl.Boolean,  # an event's own name
    "ns": pl.Int64,
    "events": pl.Int64,
}
#: What frames can be.
SOURCES: Final = ("range", "module", "stack", "operator")
OUTSIDE: Final = {
    "range": "outside every range",
    "module": "outside every module",
    "stack": "outside every Python function",
    "operator": "outside every operator",
}
UNLINKED: Final = "launch not in the file"
_MODULE: Final = "nn.Module: "


@dataclass(frozen=True, eq=False)
class Stacks:
    """The frames of a trace of one source, and for each event the one that it was launched in, or -1.

    `depth`: of each frame of the nest how many are around it.
    """

    source: str
    nest: Nest
    depth: Int64s
    innermost: Int64s


def known_sources(trace: Trace) -> tuple[str, ...]:
    """Those of `SOURCES` that the trace tells anything of."""
    has = {
        "range": trace.ranges.height,
        "module": trace.python["name"].str.starts_with(_MODULE).any(),
        "stack": trace.python.height,
        "operator": trace.ops.height,
    }
    return tuple(source for source in SOURCES if has[source])


def stacks(trace: Trace, events: pl.DataFrame, source: str) -> Stacks:
    """Where each of `events` (`launched` of `trace`) was launched."""
    if source in ("range", "operator"):
        spans = trace.ranges if source == "range" else trace.ops
        spans = spans.with_columns(name=families(spans["name"]))
    else:
        spans = trace.python
        if source == "module":
            spans = spans.filter(pl.col("name").str.starts_with(_MODULE))
        spans = spans.with_columns(pl.col("name").str.strip_prefix(_MODULE))
    nest = nested(spans.select("name", "process", "thread", "start_ns", "dur_ns"))
    return Stacks(source, nest, nest.depths(), innermost_rows(nest, events))


def flame(held: Stacks, events: pl.DataFrame, lo_ns: int, hi_ns: int, begun: bool = False) -> pl.DataFrame:
    """The GPU time in [lo, hi) as `FLAME`; `events` are those that `held` was made of. `begun`: of those alone that
    begin inside, as a call's do."""
    start = events["start_ns"].to_numpy()
    end = start + events["dur_ns"].fill_null(0).clip(lower_bound=0).to_numpy()
    at = np.flatnonzero((start < hi_ns) & ((start >= lo_ns) if begun else (end > lo_ns)))
    taken = np.minimum(end[at], hi_ns) - np.maximum(start[at], lo_ns)
    here = events[at.tolist()].select(
        pl.col("name").fill_null(""),
        outside=pl.when(pl.col("launch_start_ns").is_null())
        .then(pl.lit(UNLINKED))
        .otherwise(pl.lit(OUTSIDE[held.source])),
    )
    row = held.innermost[at]
    rows = held.nest.with_parents(np.unique(row[row >= 0]))
    tree = _Tree(held.nest.spans["name"].fill_null("")[rows.tolist()], here["outside"], here["name"])
    frames, outside, leaves = tree.codes
    node = np.zeros(held.nest.spans.height + 1, np.int64)  # of each frame; the last one is that of no frame: the root
    for level in range(int(held.depth[rows].max(initial=-1)) + 1):
        own = held.depth[rows] == level
        node[rows[own]] = tree.add(node[held.nest.parent[rows[own]]], frames[own])
    under = node[row]
    loose = row < 0
    under[loose] = tree.add(np.zeros(int(loose.sum()), np.int64), outside[loose])
    return tree.frame(tree.add(under, leaves), taken)


class _Tree:
    """Frames that grow below what is there: equal names of one parent are one. Row 0 is all of it."""

    def __init__(self, *names: pl.Series) -> None:
        numbers, distinct = group_numbers(pl.concat([one.alias("name") for one in names]).to_frame())
        self._names = distinct["name"]
        self.codes = np.split(numbers, np.cumsum([len(one) for one in names])[:-1])
        self._grown = [(np.array([-1]), np.array([-1]))]
        self._count = 1

    def add(self, parents: Int64s, codes: Int64s) -> Int64s:
        """For each pair the row of the frame of that name below that parent."""
        many = max(len(self._names), 1)
        keys, which = np.unique(parents * many + codes, return_inverse=True)
        self._grown.append((keys // many, keys % many))
        rows: Int64s = self._count + which
        self._count += len(keys)
        return rows

    def frame(self, leaves: Int64s, taken: Int64s) -> pl.DataFrame:
        """All as `FLAME`, where `leaves` took so long."""
        ns = np.bincount(leaves, weights=taken, minlength=self._count).astype(np.int64)
        events = np.bincount(leaves, minlength=self._count)
        depth = np.zeros(self._count, np.int64)
        ends = np.cumsum([len(parents) for parents, _ in self._grown])
        for (parents, _), end in zip(self._grown[1:], ends[1:], strict=True):
            depth[end - len(parents) : end] = depth[parents] + 1
        for (parents, _), end in zip(self._grown[:0:-1], ends[:0:-1], strict=True):
            for sums in (ns, events):
                np.add.at(sums, parents, sums[end - len(parents) : end])
        parent, code = (np.concatenate(arrays) for arrays in zip(*self._grown, strict=True))
        named = self._names.gather(pl.Series(code).set(pl.Series(code < 0), None))
        leaf = np.arange(self._count) >= self._count - len(self._grown[-1][0])
        leaf[0] = False
        columns = {"parent": parent, "depth": depth, "name": named, "leaf": leaf, "ns": ns, "events": events}
        return pl.DataFrame(columns, schema=FLAME)
