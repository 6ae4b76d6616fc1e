"""The tables of Nsight: both tools side by side, counters, and what a reader must know."""

from __future__ import annotations

from rope_prof.model.nsight import Agreement, Compute, KernelCounters, LeastBytes, Nsight, Systems, ToolRecording
from rope_prof.views.blocks.counters import nsight_tables
from rope_prof.views.words.counters import nsight_notes
from tests.on_terminal import on_terminal

KEY = "my.own@f.eager.cold.28b-tp1-n973-bf16-image.r0"
LOST = "fused.eager.cold.28b-tp1-n973-bf16-image.r0"
SYSTEMS = Systems(
    recording=ToolRecording(
        version="2025.3.1", options=(), reports=("systems.nsys-rep",), private=("host", "processes")
    ),
    keys=(
        Agreement(
            key=KEY,
            calls=28,
            kernels_per_call=25.0,
            kineto_kernels_per_call=24.0,
            kernel_ns=70_832,
            kineto_kernel_ns=70_000,
            difference=0.0119,
            agrees=False,
        ),
        Agreement(key=LOST, reason="nsys saw no kernel in its 2 ranges"),
    ),
)
KERNEL = KernelCounters(
    key=KEY,
    name="k",
    registers=64,
    duration_ns=5568,
    l2_bytes=3 << 20,
    stalls={"long_scoreboard": 3.0, "selected": 1.0},
)
COMPUTE = Compute(
    recording=ToolRecording(version="2025.3.1", options=(), reports=("compute.fused.ncu-rep",)),
    kernels=(KERNEL,),
    least=(LeastBytes(key=KEY, least_bytes=1 << 20, kineto_kernels_per_call=2.0),),
)


def text(found: Nsight) -> str:
    return on_terminal(nsight_tables(found), 140)


def test_agreement_side_by_side() -> None:
    row = next(line for line in text(Nsight(systems=SYSTEMS)).splitlines() if "my.own@f eager" in line)
    assert row.split() == [
        "my.own@f",
        "eager",
        "28b-tp1-n973-bf16-image",
        "28",
        "25",
        "24",
        "70.8",
        "70.0",
        "+1.2%",
        "NO",
    ]


def test_counters_beside_the_least_bytes() -> None:
    shown = text(Nsight(compute=COMPUTE)).splitlines()
    rows = [line.split() for line in shown if "my.own@f eager" in line]
    assert rows[0] == ["my.own@f", "eager", "1", "5.57", "1.00", "–", "3.00", "3.00x", "–", "–", "–", "–", "–", "64"]
    assert rows[1] == ["my.own@f", "eager", "long_scoreboard", "75%", "–", "–"]


def test_what_a_reader_must_know() -> None:
    lines = nsight_notes(Nsight(systems=SYSTEMS, compute=COMPUTE))
    assert any("systems.nsys-rep" in line and "(host, processes)" in line for line in lines)
    assert "fused eager: nsys saw no kernel in its 2 ranges" in lines
    assert "my.own@f eager: ncu counted 1 kernels, a captured call has 2" in lines
    failed = Nsight(compute=Compute(recording=ToolRecording(version="2025.3.1", options=(), reason="ncu may not read")))
    assert nsight_notes(failed) == ["ncu: ncu may not read"] and nsight_tables(failed) == []
