"""What `export --to perfetto` writes, asked back in the real Perfetto engine by SQL, against our own analysis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.analysis.trace.gaps import device_gaps
from rope_prof.analysis.trace.launches import launched
from rope_prof.io.run.folder import read_run
from rope_prof.io.trace.read import read_trace
from rope_prof.model.run import Key
from rope_prof.model.trace import Trace
from rope_prof.opened.pictures import draw_run
from rope_prof.opened.run import OpenedRun
from rope_prof.views.perfetto.colours import cause_colour
from rope_prof.views.perfetto.export import perfetto_bytes, run_trace
from rope_prof.views.words.causes import CAUSE_WORDS, cause_name
from tests import runs
from tests.builders import call, graph, kernel, overhead, range_, sync, trace

if TYPE_CHECKING:
    from conftest import PerfettoSql

pytestmark = pytest.mark.browser

Write = Callable[[bytes], Path]

GPU = ("kernel", "memcpy", "memset", "graph")
ERRORS = "select name, value from stats where value > 0 and severity in ('error', 'data_loss')"


def totals(found: Trace) -> dict[str, tuple[int, int]]:
    """kind -> (events, ns) of the GPU events."""
    rows = found.gpu.group_by("kind").agg(pl.len(), pl.col("dur_ns").sum())
    return {kind: (n, ns) for kind, n, ns in rows.iter_rows()}


def bubbles(found: Trace) -> dict[str, int]:
    """A cause in words -> ns over all devices, by the analysis."""
    out: dict[str, int] = {}
    for device in found.gpu["device"].unique():
        for cause, ns in device_gaps(found, device).group_by("cause").agg(pl.col("dur_ns").sum()).iter_rows():
            out[cause_name(cause)] = out.get(cause_name(cause), 0) + ns
    return out


def summed(*many: dict[str, int]) -> dict[str, int]:
    return {name: sum(one.get(name, 0) for one in many) for name in {n for one in many for n in one}}


def links(found: Trace) -> int:
    return launched(found)["launch_start_ns"].count()


def read_back(sql: PerfettoSql, path: Path) -> dict[str, tuple[int, int]]:
    rows = sql(path, "select category, count() as n, sum(dur) as ns from slice group by 1")
    return {row["category"]: (row["n"], row["ns"]) for row in rows}


def check(sql: PerfettoSql, path: Path, *traces: Trace) -> None:
    """Everything that a file of `traces` must say: counts, times, bubbles by cause, arrows, no import error."""
    assert sql(path, ERRORS) == []
    back = read_back(sql, path)
    wanted = [totals(one) for one in traces]
    for kind in GPU:
        expected = tuple(sum(one.get(kind, (0, 0))[k] for one in wanted) for k in (0, 1))
        assert back.get(kind, (0, 0)) == expected, kind
    assert back.get("host_call", (0, 0))[0] == sum(one.calls.height for one in traces)
    assert back.get("range", (0, 0))[0] == sum(one.ranges.height for one in traces)
    causes = sql(path, "select name, sum(dur) as ns from slice where category = 'bubble' group by 1")
    assert {row["name"]: row["ns"] for row in causes} == summed(*(bubbles(one) for one in traces))
    (arrows,) = sql(
        path,
        "select count(distinct event.id) as n from flow"
        " join slice a on a.id = slice_out join slice b on b.id = slice_in join slice event on event.id in (a.id, b.id)"
        " where event.category != 'host_call' and a.category != b.category and 'host_call' in (a.category, b.category)",
    )
    assert arrows["n"] == sum(links(one) for one in traces)


@pytest.fixture
def write(tmp_path: Path, request: pytest.FixtureRequest) -> Write:
    """`write(bytes) -> path` under the test's own name: the UI tells a new trace from the last by its name."""

    def put(data: bytes) -> Path:
        path = tmp_path / f"{request.node.name}.pftrace"
        path.write_bytes(data)
        return path

    return put


def test_every_cause_arrives_with_its_name_colour_and_arguments(perfetto_sql: PerfettoSql, write: Write) -> None:
    drawn = trace(
        range_("step", 0, 900),
        kernel(100, 200, launched=(0, 10), correlation=1),
        kernel(260, 300, launched=(240, 250), correlation=2),  # host_late, launch
        sync(300, 380),
        kernel(400, 450, launched=(390, 395), correlation=3),  # sync, host_late, launch
        kernel(470, 500, launched=(20, 30), correlation=4),  # queued
        overhead(505, 515),
        kernel(540, 560, launched=(520, 525), correlation=5),  # profiler
        graph((530, 535), (580, 600), (610, 640)),  # in_graph
        kernel(700, 720),  # unknown: no launch
        kernel(720, 730, kind="memcpy", launched=(40, 50), correlation=7, bytes=64),
    )
    path = write(perfetto_bytes(drawn, "drawn"))
    check(perfetto_sql, path, drawn)
    assert {"host late", "launch", "sync", "queued", "profiler", "in graph", "unknown"} <= set(bubbles(drawn))
    rows = perfetto_sql(
        path,
        "select s.name, s.dur, extract_arg(arg_set_id, 'debug.µs') as us, extract_arg(arg_set_id,"
        " \"debug.share of the device's span\") as share, extract_arg(arg_set_id, 'correlation_id') as colour,"
        " t.name as track from slice s join track t on t.id = s.track_id where category = 'bubble'",
    )
    span = analyze(drawn).devices[0].span_ns
    assert span is not None
    for row in rows:
        assert row["us"] * 1000 == pytest.approx(row["dur"])
        assert row["share"] == pytest.approx(row["dur"] / span)
        assert row["colour"] == {cause_name(cause): cause_colour(cause) for cause in CAUSE_WORDS}[row["name"]]
        assert row["track"] == "drawn · bubbles"


def test_kernels_that_overlap_keep_their_length_in_lanes(perfetto_sql: PerfettoSql, write: Write) -> None:
    """74 pairs on one stream, as programmatic dependent launch leaves them; Chrome JSON loses such kernels."""
    spans = [(1000 * k, 1000 * k + 700) for k in range(74)] + [(1000 * k + 600, 1000 * k + 990) for k in range(74)]
    spans += [(1650, 1660), (500, 40_500)]  # three at once, and one across many
    drawn = trace(*(kernel(*span, name=f"k{n % 5}", correlation=n + 1) for n, span in enumerate(spans)))
    path = write(perfetto_bytes(drawn, "overlaps"))
    check(perfetto_sql, path, drawn)
    back = perfetto_sql(path, "select ts, dur from slice where category = 'kernel' order by ts, dur")
    assert [(row["ts"], row["dur"]) for row in back] == sorted((a, b - a) for a, b in spans)
    tracks = perfetto_sql(path, "select distinct t.name from slice join track t on t.id = track_id where dur > 0")
    assert {row["name"] for row in tracks} >= {"overlaps · stream 7", "overlaps · stream 7 · lane 2"}


def test_odd_times_lose_nothing(perfetto_sql: PerfettoSql, write: Write) -> None:
    """Before zero, of no length, at one instant, a kernel before its launch, a range that never ends, nested calls."""
    drawn = trace(
        range_("open", -500, None),
        range_("inner", -400, -100),
        range_("crosses", -200, 50),
        range_("after", 55, 58),  # without it the end of `crosses` would be the window's
        call("cudaLaunchKernel", -300, -100, correlation=1),
        call("cuLaunchKernel", -250, -150),
        kernel(-90, -90, correlation=1),
        kernel(-90, -50, correlation=2, launched=(-80, -70)),
        kernel(-50, 0, correlation=3, launched=(-60, -55)),
        kernel(0, 0, correlation=4, launched=(-50, -45)),
        kernel(40, 41, stream=8, correlation=5, launched=(-40, -35)),
        kernel(40, 60, device="1", stream=7, correlation=6, launched=(-30, -25)),
    )
    path = write(perfetto_bytes(drawn, "odd"))
    check(perfetto_sql, path, drawn)
    (first,) = perfetto_sql(path, "select ts from slice where name = 'open'")
    assert first["ts"] == 0
    unclosed = perfetto_sql(path, "select name from slice where dur = -1")
    assert [row["name"] for row in unclosed] == ["open"]


def case_traces() -> tuple[dict[str, Trace], list[Key]]:
    """Three calls of two sides: unfused of two kernels and 100 ns a call, fused of one and 30 ns."""
    keys = [runs.key("unfused"), runs.key("fused")]
    slow, fast = keys

    def side(key: Key, period: int, zero: int, kernels: int) -> Trace:
        parts = []
        for k in range(3):
            at = zero + k * period
            parts.append(range_(f"{key.name}#{k}", at - 20, at - 5))
            for n in range(kernels):
                number = 10 * k + n + 1
                launch = (at - 20 + 4 * n, at - 18 + 4 * n)
                parts.append(kernel(at + 40 * n, at + 40 * n + 10, launched=launch, correlation=number))
        return trace(*parts, call("cudaDeviceSynchronize", zero + 3 * period, zero + 3 * period + 5))

    return {slow.name: side(slow, 100, 5000, 2), fast.name: side(fast, 30, 90_000, 1)}, keys


def test_call_k_of_both_sides_starts_at_one_instant(perfetto_sql: PerfettoSql, write: Write) -> None:
    traces, keys = case_traces()
    run = runs.run(*(runs.facts(key.path) for key in keys))
    path = write(run_trace(run, (), traces).data)
    check(perfetto_sql, path, *traces.values())
    rows = perfetto_sql(
        path,
        "select t.name as track, s.name, ts, dur from slice s join track t on t.id = track_id"
        " where category = 'call' order by ts, track",
    )
    zero = rows[0]["ts"]
    assert [(row["track"], row["name"], row["ts"] - zero, row["dur"]) for row in rows] == [
        ("fused eager · calls", "call #0", 0, 30),
        ("unfused eager · calls", "call #0", 0, 100),
        ("fused eager · calls", "call #1", 100, 30),
        ("unfused eager · calls", "call #1", 100, 100),
        ("fused eager · calls", "call #2", 200, 10),
        ("unfused eager · calls", "call #2", 200, 50),
    ]
    kernels = perfetto_sql(path, "select ts from slice where category = 'kernel' order by ts")
    assert [row["ts"] - zero for row in kernels] == [0, 0, 40, 100, 100, 140, 200, 200, 240]
    launches = perfetto_sql(path, "select ts from slice where name = 'cudaLaunchKernel' order by ts limit 3")
    assert [row["ts"] - zero for row in launches] == [-20, -20, -16]


def test_a_replay_of_a_graph_is_cut_into_its_calls(perfetto_sql: PerfettoSql, write: Write) -> None:
    """Two replays of three calls of two kernels: call k of the graph starts with call k of the eager side."""
    key = runs.key("fused", "graph")
    spans = [(100 + 10 * n, 106 + 10 * n) for n in range(6)]
    later = [(start + 500, end + 500) for start, end in spans]
    parts = [
        range_(f"{key.name}#0", 0, 20),
        graph((5, 15), *spans, correlation=1),
        range_(f"{key.name}#1", 400, 420),
        graph((405, 415), *later, correlation=2),
    ]
    drawn = trace(*parts, own={"calls_per_range": 3})
    eager, _ = case_traces()
    slow = next(name for name in eager if "unfused" in name)
    run = runs.run(runs.facts("unfused"), runs.facts("fused", "graph"))
    path = write(run_trace(run, (), {slow: eager[slow], key.name: drawn}).data)
    check(perfetto_sql, path, eager[slow], drawn)
    rows = perfetto_sql(
        path,
        "select s.name, ts, dur, extract_arg(arg_set_id, 'debug.kernels') as kernels from slice s join track t"
        " on t.id = track_id where category = 'call' and t.name like 'fused graph%' order by ts",
    )
    zero = rows[0]["ts"]
    assert [(row["name"], row["ts"] - zero, row["kernels"]) for row in rows[:4]] == [
        ("call #0", 0, 2),
        ("call #1", 100, 2),
        ("call #2", 200, 2),
        ("call #3", 660, 2),  # the longest side of call 2 has the pause before the next replay
    ]
    assert [row["dur"] for row in rows] == [20, 20, 16, 20, 20, 16], (
        "a replay's last call has no period, as on every page"
    )
    said = perfetto_sql(path, "select name from slice where category = 'range' and name glob 'replay*' order by ts")
    assert [row["name"] for row in said] == ["replay #0", "replay #1"]
    assert set(read_trace(path).ranges["name"]) == {*eager[slow].ranges["name"], *drawn.ranges["name"]}


def test_counters_say_what_runs_and_what_waits(perfetto_sql: PerfettoSql, write: Write) -> None:
    drawn = trace(
        kernel(10, 20, launched=(0, 2), correlation=1),
        kernel(15, 30, stream=8, launched=(3, 5), correlation=2),
        kernel(40, 50, launched=(6, 8), correlation=3),
    )
    path = write(perfetto_bytes(drawn, "counters"))
    ask = "select ts, cast(value as int) as value from counter c join track t on t.id = c.track_id where t.name = '{}'"
    busy = perfetto_sql(path, ask.format("counters · GPU busy") + " order by ts")
    assert [tuple(row.values()) for row in busy] == [(10, 1), (15, 2), (20, 1), (30, 0), (40, 1), (50, 0)]
    queue = perfetto_sql(path, ask.format("counters · launch queue") + " order by ts")
    assert [tuple(row.values()) for row in queue] == [(0, 1), (3, 2), (6, 3), (10, 2), (15, 1), (40, 0)]


def test_the_shipped_run_on_one_timeline(perfetto_sql: PerfettoSql, repository: Path, write: Write) -> None:
    folder = read_run(repository / "traces/h100-ernie28b")
    paths = [path for facts in folder.run.keys if (path := folder.trace_path(facts.key.name))]
    path = write(draw_run(OpenedRun(folder)).data)
    check(perfetto_sql, path, *(read_trace(one) for one in paths))
    metadata = perfetto_sql(path, "select name, str_value from metadata where name glob 'cr-rope_prof.figures.*'")
    assert len(metadata) == len(folder.run.keys)
    roots = perfetto_sql(path, "select name from track where parent_id is null and name like '%H100%'")
    assert len(roots) == 1
    tracks = perfetto_sql(path, "select name, count() as n from track where name like '%stream%' group by 1")
    assert all(row["n"] == 1 for row in tracks), "a pinned track is known by its name alone"


def test_an_nsys_export_arrives_with_its_bubbles(perfetto_sql: PerfettoSql, real_traces: Path, write: Write) -> None:
    source = real_traces / "h100_2gpu_1s.sqlite"
    if not source.is_file():
        pytest.skip(f"no '{source}'")
    found = read_trace(source)
    check(perfetto_sql, write(perfetto_bytes(found, source.name)), found)
