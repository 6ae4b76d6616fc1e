"""What the host was doing when it launched an event: its range, operator, Python module and line.

Of the kernels of a graph's replay it is what was done when the graph was captured, where `Trace.sites` tells it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import polars as pl

from rope_prof.analysis.trace.calls import around, families, innermost, numbered
from rope_prof.analysis.trace.pairs import pairs
from rope_prof.analysis.trace.ranges import outermost
from rope_prof.model.trace import Trace, node_number

_LAUNCH: Final = ("launch_process", "launch_thread", "launch_start_ns")
#: The columns of an event that tell where it was launched.
SITE: Final = (*_LAUNCH, "graph", "graph_node")
_MODULE: Final = "nn.Module: "
#: What tells modules of one class apart, in a path of them too.
MODULE_NUMBER: Final = r"_\d+(/|$)"
_LINE: Final = r"^(.+?)\.py\(\d+\): "
#: Files whose lines say nothing of who called: torch's own, and Python's.
_LIBRARY: Final = (*("torch", "triton", "contextlib"), *sorted(sys.stdlib_module_names))


@dataclass(frozen=True)
class LaunchSites:
    """The host side of a trace, asked for the launches of some events (rows with the columns of `launched`)."""

    trace: Trace

    def operators(self, events: pl.DataFrame) -> pl.Series:
        """The outermost operator around each launch, or null: what the caller's own code called."""
        one = events.row(0, named=True) if events.height == 1 else None
        spans = self._operators if one is None else _outermost(around(self.trace.ops, one))
        return self._or_captured("operator", events, spans)

    def ranges(self, events: pl.DataFrame) -> pl.Series:
        """The family of the innermost range around each launch, or null."""
        return innermost(self._ranges, events.select(*_LAUNCH)).alias("range")

    def lines(self, events: pl.DataFrame) -> pl.Series:
        """The innermost line of Python around each launch that is no library's, `train.py(34): step`, or null."""
        return self._or_captured("line", events, self._lines)

    def modules(self, events: pl.DataFrame) -> pl.Series:
        """The innermost torch module around each launch, `Linear_0`, or null; of a captured one all around it."""
        return self._or_captured("module", events, self._modules)

    def module_paths(self, events: pl.DataFrame) -> pl.Series:
        """All torch modules around each launch, the outermost first: `Layer_3/Attention_3/Linear_14`, or null."""
        lanes = numbered(self._modules)
        around: list[list[int]] = [[] for _ in range(events.height)]
        for calls, rows in pairs(lanes, events.select(*_LAUNCH)):
            for call, row in zip(calls.tolist(), rows.tolist(), strict=True):
                around[row].append(call)
        names = lanes["range"].to_list()
        paths = ["/".join(names[call] for call in sorted(held)) or None for held in around]
        return pl.Series("module", paths, dtype=pl.String)

    def _or_captured(self, what: str, events: pl.DataFrame, spans: pl.DataFrame) -> pl.Series:
        told = innermost(spans, events.select(*_LAUNCH)).alias(what)
        if not self.trace.sites.height or "graph_node" not in events.columns:
            return told
        nodes = events.select(node_number()).join(self.trace.sites, on="node", how="left", maintain_order="left")
        return pl.select(pl.coalesce(nodes[what], told).alias(what)).to_series()

    @cached_property
    def _operators(self) -> pl.DataFrame:
        return _outermost(self.trace.ops)

    @cached_property
    def _lines(self) -> pl.DataFrame:
        names = self.trace.python["name"].unique()
        file = names.str.extract(_LINE, 1).str.replace_all(r"\\", "/")
        first = file.str.split("/").list.first()
        library = first.is_in(_LIBRARY) | file.str.contains("/(site|dist)-packages/torch/|/lib/python")
        return self._python(names.filter(file.is_not_null() & ~library))

    @cached_property
    def _modules(self) -> pl.DataFrame:
        names = self.trace.python["name"].unique()
        held = self._python(names.filter(names.str.starts_with(_MODULE)))
        return held.with_columns(pl.col("name").str.strip_prefix(_MODULE))

    def _python(self, names: pl.Series) -> pl.DataFrame:
        held = self.trace.python.filter(pl.col("name").is_in(names.implode()))
        return held.with_columns(kind=pl.lit("python"))

    @cached_property
    def _ranges(self) -> pl.DataFrame:
        return self.trace.ranges.with_columns(name=families(self.trace.ranges["name"]))


def _outermost(ops: pl.DataFrame) -> pl.DataFrame:
    """The operators that no other one of their thread holds."""
    lanes = outermost(numbered(ops.with_columns(kind=pl.lit("op"))))
    lasts = pl.col("host_end_ns") - pl.col("host_start_ns")
    return lanes.select("kind", "process", "thread", name="range", start_ns="host_start_ns", dur_ns=lasts)
