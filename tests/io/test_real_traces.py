"""Totals of every real trace equal the truth to the nanosecond and to the kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rope_prof.analysis.trace.analyze import Analysis, analyze
from rope_prof.analysis.trace.launches import launched
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace

REAL = Path(__file__).parents[2].parent / "shared/real-traces"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the folder shared/real-traces is not beside this checkout")

TRUTH: dict[str, Any] = json.loads((REAL / "truth.json").read_text()) if REAL.is_dir() else {}
KINETO = [name for name in TRUTH if name.endswith(".gz")]
GPU = [name for name, truth in TRUTH.items() if truth.get("devices")]


@pytest.fixture(scope="module")
def read() -> dict[str, Trace]:
    return {path.name: read_trace(path) for path in REAL.iterdir() if path.suffix in (".gz", ".sqlite")}


@pytest.fixture(scope="module")
def answers(read: dict[str, Trace]) -> dict[str, Analysis]:
    return {name: analyze(trace) for name, trace in read.items()}


@pytest.mark.parametrize("name", KINETO)
def test_kineto_counts(read: dict[str, Trace], name: str) -> None:
    trace, truth = read[name], TRUTH[name]
    kinds = dict(trace.gpu["kind"].value_counts().iter_rows())
    assert trace.events == truth["events"]
    assert {k: kinds.get(k, 0) for k in ("kernel", "memcpy", "memset")} == {
        "kernel": truth["kernels"],
        "memcpy": truth["memcpy"],
        "memset": truth["memset"],
    }
    assert trace.window_end is truth["has_record_window_end"]
    assert not [f for f in trace.findings if f.code == "duplicate_keys"]


@pytest.mark.parametrize("name", GPU)
def test_device_totals(answers: dict[str, Analysis], name: str) -> None:
    truth = TRUTH[name]
    devices = {use.device: use for use in answers[name].devices}
    assert sorted(devices) == sorted(truth["devices"])
    for device, expected in truth["devices"].items():
        use = devices[device]
        assert use.span_ns == expected["span_ns"]
        assert use.busy_ns == expected["busy_ns"]
        assert use.idle_ns == expected["idle_ns"]
        assert use.gaps == expected["gaps"]
        assert use.gap_max_ns == expected["gap_max_ns"]
        assert (use.kernels or 0) + (use.memcpys or 0) + (use.memsets or 0) == expected["gpu_events"]
    assert sum(use.kernel_ns for use in devices.values()) == truth["sum_kernel_ns"]


@pytest.mark.parametrize("name", [name for name in KINETO if name in GPU])
def test_links(answers: dict[str, Analysis], read: dict[str, Trace], name: str) -> None:
    truth = TRUTH[name]
    assert answers[name].links.linked == truth["linked_gpu_events"]
    assert answers[name].links.unlinked == truth["unlinked_gpu_events"]
    kernels = launched(read[name]).filter((pl.col("kind") == "kernel") & pl.col("launch_name").is_not_null())
    assert dict(kernels["launch_name"].value_counts().iter_rows()) == truth["launch_api_of_kernels"]


def test_nsys_joins_on_the_process_too(read: dict[str, Trace]) -> None:
    kernels = launched(read["h100_2gpu_1s.sqlite"]).filter(pl.col("kind") == "kernel")
    assert kernels["launch_name"].count() == TRUTH["h100_2gpu_1s.sqlite"]["kernels_joined_on_corr_and_pid"]
    assert kernels["launch_name"].null_count() == 1810


def test_nsys_with_few_columns(answers: dict[str, Analysis]) -> None:
    (use,) = answers["healthy_1pct.sqlite"].devices
    assert (use.kernels, use.busy_ns, use.gaps) == (400, 400_000_000, 399)
    assert use.name == "NVIDIA H100 80GB HBM3"
    assert answers["healthy_1pct.sqlite"].links.linked == 400


@pytest.mark.parametrize("name", GPU)
def test_the_account_closes(answers: dict[str, Analysis], name: str) -> None:
    for use in answers[name].devices:
        assert use.busy_ns + sum(use.idle_by_cause_ns.values()) == use.span_ns
        for stream in use.streams:
            assert stream.busy_ns + sum(stream.idle_by_cause_ns.values()) == use.span_ns
    for held in answers[name].ranges:
        assert sum(held.idle_by_cause_ns.values()) == held.idle_ns


@pytest.mark.parametrize("name", GPU)
def test_the_order_of_events_does_not_matter(read: dict[str, Trace], answers: dict[str, Analysis], name: str) -> None:
    from dataclasses import replace

    trace = read[name]
    mixed = {f: getattr(trace, f).sample(fraction=1.0, shuffle=True, seed=1) for f in ("gpu", "calls", "ranges", "ops")}
    assert analyze(replace(trace, **mixed)).devices == answers[name].devices


def test_verdicts(answers: dict[str, Analysis]) -> None:
    verdicts = {name[:2]: answer.integrity.verdict for name, answer in answers.items()}
    assert verdicts == {
        "02": "sound",
        "05": "suspect",  # no window end
        "10": "sound",
        "14": "sound",
        "16": "unusable",  # no GPU events
        "17": "sound",
        "h1": "sound",  # launches waited for room in a full queue, which is no overhead of the profiler
        "he": "sound",
    }
    assert answers["16_cpu_only_no_gpu.json.gz"].devices == ()


def test_proton_holds_totals_alone() -> None:
    answer = analyze(read_trace(REAL / "proton_cuda_hatchet.json"))
    assert {use.device: (use.kernels, use.kernel_ns) for use in answer.devices} == {"0": (1, 204800), "1": (10, 204800)}
    assert all(use.busy_ns is None and use.idle_share is None and "totals" in use.reason for use in answer.devices)
    assert [f.code for f in answer.integrity.findings] == ["totals_only"]
