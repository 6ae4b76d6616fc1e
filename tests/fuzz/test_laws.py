"""Traces drawn from the schema keep the laws: time closes, causes add up, row order is nothing, files carry all.

`ROPE_PROF_FUZZ=50` tries fifty times as many.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rope_prof.analysis.chains.chains import chains
from rope_prof.analysis.trace.analyze import analyze, gap_table
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import CPU_OPS, GPU_EVENTS, HOST_CALLS, OVERHEADS, RANGES, Trace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.builders import kineto_json

MORE = int(os.environ.get("ROPE_PROF_FUZZ", "1"))
quick = settings(
    max_examples=40 * MORE,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

START = st.integers(0, 400)
FAR = st.integers(10**15, 10**15 + 300)
LENGTH = st.integers(-4, 60)  # a negative duration takes no time
THREAD = st.integers(1, 2)
NUMBER = st.integers(1, 12)
NAMES = st.sampled_from(["mul", "gemm", "Memcpy DtoH (Device -> Pinned)", 'µ "quoted" \\ \n', ""])
CALLS = st.sampled_from(["cudaLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch", "cudaStreamSynchronize"])


def _rows(fields: dict[str, Any], size: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries(fields), max_size=size)


def _traces(start: st.SearchStrategy[int]) -> st.SearchStrategy[Trace]:
    span = {"start_ns": start, "dur_ns": LENGTH}
    host = {"process": st.just(9), "thread": THREAD}
    kinds = {"kind": st.sampled_from(["kernel", "memcpy", "memset"]), "name": NAMES}
    where = {"device": st.sampled_from("01"), "stream": st.integers(7, 9), "correlation": NUMBER}
    parts = {
        "gpu": _rows(kinds | where | span, 25),
        "calls": _rows({"name": CALLS, "api": st.just("runtime"), "correlation": NUMBER} | host | span, 15),
        "ranges": _rows({"name": NAMES, "kind": st.just("record_function")} | host | span, 5),
        "ops": _rows({"name": NAMES, "external": NUMBER} | host | span, 5),
        "overheads": _rows({"name": st.just("Buffer Flush"), "process": st.just(-1), "thread": st.just(0)} | span, 3),
    }
    return st.fixed_dictionaries(parts).map(_trace)


SCHEMAS = {"gpu": GPU_EVENTS, "calls": HOST_CALLS, "ranges": RANGES, "ops": CPU_OPS, "overheads": OVERHEADS}


def _trace(rows: dict[str, list[dict[str, Any]]]) -> Trace:
    frames = {
        name: pl.DataFrame([{column: row.get(column) for column in schema} for row in rows[name]], schema=schema)
        for name, schema in SCHEMAS.items()
    }
    count = sum(map(len, rows.values()))
    return Trace(format="kineto", source="fuzz", events=count, window_end=True, **frames)


TRACES = st.one_of(_traces(START), _traces(FAR), _traces(st.one_of(START, FAR)))


def _union(spans: list[tuple[int, int]]) -> int:
    """The plainest way there is: the length of a union of spans."""
    busy, edge = 0, -(10**18)
    for start, end in sorted(spans):
        busy += max(0, end - max(start, edge))
        edge = max(edge, end)
    return busy


@quick
@given(TRACES)
def test_time_closes_on_every_device_and_stream(trace: Trace) -> None:
    answer = analyze(trace)
    assert (answer.integrity.verdict == "unusable") == (not trace.gpu.height)
    assert [use.device for use in answer.devices] == sorted(trace.gpu["device"].unique())
    for use in answer.devices:
        rows = trace.gpu.filter(pl.col("device") == use.device)
        spans = [(a, a + max(b, 0)) for a, b in rows.select("start_ns", "dur_ns").iter_rows()]
        assert use.busy_ns == _union(spans)
        assert use.span_ns == max(end for _, end in spans) - min(start for start, _ in spans)
        assert use.idle_ns == use.span_ns - use.busy_ns
        assert use.idle_by_cause_ns is not None
        assert sum(use.idle_by_cause_ns.values()) == use.idle_ns
        assert min(use.idle_by_cause_ns.values(), default=0) >= 0
        assert sum(stream.events for stream in use.streams) == rows.height
        for stream in use.streams:
            assert stream.busy_ns + sum(stream.idle_by_cause_ns.values()) == use.span_ns
    assert answer.links.linked + answer.links.unlinked == trace.gpu.height


@quick
@given(TRACES)
def test_the_gap_table_is_the_idle_time(trace: Trace) -> None:
    idle = sum(use.idle_ns or 0 for use in analyze(trace).devices)
    assert (gap_table(trace)["dur_ns"].sum() if trace.gpu.height else 0) == idle


@quick
@given(TRACES, st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(trace: Trace, random: Any) -> None:
    def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
        order = list(range(frame.height))
        random.shuffle(order)
        return frame[order]

    other = replace(trace, **{name: shuffled(getattr(trace, name)) for name in SCHEMAS})
    assert analyze(other) == analyze(trace)


@quick
@given(TRACES)
def test_savings_lie_within_the_span(trace: Trace) -> None:
    spans = {use.device: use.span_ns for use in analyze(trace).devices}
    for chain in chains(trace).chains:
        assert chain.saving is not None
        assert 0 <= chain.saving.lo_ns <= chain.saving.hi_ns <= (spans[chain.device] or 0)
        assert chain.busy_ns <= chain.kernel_ns
        assert 0 <= chain.launch_bound_ns <= chain.bubble_ns


def _plain(trace: Trace) -> dict[str, list[dict[str, Any]]]:
    """The frames as a Kineto file can carry them."""
    kept = {name: getattr(trace, name).rows(named=True) for name in SCHEMAS}
    for row in kept["overheads"]:
        row["process"] = row["thread"] = None
    return kept


@quick
@given(trace=TRACES)
def test_a_kineto_file_carries_the_model(trace: Trace, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    file.write_bytes(kineto_json(trace))
    back = read_trace(file)
    expected, got = _plain(trace), _plain(back)
    assert got == expected
    assert analyze(back).devices == analyze(trace).devices
