"""The least time that one kernel in a chain's place needs for its bytes, from what the trace itself shows.

*Bytes:* what certainly enters the chain, and the output of its last operator, which leaves it. The trace tells shapes
and types, not which tensor is which. So a tensor enters if the chain cannot have made it: it is an input of the first
operator, or larger than all that the operators before made of its type (a view is no larger than its tensor). Of the
tensors that enter only the largest of each type counts, since the others may be views of it: a part of what the kernel
must move. Only operators that touch each element of their tensors once count; a gather may have made any size of its
type, of any other operator nothing is known. *Bandwidth:* the fastest copy within the device of at least
`LARGE` bytes and `LONG_NS`, each byte read and written, or what the caller gives: a shorter copy is mostly its own
start, and a floor from it would be too high. Shapes are those of the operators that launched the kernels (the innermost
around each launch, recorded with `record_shapes=True`). Of a list the type is not told: the smallest of those that the
chain's operators tell is taken. An expanded view counts as if it were whole: too high as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import polars as pl

from rope_prof.analysis.chains.events import ChainEvents
from rope_prof.analysis.chains.repeats import Ints
from rope_prof.model.frozen import Frozen
from rope_prof.units import US

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
        *("where", "copy", "fill", "zero", "maximum", "minimum"),
    )
)
#: They write all elements and read none.
_WRITES_ONLY = frozenset(("fill", "zero"))
#: They pick elements of their first input: as many as the indices say, of the same type.
_GATHERS = frozenset(("index", "index_select", "gather", "take", "embedding"))
_LISTS = frozenset(("cat", "stack"))
#: A type that is not told.
_ANY = ""


class ChainFloor(Frozen):
    """`ns` of one call, or None and the `reason`."""

    ns: int | None
    reason: str | None = None


class Bandwidth(Frozen, kw_only=True):
    """Bytes a ns (GB/s), read and written, and where from; None with the `source` saying what is missing."""

    bytes_a_ns: float | None
    source: str


class _Tensor(Frozen):
    """One input and its type (`_ANY`: not told)."""

    shape: tuple[int, ...]
    kind: str

    @property
    def elements(self) -> int:
        return prod(self.shape)

    def size(self, item: int) -> int:
        """Bytes; `item` for an element of a type that is not told."""
        return self.elements * (ITEM_BYTES.get(self.kind) or item)


class _Operator(Frozen):
    name: str
    start_ns: int
    inputs: tuple[_Tensor, ...]

    @property
    def base(self) -> str:
        return self.name.removeprefix("aten::").rstrip("_")

    @property
    def elementwise(self) -> bool:
        return self.base in _ELEMENTWISE and bool(self.inputs)

    def read(self) -> tuple[_Tensor, ...]:
        """The inputs of which each element is read; of a copy its source."""
        if self.base in _WRITES_ONLY or not (self.elementwise or self.base in _LISTS):
            return ()
        return self.inputs[1:] if self.base == "copy" else self.inputs

    def written(self, item: int) -> int:
        """Bytes of the output, at least; `item` where the operator's own types are not told."""
        if self.base in _LISTS:
            return sum(tensor.size(item) for tensor in self.inputs)
        if not self.elementwise:
            return 0
        if self.base == "copy":
            return self.inputs[0].size(item)
        known = [ITEM_BYTES[tensor.kind] for tensor in self.inputs if tensor.kind in ITEM_BYTES]
        return max(tensor.elements for tensor in self.inputs) * min(known or [item])

    def made(self) -> tuple[int, str]:
        """The most elements that its output can have, and its type."""
        if self.base in _LISTS:
            return sum(tensor.elements for tensor in self.inputs), _ANY
        if self.base in _GATHERS and self.inputs:
            return _BOUNDLESS, self.inputs[0].kind
        if not self.elementwise:
            return _BOUNDLESS, _ANY
        kinds = {tensor.kind for tensor in self.inputs[: 1 if self.base == "copy" else None]}
        return _broadcast(self.inputs), kinds.pop() if len(kinds) == 1 else _ANY


_BOUNDLESS = 1 << 62


def _broadcast(inputs: tuple[_Tensor, ...]) -> int:
    """Elements of the inputs' common shape."""
    try:
        return prod(np.broadcast_shapes(*(tensor.shape for tensor in inputs)))
    except ValueError:  # no such operator: be careful
        return _BOUNDLESS


@dataclass(frozen=True)
class Shapes:
    """The operators with shapes, by thread, in order of their start."""

    ops: pl.DataFrame

    @cached_property
    def threads(self) -> dict[tuple[int | None, int | None], pl.DataFrame]:
        shaped = self.ops.filter(pl.col("input_dims").is_not_null())
        shaped = shaped.sort("start_ns", "dur_ns", descending=[False, True])
        return {(key[0], key[1]): rows for key, rows in shaped.partition_by("process", "thread", as_dict=True).items()}

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
    large = (pl.col("bytes") >= LARGE) & (pl.col("dur_ns") > 0)
    copies = events.select("kind", "name", "bytes", "dur_ns").filter(large).filter(pl.col("kind") == "memcpy")
    copies = copies.filter(pl.col("name").str.contains("(?i)DtoD|Device -> Device"))
    what = f"copy within the device of {LARGE >> 20} MiB or more"
    long = copies.filter(pl.col("dur_ns") >= LONG_NS)
    if not long.height:
        held = f"the {copies.height} of them last under {LONG_NS / US:g} µs, too short" if copies.height else "none"
        return Bandwidth(bytes_a_ns=None, source=f"no {what} shows the bandwidth ({held}): give --bandwidth")
    best = long.select((pl.col("bytes") * 2 / pl.col("dur_ns")).max()).item()
    return Bandwidth(bytes_a_ns=float(best), source=f"the fastest {what}")


def floor(shapes: Shapes, events: ChainEvents, first: Ints, length: int, speed: Bandwidth) -> ChainFloor:
    """Of one call of the chain whose calls begin at `first`."""
    if shapes.ops["input_dims"].null_count() == shapes.ops.height:
        return ChainFloor(None, "the trace has no shapes: record with record_shapes=True")
    if speed.bytes_a_ns is None:
        return ChainFloor(None, speed.source)
    some = first[np.linspace(0, first.size - 1, min(LOOKED_AT, first.size)).astype(np.int64)]
    least = min(_bytes(events, shapes, int(at), length) for at in some)
    if not least:
        return ChainFloor(None, "neither the first nor the last operator tells how many bytes it must move")
    return ChainFloor(round(least / speed.bytes_a_ns))


def _bytes(events: ChainEvents, shapes: Shapes, at: int, length: int) -> int:
    chain = [shapes.operator(row) for row in events.frame[at : at + length].iter_rows(named=True)]
    kinds = {tensor.kind for operator in chain if operator for tensor in operator.inputs}
    items = [ITEM_BYTES[kind] for kind in kinds if kind in ITEM_BYTES]
    if not items:
        return 0
    return _entering(chain, min(items)) + (chain[-1].written(min(items)) if chain[-1] else 0)


def _entering(chain: list[_Operator | None], item: int) -> int:
    """Bytes of the largest tensor of each type that the chain reads and cannot have made."""
    made: dict[str, int] = {}
    entering: dict[str, int] = {}
    before = None
    for operator in chain:
        if operator is None:
            made[_ANY] = _BOUNDLESS
        elif before is None or (operator.name, operator.start_ns) != before:  # else one more kernel of the same
            for tensor in operator.read():
                if tensor.elements > _largest(made, tensor.kind):
                    entering[tensor.kind] = max(entering.get(tensor.kind, 0), tensor.size(item))
            elements, kind = operator.made()
            made[kind] = max(made.get(kind, 0), elements)
            before = (operator.name, operator.start_ns)
    if entering.get(_ANY, 0) and len(entering) > 1:  # of whatever type: it may be one of the others
        entering[_ANY] = max(0, entering[_ANY] - max(size for kind, size in entering.items() if kind != _ANY))
    return sum(entering.values())


def _largest(made: dict[str, int], kind: str) -> int:
    """Elements of the largest tensor that may be of that type; -1 where there is none."""
    return max(made.values(), default=-1) if kind == _ANY else max(made.get(kind, -1), made.get(_ANY, -1))


def _operator(row: dict[str, Any]) -> _Operator:
    dims, types = _list(row["input_dims"]), _list(row["input_types"])
    types += [_ANY] * (len(dims) - len(types))
    inputs = tuple(
        _Tensor(tuple(one), str(kind) if str(kind) in ITEM_BYTES else _ANY)
        for shape, kind in zip(dims, types, strict=False)
        for one in (shape if _nested(shape) else [shape])
        if isinstance(one, list) and one and all(isinstance(size, int) for size in one)
    )
    return _Operator(row["name"] or "", int(row["start_ns"]), inputs)


def _nested(shape: Any) -> bool:
    return isinstance(shape, list) and bool(shape) and isinstance(shape[0], list)


def _list(text: str | None) -> list[Any]:
    try:
        found = json.loads(text) if text else []
    except ValueError:
        return []
    return found if isinstance(found, list) else []
