"""Traces of torch's CUPTI monitor, by torch 2.14.1's own writer (`made/torch_monitor.py`): native and JSON."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from rope_prof.analysis.chains.chains import chains
from rope_prof.analysis.trace.analyze import analyze
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace
from tests.io.made.torch_monitor import BASE, PID, STEPS, TID, window

MADE = Path(__file__).parent / "made"
KINDS = {"kernel": "kernel", "gpu_memcpy": "memcpy", "gpu_memset": "memset"}


@pytest.fixture(scope="module")
def native() -> Trace:
    return read_trace(MADE / "monitor.pftrace")


@pytest.fixture(scope="module")
def json() -> Trace:
    return read_trace(MADE / "monitor.json.gz")


def test_the_native_trace_has_every_event_as_the_monitor_gave_it(native: Trace) -> None:
    rows, host = window()
    wanted = {
        (KINDS[kind], start, end - start, corr, graph, node & 0xFFFFFFFF)
        for kind in KINDS
        for start, end, corr, graph, node in zip(
            *(rows[kind][name] for name in ("start_ns", "end_ns", "correlation_id", "graph_id", "graph_node_id")),
            strict=True,
        )
    }
    columns = ("kind", "start_ns", "dur_ns", "correlation", "graph", "graph_node")
    assert set(native.gpu.select(columns).fill_null(0).iter_rows()) == wanted
    assert set(native.gpu["device"]) == {"0"} and set(native.gpu["stream"]) == {7}
    kernels = native.gpu.filter(pl.col("kind") == "kernel")
    assert set(kernels.select("grid", "block", "registers", "shared_bytes").iter_rows()) == {
        ("8x2x1", "128x1x1", 32, 1024)
    }
    assert kernels["name"].to_list() == rows["kernel"]["name"]
    assert native.gpu.filter(pl.col("kind") == "memcpy")["bytes"].to_list() == [4096, 512] * STEPS
    assert native.calls.height == sum(len(rows[kind]["cbid"]) for kind in ("cuda_runtime", "cuda_driver"))
    assert native.ops.height + native.ranges.height == len(host)
    assert set(native.ops.select("process", "thread").iter_rows()) == {(PID, TID)}
    assert native.overheads.select("name", "dur_ns").rows() == [("Lazy Function Loading", 50_000)]
    assert native.base_time_ns == 0


@pytest.mark.parametrize("frame", ["gpu", "nodes", "calls", "ranges", "ops", "overheads"])
def test_both_files_of_one_window_are_one_trace(native: Trace, json: Trace, frame: str) -> None:
    """But for the way of copies and sets, which the native file leaves out, and what each calls its profiler."""
    ours, theirs = getattr(native, frame), getattr(json, frame).with_columns(pl.col("start_ns") + BASE)
    names = [name for name in ours.columns if name not in ("process", "thread") or frame != "overheads"]
    ours, theirs = (one.select(names).sort(names, nulls_last=True) for one in (ours, theirs))
    if frame == "gpu":
        plain = pl.col("name").str.replace(r"^(Memcpy|Memset) .*", "$1")
        ours, theirs = (one.with_columns(plain).sort(names, nulls_last=True) for one in (ours, theirs))
    assert ours.equals(theirs)


def test_a_host_node_is_why_the_next_node_waits(native: Trace) -> None:
    assert analyze(native).devices[0].idle_by_cause_ns["host_node"] > 0


def test_copies_without_a_way_are_said_and_change_no_verdict(native: Trace, json: Trace) -> None:
    found = analyze(native).integrity
    assert found.verdict == "sound" and [one.code for one in found.findings] == ["copies_without_way"]
    assert set(json.gpu.filter(pl.col("kind") == "memcpy")["name"]) == {
        "Memcpy DtoD (Device -> Device)",
        "Memcpy DtoH (Device -> Pinned)",
    }


def test_a_chain_goes_on_over_a_copy_on_the_device_and_ends_at_one_to_the_host(json: Trace) -> None:
    """Cut in two at the copy, its saving was overstated."""
    (chain,) = chains(json).chains
    assert chain.names[2] == "Memcpy DtoD (Device -> Device)" and len(chain.names) == 7
