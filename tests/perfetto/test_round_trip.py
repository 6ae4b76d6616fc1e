"""`analyze X` is `analyze (export X --to perfetto)`: each total, cause, range, link, finding of each shipped trace."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.analysis.trace.launches import launched
from rope_prof.io.trace.read import read_trace
from rope_prof.model.drawn import KEY, DrawnTracks, read_drawn
from rope_prof.model.trace import Finding, Trace
from rope_prof.views.perfetto.export import perfetto_bytes
from rope_prof.views.perfetto.packets import PerfettoWriter
from rope_prof.views.perfetto.sides import TrackSide, draw, own_clock
from tests.builders import graph, kernel, node, op, overhead, range_, trace

ROOT = Path(__file__).resolve().parents[2]
#: Of the three runs that hold many alike every fourth.
MANY = ("h200-ernie28b", "h200-qwen", "h200-mrope-kv")
_TRACES = sorted((*ROOT.glob("traces/*/*.trace.json.gz"), *ROOT.glob("traces/*/*.sqlite")))
SHIPPED = [path for number, path in enumerate(_TRACES) if path.parent.name not in MANY or number % 4 == 0]


def again(drawn: Trace, folder: Path) -> Trace:
    path = folder / "again.pftrace"
    path.write_bytes(perfetto_bytes(drawn, drawn.source))
    return read_trace(path)


def facts_of(path: Path) -> str:
    packets = protos.Trace.FromString(path.read_bytes()).packet
    return next(item.string_value for one in packets for item in one.chrome_events.metadata if item.name == KEY)


def said(one: Trace) -> dict[str, object]:
    return analyze(one).as_json() | {"format": "", "chains": None}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_shipped_trace_is_the_same_after_drawing(path: Path, tmp_path: Path) -> None:
    first = read_trace(path)
    second = again(first, tmp_path)
    assert said(second) == said(first)
    assert second.own == first.own


#: Everything that a trace can hold, odd durations and missing ends included.
ODD = trace(
    kernel(100, 200, launched=(10, 20), process=3, grid="8x1x1", block="128x1x1", registers=32, shared_bytes=64),
    kernel(150, 260, stream=9, launched=(30, 40), collective="allreduce", group="tp", external=12),
    kernel(300, 300, device="1", stream=None),
    kernel(400, 390, device="1", kind="memcpy", name="Memcpy DtoH (Device -> Pageable)", bytes=512),
    graph((500, 510), (600, 610), (620, 640), correlation=7, graph=3, graph_node=11),
    range_("step", 0, 900, kind="record_function"),
    range_("never ends", 50, None, kind="nvtx", domain="D", payload=-4),
    op("aten::mul", 5, 60, external=12, sequence=4, input_dims="[[2, 3], []]", input_types='["c10::BFloat16", ""]'),
    op("MulBackward0", 70, 90, thread=2, sequence=4, forward_thread=1),
    overhead(700, 720, process=3),
    node(612, 618, correlation=7),
    node(641, 641, kind="event_node", name="EventRecord", correlation=7),
    window_end=True,
    window_end_ns=1_000,
    base_time_ns=5,
    device_names={"0": "NVIDIA H200"},
    metadata={"deviceProperties": [{"id": 0, "computeMajor": 9}], "host": "not carried"},
    findings=(Finding(code="coarse_clock", detail="whole microseconds"),),
)


@pytest.mark.parametrize("frame", ["gpu", "nodes", "calls", "ranges", "ops", "overheads"])
def test_every_column_of_every_frame_comes_back(frame: str, tmp_path: Path) -> None:
    before, after = getattr(ODD, frame), getattr(again(ODD, tmp_path), frame)
    order = [name for name in before.columns if before[name].dtype != pl.Null]
    assert after.sort(order, nulls_last=True).equals(before.sort(order, nulls_last=True))


def test_facts_come_back_and_what_no_analysis_asks_for_does_not(tmp_path: Path) -> None:
    back = again(ODD, tmp_path)
    for fact in ("events", "findings", "window_end", "window_end_ns", "base_time_ns", "device_names", "own"):
        assert getattr(back, fact) == getattr(ODD, fact), fact
    assert back.metadata["deviceProperties"] == ODD.metadata["deviceProperties"]
    assert "host" not in back.metadata and back.metadata["drawn_from"] == ODD.format
    assert said(back) == said(ODD)


def test_times_before_zero_come_back(tmp_path: Path) -> None:
    early = trace(kernel(-500, -400, launched=(-600, -590)), kernel(0, 10))
    assert again(early, tmp_path).gpu["start_ns"].to_list() == [-500, 0]


def test_ranks_drawn_together_are_devices_and_processes_of_their_own(tmp_path: Path) -> None:
    """Both ranks use device 0 and the same correlation; neither is linked to the other's launch."""
    writer, drawn = PerfettoWriter(), DrawnTracks()
    for rank, late in ((0, 0), (1, 1_000)):
        one = trace(kernel(100 + late, 200 + late, correlation=5, launched=(10 + late, 20 + late)))
        draw(writer, writer.group(f"rank {rank}"), TrackSide(f"rank {rank}", one), own_clock(one), rank + 1, drawn)
    writer.metadata({KEY: drawn.as_text()})
    path = tmp_path / "ranks.pftrace"
    path.write_bytes(writer.data())
    found = read_trace(path)
    assert sorted(found.gpu["device"].unique()) == ["rank 0 · 0", "rank 1 · 0"]
    assert launched(found).select("start_ns", "launch_start_ns").sort("start_ns").rows() == [(100, 10), (1100, 1010)]


def test_a_damaged_word_about_the_tracks_is_no_word(tmp_path: Path) -> None:
    """The file is read as anybody's then: by its categories."""
    assert read_drawn('{"version": 99}') is None and read_drawn("[1") is None
    text = perfetto_bytes(ODD, "x").replace(b'"version": 1,', b'"version": 9,')
    path = tmp_path / "other.pftrace"
    path.write_bytes(text)
    assert read_trace(path).gpu.height == ODD.gpu.height


def test_streams_that_a_viewer_merges_by_their_numbers_are_tracks_of_their_own(tmp_path: Path) -> None:
    """Stream 1 of device 0 and thread 1 of process 0: one row in a viewer of the JSON, two tracks of ours."""
    mine = kernel(100, 200, stream=1, device="0", launched=(10, 20), process=0, thread=1)
    drawn = trace(mine, kernel(300, 400, stream=0))
    back = again(drawn, tmp_path)
    assert sorted(back.gpu.select("device", "stream").rows()) == [("0", 0), ("0", 1)]
    assert back.calls.select("process", "thread").rows() == [(0, 1)]
    text = read_drawn(facts_of(tmp_path / "again.pftrace"))
    assert text is not None and len(text.tracks) == 3


@pytest.mark.parametrize(
    ("sound", "forged"),
    [
        ('"label": "one"', '"label": 5'),
        ('"shift_ns": 0', '"shift_ns": 1e400'),
        ('"shift_ns": 0', '"shift_ns": 99999999999999999999'),
        ('"label": "one", ', ""),
        ('"gpu", "0"', '"gpu", "\\ud800"'),
        ('"gpu", "0"', '"elsewhere", "0"'),
        ('"findings": []', '"findings": [{"code": []}]'),
        ('"device_names": {}', '"device_names": []'),
    ],
)
def test_a_text_that_no_drawing_of_ours_carries_is_not_believed(sound: str, forged: str) -> None:
    drawn = DrawnTracks()
    drawn.begin("one", trace(kernel(0, 5)), 0)
    drawn.track(7, "gpu", device="0")
    text = drawn.as_text()
    assert read_drawn(text) is not None
    assert sound in text
    assert read_drawn(text.replace(sound, forged)) is None
