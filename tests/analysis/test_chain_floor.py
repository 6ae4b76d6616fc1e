"""Laws of the byte floor: never more than the kernel must move, known only where shapes and bandwidth are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rope_prof.analysis.chains.chains import Chain, chains
from rope_prof.analysis.chains.events import device_events, launched_events
from rope_prof.analysis.chains.floor import Bandwidth, Shapes, floor
from rope_prof.model.trace import CPU_OPS, GPU_EVENTS, HOST_CALLS, OVERHEADS, RANGES, Trace, empty

SHAPE = (4096, 512)
BYTES = 4096 * 512 * 2
BF16 = "c10::BFloat16"
Op = tuple[str, list[Any], list[str]]
#: What a chain of multiply, add and concatenation is launched by.
OPS: list[Op] = [
    ("aten::mul", [[*SHAPE], [*SHAPE]], [BF16, BF16]),
    ("aten::add", [[*SHAPE], [*SHAPE], []], [BF16, BF16, "Scalar"]),
    ("aten::cat", [[[*SHAPE], [*SHAPE]], []], ["TensorList", "Scalar"]),
]


def _trace(ops: list[Op], calls: int = 8, copy_bytes: int = 1 << 26, copy_ns: int = 32_000) -> Trace:
    """Each call launches `ops` in turn, each inside a parent without shapes; a large copy ends it."""
    rows: dict[str, list[dict[str, Any]]] = {"gpu": [], "calls": [], "ops": []}
    now = free = 0
    who = {"process": 1, "thread": 2}
    for _ in range(calls):
        for name, dims, types in [*ops, ("gemm", [], [])]:
            number, begin = len(rows["calls"]), now + 1000
            rows["ops"].append({"name": "parent", "start_ns": begin - 500, "dur_ns": 9000} | who)
            shapes = {"input_dims": json.dumps(dims), "input_types": json.dumps(types)}
            rows["ops"].append({"name": name, "start_ns": begin, "dur_ns": 8000} | shapes | who)
            call = {"name": "cudaLaunchKernel", "api": "runtime", "start_ns": begin + 3000, "dur_ns": 2000}
            rows["calls"].append(call | who | {"correlation": number})
            start = max(free, begin + 6000)
            free = start + (30_000 if name == "gemm" else 9000)
            event = {"kind": "kernel", "name": name, "device": "0", "stream": 7, "start_ns": start}
            rows["gpu"].append(event | {"dur_ns": free - start, "correlation": number})
            now = begin + 9000
        event = {"kind": "memcpy", "name": "Memcpy DtoD (Device -> Device)", "device": "0", "stream": 9}
        rows["gpu"].append(event | {"start_ns": free, "dur_ns": copy_ns, "bytes": copy_bytes})
    return Trace(
        format="kineto",
        source="floor",
        gpu=pl.DataFrame(rows["gpu"], schema=GPU_EVENTS),
        calls=pl.DataFrame(rows["calls"], schema=HOST_CALLS),
        ranges=empty(RANGES),
        ops=pl.DataFrame(rows["ops"], schema=CPU_OPS),
        overheads=empty(OVERHEADS),
        events=0,
    )


def _first(trace: Trace, **how: Any) -> Chain:
    return chains(trace, **how).chains[0]


def test_first_input_and_last_output_over_the_fastest_copy() -> None:
    moved = BYTES + 2 * BYTES  # one input of the product; the concatenation of two
    chain = _first(_trace(OPS))
    assert chain.names == ("aten::mul", "aten::add", "aten::cat")
    assert chain.floor_ns == round(moved / (2 * (1 << 26) / 32_000))
    assert chain.floor_reason is None


def test_short_copies_do_not_make_the_floor_too_high() -> None:
    """A copy of 1 MiB is mostly its own start: it shows a fourth of the bandwidth, the floor would be four times."""
    trace = _trace(OPS)
    short = trace.gpu.filter(pl.col("kind") == "memcpy").with_columns(bytes=pl.lit(1 << 20), dur_ns=pl.lit(4000))
    mixed = replace(trace, gpu=pl.concat([trace.gpu, short.cast(trace.gpu.schema)]))
    assert _first(mixed).floor_ns == _first(trace).floor_ns
    fast = short.with_columns(dur_ns=pl.lit(100)).cast(trace.gpu.schema)  # no copy: a clock that slipped
    assert _first(replace(trace, gpu=pl.concat([trace.gpu, fast]))).floor_ns == _first(trace).floor_ns


def test_the_bandwidth_says_where_it_is_from() -> None:
    (speed,) = chains(_trace(OPS)).bandwidths.values()
    assert (speed.bytes_a_ns, speed.source) == (4194.304, "the fastest copy within the device of 1 MiB or more")
    (given,) = chains(_trace(OPS), bytes_a_ns=4800.0).bandwidths.values()
    assert (given.bytes_a_ns, given.source) == (4800.0, "given")


def test_a_given_bandwidth_comes_before_the_copies() -> None:
    assert _first(_trace(OPS), bytes_a_ns=1000.0).floor_ns == round(3 * BYTES / 1000)


def test_the_floor_is_never_more_than_inputs_and_outputs_of_all_operators() -> None:
    whole = sum(BYTES * (3 if name != "aten::cat" else 4) for name, _, _ in OPS)
    floor = _first(_trace(OPS), bytes_a_ns=1.0).floor_ns
    assert floor is not None
    assert 0 < floor <= whole


def test_a_copy_reads_its_source_and_writes_its_target() -> None:
    cast: Op = ("aten::copy_", [[*SHAPE], [*SHAPE], []], ["float", BF16, ""])
    assert _first(_trace([cast, OPS[1], cast]), bytes_a_ns=1.0).floor_ns == BYTES + 2 * BYTES


def _floor(ops: list[Op]) -> int | None:
    return _first(_trace(ops), bytes_a_ns=1.0).floor_ns


FLOAT = "float"
TABLE: Op = ("aten::index", [[8192, 64], [[4096]]], [FLOAT, "TensorList"])
CAST: Op = ("aten::copy_", [[4096, 1, 64], [4096, 1, 64], []], [BF16, FLOAT, ""])
TURN: Op = ("aten::mul", [[4096, 16, 64], [4096, 1, 64]], [BF16, BF16])


def test_what_is_larger_than_all_that_was_made_of_its_type_enters() -> None:
    """A gathered table may have any size, in fp32; the heads in bf16 are larger than the table's cast."""
    heads = 4096 * 16 * 64 * 2
    assert _floor([TABLE, CAST, TURN]) == heads + heads  # in, and the product out
    assert _floor([TABLE, TURN, TURN]) == heads + heads  # each product could read the one before
    as_float: Op = (TURN[0], TURN[1], [FLOAT, FLOAT])
    assert _floor([TABLE, CAST, as_float]) == 2 * heads  # the gather may have made it; out, in fp32


def _turned(heads: int) -> list[Op]:
    half, row = [973, heads, 64], [973, 1, 64]
    product: Op = ("aten::mul", [half, row], [BF16, BF16])
    cast: Op = ("aten::copy_", [row, row, []], [BF16, FLOAT, "Scalar"])
    both: list[Op] = [(name, [half, half, []], [BF16, BF16, "Scalar"]) for name in ("aten::sub", "aten::add")]
    stack: Op = ("aten::cat", [[[*half, 1], [*half, 1]], []], ["TensorList", "Scalar"])
    whole: Op = ("aten::cat", [[[973, heads, 128], [973, heads, 0]], []], ["TensorList", "Scalar"])
    return [cast, cast, product, product, both[0], product, product, both[1], stack, whole]


def test_of_the_rotary_embedding_half_of_q_in_and_k_out_are_certain() -> None:
    """The eager chain at 28B and 973 tokens, as docs/chains.md has it: 29 % of what a fused kernel moves."""
    table: Op = ("aten::index", [[131072, 128], [[3, 973]]], [FLOAT, "TensorList"])
    axes: list[Op] = [("aten::cat", [[[973, 44, 1], [973, 44, 1]], []], ["TensorList", "Scalar"])] * 2
    floor_ns = _floor([table, *axes, *_turned(20), *_turned(4)])
    assert floor_ns == 2 * 973 * (20 * 64 + 4 * 128)
    assert round(100 * floor_ns / (2 * 2 * 973 * 24 * 128)) == 29


def test_tensors_of_two_types_both_enter_and_of_one_type_the_largest() -> None:
    mixed: Op = ("aten::mul", [[4096, 64], [4096, 64]], [BF16, FLOAT])
    assert _floor([mixed, OPS[1]]) == 4096 * 64 * (2 + 4) + BYTES + BYTES - 4096 * 64 * 2


def test_a_fill_reads_nothing() -> None:
    fill: Op = ("aten::fill_", [[*SHAPE], []], [BF16, "Scalar"])
    assert _floor([fill, OPS[1]]) == BYTES
    assert _floor([OPS[0], fill]) == BYTES + BYTES


@st.composite
def _flows(draw: st.DrawFn) -> tuple[list[Op], int]:
    """Operators on tensors with an identity, slices among them; the bytes that really enter, and the last output.

    The type of what a concatenation joins is not told: it is one that the chain tells elsewhere.
    """
    item = {BF16: 2, FLOAT: 4}
    outside = [(i, draw(st.sampled_from([BF16, FLOAT])), draw(st.integers(1, 64))) for i in range(4)]
    tensors, read, ops, written = list(outside), dict.fromkeys(range(4), 0), list[Op](), 0
    for number in range(4, 4 + draw(st.integers(2, 6))):
        what = draw(st.sampled_from(["mul", "copy_", "cat", "index", "fill_", "sum"]))
        one, kind, size = draw(st.sampled_from(tensors))
        size = draw(st.integers(1, size))
        like = [t for t in tensors if t[2] >= size and (what == "mul" or t[1] == kind)]
        two, other, _ = draw(st.sampled_from(like))
        reads, out = {one, two}, (kind if kind == other else FLOAT, size)
        dims, types = [[size], [size]], [kind, other]
        if what == "copy_":
            into = draw(st.sampled_from([BF16, FLOAT]))
            reads, out, types = {one}, (into, size), [into, kind]
        elif what == "cat":
            dims, types, out = [[[size], [size]], []], ["TensorList", "Scalar"], (kind, 2 * size)
        elif what == "index":
            out = (kind, draw(st.integers(1, 200)))
            reads, dims, types = set(), [[size], [[out[1]]]], [kind, "TensorList"]
        elif what in ("fill_", "sum"):
            reads, dims, types = set(), [[size], []], [kind, "Scalar"]
            out = (kind, size if what == "fill_" else 1)
        for tensor in reads & read.keys():
            read[tensor] = max(read[tensor], size)
        ops.append((f"aten::{what}", dims, types))
        tensors.append((number, *out))
        written = out[1] * item[out[0]]
    told = {kind for _, _, types in ops for kind in types}
    assume(
        all(kind in told for (name, _, _), (_, kind, _) in zip(ops, tensors[4:], strict=True) if name == "aten::cat")
    )
    entered = sum(read[number] * item[kind] for number, kind, _ in outside)
    return ops, entered + written


@settings(max_examples=150)
@given(_flows())
def test_the_floor_is_never_above_what_really_enters_and_leaves(flow: tuple[list[Op], int]) -> None:
    ops, moved = flow
    shapes = Shapes(_trace(ops, calls=1).ops)
    trace = _trace(ops, calls=1)
    events = device_events(trace, launched_events(trace))
    found = floor(shapes, events, np.zeros(1, np.int64), len(ops), Bandwidth(bytes_a_ns=1.0, source="given"))
    assert (found.ns or 0) <= moved


@pytest.mark.parametrize(
    ("ops", "how", "reason"),
    [
        ([(name, [], []) for name, _, _ in OPS], {}, "neither"),
        ([("aten::index", [[*SHAPE], []], [BF16, ""]), OPS[1], ("aten::sum", [[*SHAPE]], [BF16])], {}, "neither"),
        (OPS, {"copy_bytes": 4096}, "(none): give --bandwidth"),
        (OPS, {"copy_bytes": 1 << 23, "copy_ns": 4000}, "the 8 of them last under 20 µs, too short): give --bandwidth"),
    ],
)
def test_without_evidence_there_is_a_reason_and_no_floor(ops: list[Op], how: dict[str, int], reason: str) -> None:
    chain = _first(_trace(ops, **how))
    assert chain.floor_ns is None
    assert chain.floor_reason is not None
    assert reason in chain.floor_reason


def test_a_trace_without_shapes_says_how_to_record_them() -> None:
    trace = _trace(OPS)
    bare = replace(trace, ops=trace.ops.with_columns(input_dims=pl.lit(None, dtype=pl.String)))
    chain = _first(bare)
    assert chain.floor_ns is None
    assert "record_shapes=True" in str(chain.floor_reason)


def test_more_bandwidth_lowers_the_floor_and_raises_the_upper_end() -> None:
    slow, fast = (_first(_trace(OPS), bytes_a_ns=rate) for rate in (1000.0, 4000.0))
    assert slow.floor_ns is not None and fast.floor_ns is not None
    assert slow.saving is not None and fast.saving is not None
    assert fast.floor_ns < slow.floor_ns
    assert fast.saving.hi_ns >= slow.saving.hi_ns
    assert fast.saving.lo_ns >= slow.saving.lo_ns
