"""The least time that one kernel in a chain's place needs for its bytes, from what the trace itself shows.

*Bytes:* the largest input of the chain's first operator, which nothing in the chain made, and the output of its last:
a part of what the kernel must move. Only operators that touch each element of their tensors once
count; of a gather, a reduction or a view nothing is known. *Bandwidth:* the fastest copy within the device of at least
`LARGE` bytes and `LONG_NS`, each byte read and written, or what the caller gives: a shorter copy is mostly its own
start, and a floor from it would be too high. Shapes are those of the operators that launched the kernels (the innermost
around each launch, recorded with `record_shapes=True`); an expanded view counts as if it were whole: too high as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import polars as pl

from rope_prof.analysis.chain_events import Events
from rope_prof.analysis.repeats import Ints

#: Smaller or shorter copies are over before they reach the memory's bandwidth: starting one takes about 2 µs.
LARGE = 1 << 20
LONG_NS = 20_000
#: Calls of a chain that are looked at; the least of them counts.
LOOKED_AT = 16
#: Operators that begin between an operator and a launch in it: its children so far.
NESTED = 256
ITEM_BYTES = {
    "double": 8,
    "long int": 8,
    "long": 8,
    "float": 4,
    "int": 4,
    "c10::BFloat16": 2,
    "c10::Half": 2,
    "short": 2,
    "bool": 1,
    "unsigned char": 1,
    "signed char": 1,
    "c10::Float8_e4m3fn": 1,
    "c10::Float8_e5m2": 1,
}
_ELEMENTWISE = frozenset(
    (
        *("add", "sub", "rsub", "mul", "div", "neg", "abs", "pow", "sqrt", "rsqrt", "reciprocal", "square"),
        *("exp", "log", "sin", "cos", "tanh", "sigmoid", "silu", "gelu", "relu", "clamp"),
        *("where", "copy", "fill", "maximum", "minimum"),
    )
)


@dataclass(frozen=True, slots=True)
class Floor:
    """`ns` of one call, or None and the `reason`."""

    ns: int | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """Bytes a ns (GB/s), read and written, and where from; None with the `source` saying what is missing."""

    bytes_a_ns: float | None
    source: str


@dataclass(frozen=True, slots=True)
class _Operator:
    name: str
    shapes: tuple[tuple[int, ...], ...]
    items: tuple[int, ...]  # bytes an element, for each shape; 0 where the type is not told

    @property
    def elementwise(self) -> bool:
        return self.name.removeprefix("aten::").rstrip("_") in _ELEMENTWISE and bool(self.shapes)

    def read(self) -> int:
        """Bytes of the largest input; of a copy of its source."""
        shapes, items = (self.shapes[1:], self.items[1:]) if self.name == "aten::copy_" else (self.shapes, self.items)
        sizes = [prod(shape) * item for shape, item in zip(shapes, items, strict=True)]
        return max(sizes, default=0) if self.elementwise else 0

    def written(self, item: int) -> int:
        """Bytes of the output, at least; `item` where the operator's own types are not told."""
        if self.name == "aten::cat":
            return sum(map(prod, self.shapes)) * item
        if not self.elementwise:
            return 0
        if self.name == "aten::copy_":
            return prod(self.shapes[0]) * (self.items[0] or item)
        return max(map(prod, self.shapes)) * min([size for size in self.items if size] or [item])


@dataclass(frozen=True, slots=True)
class Shapes:
    """The operators with shapes, by thread, in order of their start."""

    threads: dict[tuple[int | None, int | None], pl.DataFrame]

    @classmethod
    def of(cls, ops: pl.DataFrame) -> Shapes:
        shaped = ops.filter(pl.col("input_dims").is_not_null()).sort("start_ns", "dur_ns", descending=[False, True])
        return cls(
            {(key[0], key[1]): rows for key, rows in shaped.partition_by("process", "thread", as_dict=True).items()}
        )

    def operator(self, event: dict[str, Any]) -> _Operator | None:
        """The innermost operator around the launch of `event`."""
        launch = event["launch_start_ns"]
        rows = self.threads.get((event["launch_process"], event["launch_thread"]))
        if launch is None or rows is None:
            return None
        last = int(rows["start_ns"].search_sorted(launch, side="right"))
        near = rows[max(0, last - NESTED) : last]
        around = near.filter(pl.col("start_ns") + pl.col("dur_ns") > launch)
        return _operator(around.row(-1, named=True)) if around.height else None


def bandwidth(events: pl.DataFrame, given: float | None = None) -> Bandwidth:
    """The `given` one, else that of the fastest long copy within the device among `events`."""
    if given is not None:
        return Bandwidth(bytes_a_ns=given, source="given")
    copies = events.filter(
        (pl.col("kind") == "memcpy")
        & pl.col("name").str.contains("(?i)DtoD|Device -> Device")
        & (pl.col("bytes") >= LARGE)
        & (pl.col("dur_ns") > 0)
    )
    what = f"copy within the device of {LARGE >> 20} MiB or more"
    long = copies.filter(pl.col("dur_ns") >= LONG_NS)
    if not long.height:
        held = f"the {copies.height} of them last under {LONG_NS // 1000} µs, too short" if copies.height else "none"
        return Bandwidth(bytes_a_ns=None, source=f"no {what} shows the bandwidth ({held}): give --bandwidth")
    best = long.select((pl.col("bytes") * 2 / pl.col("dur_ns")).max()).item()
    return Bandwidth(bytes_a_ns=float(best), source=f"the fastest {what}")


def floor(shapes: Shapes, events: Events, first: Ints, length: int, speed: Bandwidth) -> Floor:
    """Of one call of the chain whose calls begin at `first`."""
    if not shapes.threads:
        return Floor(None, "the trace has no shapes: record with record_shapes=True")
    if speed.bytes_a_ns is None:
        return Floor(None, speed.source)
    some = first[np.linspace(0, first.size - 1, min(LOOKED_AT, first.size)).astype(np.int64)]
    least = min(_bytes(events, shapes, int(at), length) for at in some)
    if not least:
        return Floor(None, "neither the first nor the last operator tells how many bytes it must move")
    return Floor(round(least / speed.bytes_a_ns))


def _bytes(events: Events, shapes: Shapes, at: int, length: int) -> int:
    chain = [shapes.operator(row) for row in events.frame[at : at + length].iter_rows(named=True)]
    items = [item for operator in chain if operator for item in operator.items if item]
    begin, end = chain[0], chain[-1]
    if not items or begin is None or end is None:
        return 0
    return begin.read() + end.written(min(items))


def _operator(row: dict[str, Any]) -> _Operator:
    dims, types = _list(row["input_dims"]), _list(row["input_types"])
    types += [""] * (len(dims) - len(types))
    shapes: list[tuple[int, ...]] = []
    items: list[int] = []
    for shape, kind in zip(dims, types, strict=False):
        for one in shape if _nested(shape) else [shape]:
            if isinstance(one, list) and one and all(isinstance(size, int) for size in one):
                shapes.append(tuple(one))
                items.append(ITEM_BYTES.get(str(kind), 0))
    return _Operator(row["name"] or "", tuple(shapes), tuple(items))


def _nested(shape: Any) -> bool:
    return isinstance(shape, list) and bool(shape) and isinstance(shape[0], list)


def _list(text: str | None) -> list[Any]:
    try:
        found = json.loads(text) if text else []
    except ValueError:
        return []
    return found if isinstance(found, list) else []
