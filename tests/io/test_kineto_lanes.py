"""Overlapping kernels get lanes: nothing overlaps on a thread afterwards, nothing else changes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rope_prof.io.kineto.lanes import laned


def kernel(start: float, dur: float, correlation: int = 1, stream: int = 7, cat: str = "kernel") -> dict[str, Any]:
    return {
        "ph": "X",
        "cat": cat,
        "name": f"k{correlation}",
        "pid": 0,
        "tid": stream,
        "ts": start,
        "dur": dur,
        "args": {"stream": stream, "correlation": correlation},
    }


def arrow(end: float, correlation: int) -> dict[str, Any]:
    return {"ph": "f", "id": correlation, "pid": 0, "tid": 7, "ts": end, "cat": "ac2g", "name": "ac2g", "bp": "e"}


def through(*events: dict[str, Any]) -> list[dict[str, Any]]:
    return list(json.loads(laned(json.dumps(events).encode())))


def clash(events: list[dict[str, Any]]) -> bool:
    """Whether two spans of one thread overlap without one holding the other."""
    spans = [(e["pid"], e["tid"], e["ts"], e["ts"] + e["dur"]) for e in events if e["ph"] == "X"]
    return any(a[:2] == b[:2] and a[2] < b[2] < a[3] < b[3] for a in spans for b in spans)


def test_spans_that_do_not_overlap_keep_every_byte() -> None:
    span = b'{"ph":"X","cat":"kernel","pid":0,"tid":7,"ts":%b}'
    events = b"[" + span % b'1.250,"dur":2.000' + b",   " + span % b'3.250,"dur":1' + b"]"
    assert laned(events) == events


def test_an_overlapping_kernel_moves_with_its_arrow_and_keeps_its_stream() -> None:
    out = through(kernel(0, 10, 1), kernel(8, 10, 2), kernel(18, 2, 3), arrow(0, 1), arrow(8, 2))
    assert [e["tid"] for e in out[:5]] == [7, 1_000_007, 7, 7, 1_000_007]
    assert all(e["args"]["stream"] == 7 for e in out[:3])
    assert [e["args"] for e in out[5:]] == [{"name": "stream 7 overlap 1"}, {"sort_index": 7}]


def test_kernels_of_one_graph_launch_keep_their_own_arrows() -> None:
    """They share the correlation of the launch; only the arrow that ends at the moved kernel moves."""
    events = through(kernel(0, 10), kernel(5, 10), kernel(20, 4), arrow(0, 1), arrow(5, 1), arrow(20, 1))
    moved = {event["ts"]: event["tid"] for event in events if event["ph"] == "X"}
    assert moved[5] != moved[0] == moved[20]
    assert {event["ts"]: event["tid"] for event in events if event["ph"] == "f"} == moved


def test_a_range_takes_its_kernel_along() -> None:
    out = through(
        kernel(0, 12, 1, cat="gpu_user_annotation"),
        kernel(1, 10, 1),
        kernel(7, 12, 2, cat="gpu_user_annotation"),
        kernel(8, 10, 2),
    )
    assert [e["tid"] for e in out[:4]] == [7, 7, 1_000_007, 1_000_007]


def test_spans_of_the_host_stay() -> None:
    out = through(kernel(0, 10, cat="cpu_op"), kernel(5, 10, cat="cpu_op"))
    assert [e["tid"] for e in out] == [7, 7]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30), st.integers(7, 8)), max_size=25))
def test_after_it_no_thread_holds_a_clash_and_no_span_is_lost(spans: list[tuple[int, int, int]]) -> None:
    events = [kernel(start, dur, n, stream) for n, (start, dur, stream) in enumerate(spans)]
    out = through(*events)
    assert not clash(out)
    kept = [e for e in out if e["ph"] == "X"]
    assert [(e["ts"], e["dur"], e["args"]) for e in kept] == [(e["ts"], e["dur"], e["args"]) for e in events]
    assert {e["tid"] % 1_000_000 for e in kept} <= {7, 8}
