"""Laws of the byte floor: never more than the kernel must move, known only where shapes and bandwidth are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from rope_prof.analysis.chains import Chain, chains
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
