"""What the host was doing when it launched an event: its range, operator, Python module and line."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import polars as pl

from rope_prof.analysis.fixes.fix import FixPlace
from rope_prof.analysis.trace.calls import families, inside, numbered
from rope_prof.analysis.trace.ranges import outermost
from rope_prof.model.trace import Trace

_LAUNCH: Final = ("launch_process", "launch_thread", "launch_start_ns")
_MODULE: Final = "nn.Module: "
_LINE: Final = r"^(.+?)\.py\(\d+\): "
#: Files whose lines say nothing of who called: torch's own, and Python's.
_LIBRARY: Final = (*("torch", "triton", "contextlib"), *sorted(sys.stdlib_module_names))


@dataclass(frozen=True)
class LaunchSites:
    """The host side of a trace, asked for the launches of some events (rows with the columns of `launched`)."""

    trace: Trace

    def operators(self, events: pl.DataFrame) -> pl.Series:
        """The outermost operator around each launch, or null: what the caller's own code called."""
        return inside(self._operators, events.select(*_LAUNCH)).alias("operator")

    def ranges(self, events: pl.DataFrame) -> pl.Series:
        """The family of the innermost range around each launch, or null."""
        return inside(self._ranges, events.select(*_LAUNCH)).alias("range")

    def lines(self, events: pl.DataFrame) -> pl.Series:
        """The innermost line of Python around each launch that is no library's, `train.py(34): step`, or null."""
        return inside(self._lines, events.select(*_LAUNCH)).alias("line")

    def modules(self, events: pl.DataFrame) -> pl.Series:
        """The innermost torch module around each launch, `Linear_0`, or null."""
        return inside(self._modules, events.select(*_LAUNCH)).str.strip_prefix(_MODULE).alias("module")

    def place(self, event: dict[str, object], *, name: str = "name", at: str = "start_ns") -> FixPlace:
        """The place of one row of events; `name` and `at` are the columns of what is shown."""
        row = pl.DataFrame([{column: event[column] for column in _LAUNCH}], schema=dict.fromkeys(_LAUNCH, pl.Int64))
        return FixPlace(
            start_ns=int(event[at]),  # type: ignore[call-overload]
            dur_ns=int(event["dur_ns"]),  # type: ignore[call-overload]
            event=str(event[name] or ""),
            range=self.ranges(row)[0],
            operator=self.operators(row)[0],
            module=self.modules(row)[0],
            line=self.lines(row)[0],
        )

    @cached_property
    def _operators(self) -> pl.DataFrame:
        ops = self.trace.ops.with_columns(kind=pl.lit("op"))
        lanes = outermost(numbered(ops))
        return lanes.select(
            "kind",
            "process",
            "thread",
            name="range",
            start_ns="host_start_ns",
            dur_ns=pl.col("host_end_ns") - pl.col("host_start_ns"),
        )

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
        return self._python(names.filter(names.str.starts_with(_MODULE)))

    def _python(self, names: pl.Series) -> pl.DataFrame:
        held = self.trace.python.filter(pl.col("name").is_in(names.implode()))
        return held.with_columns(kind=pl.lit("python"))

    @cached_property
    def _ranges(self) -> pl.DataFrame:
        return self.trace.ranges.with_columns(name=families(self.trace.ranges["name"]))
