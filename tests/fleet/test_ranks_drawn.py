"""The ranks as pictures: a heat map, panels, and one Perfetto file on one clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace as Packets

from rope_prof.analysis.analyze import analyze
from rope_prof.analysis.fleet import Recording, common_zero, fleet
from rope_prof.analysis.fleet_rows import row_set
from rope_prof.cli import main
from rope_prof.model.trace import Trace
from rope_prof.views.fleet_figures import heat_figure
from rope_prof.views.fleet_panels import rank_table, summary_panel
from rope_prof.views.palette import DARK, LIGHT
from rope_prof.views.perfetto_ranks import ranks_trace
from tests.fleet.drawn_ranks import ALL_REDUCE, BASE, rank_trace, write_job

OFFSETS = {0: 0, 1: 7_000_000, 2: -40_000, 3: 0}


def job(
    *, collectives: bool = True, based: bool = True, range_name: str = "rope"
) -> tuple[Recording, dict[str, Trace]]:
    """Four ranks on four clocks; rank 2 is late."""
    traces, rows = {}, []
    for rank, offset in OFFSETS.items():
        drawn = replace(
            rank_trace(rank, late={2: 3_000}, range_name=range_name),
            base_time_ns=BASE + offset if based else None,
            metadata={"distributedInfo": {"rank": rank, "world_size": 4}},
        )
        held = row_set(drawn, analyze(drawn), name="t.json")
        traces[str(rank)] = drawn
        rows.append(held.with_columns(source=pl.lit(f"/j/{rank}.json"), folder=pl.lit("/j")))
    whole = pl.concat(rows)
    if not collectives:
        whole = whole.filter(pl.col("row") != "collective")
    (one,) = fleet(whole).recordings
    return one, traces


def begins(data: bytes) -> dict[str, list[tuple[str, int]]]:
    """Track name -> (slice, start) of each, as Perfetto's own classes read them."""
    packets = Packets()
    packets.ParseFromString(data)
    tracks, words, found = {}, {}, {}
    for packet in packets.packet:
        words |= {word.iid: word.name for word in packet.interned_data.event_names}
        if packet.HasField("track_descriptor"):
            tracks[packet.track_descriptor.uuid] = packet.track_descriptor.name
        event = packet.track_event
        if packet.HasField("track_event") and event.type == event.TYPE_SLICE_BEGIN:
            found.setdefault(tracks[event.track_uuid], []).append((words[event.name_iid], packet.timestamp))
    return found


def test_all_ranks_lie_on_one_clock_so_that_collectives_end_together() -> None:
    recording, traces = job()
    found = begins(ranks_trace(recording, traces))
    streams = {name: slices for name, slices in found.items() if "stream" in name}
    assert [name.split(" ·")[0] for name in streams] == [f"rank {rank}" for rank in range(4)]
    work = [[at for name, at in slices if name == "k"] for slices in streams.values()]
    assert all(one == work[0] for one in work)  # all begin their own work together, whatever their hosts' clocks say
    reduce = [[at for name, at in slices if name == ALL_REDUCE] for slices in streams.values()]
    assert [at - reduce[0][0] for at in (one[0] for one in reduce)] == [0, 0, 3_000, 0]
    assert min(at for slices in found.values() for _, at in slices) >= 0


@pytest.mark.parametrize(
    ("facts", "sentence", "apart"),
    [
        ({}, "by the ends of 8 collectives", OFFSETS),
        ({"collectives": False}, "wall clocks, whose skew is unknown", dict.fromkeys(OFFSETS, 0)),
        ({"collectives": False, "based": False}, "own first event", dict.fromkeys(OFFSETS, 0)),
    ],
)
def test_the_common_zero_says_what_it_rests_on(facts: dict[str, bool], sentence: str, apart: dict[int, int]) -> None:
    recording, _ = job(**facts)
    zeros, how = common_zero(recording)
    assert sentence in how
    assert {rank: zeros[str(rank)] - zeros["0"] for rank in OFFSETS} == apart


def test_a_rank_without_gpu_events_is_left_out() -> None:
    recording, traces = job()
    data = ranks_trace(recording, {"1": traces["1"], "9": traces["0"]})
    assert {name.split(" ·")[0] for name in begins(data)} == {"rank 1"}
    with pytest.raises(ValueError, match="no rank"):
        ranks_trace(recording, {})


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_the_heat_map_shows_the_late_call_and_names_letter_for_letter(palette: object) -> None:
    recording, _ = job(range_name="<b>rope</b>")
    figure = heat_figure(recording, palette, "fleet · <i>j</i>")  # type: ignore[arg-type]
    (heat,) = figure.data
    row = list(figure.layout.yaxis.ticktext).index("&lt;b&gt;rope&lt;/b&gt;")
    assert [round(value, 3) for value in heat.z[row]] == [1.0, 1.0, 1.6, 1.0]
    assert heat.zmax == pytest.approx(1.6)
    assert "&lt;b&gt;rope" in heat.customdata[row][2]
    assert "8.00 µs a call" in heat.customdata[row][2]
    assert figure.layout.xaxis.title.text == "rank"


def test_panels_escape_and_tables_keep_what_is_unknown() -> None:
    recording, _ = job(range_name="<b>rope</b>")
    report = fleet(pl.DataFrame(schema=row_set(rank_trace(0), analyze(rank_trace(0)), name="x").schema))
    text = summary_panel(report, recording)
    assert "Rank 2 is late by" in text
    assert "<b>rope" not in text
    table = rank_table(recording.ranks)
    assert table["rank"].to_list() == ["0", "1", "2", "3"]
    assert table["costs the others, µs"].to_list() == [0.0, 0.0, 24.0, 0.0]
    assert table["why"].null_count() == 4


def test_export_draws_the_ranks_of_an_analysis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_job(tmp_path / "job", late={2: 3_000})
    out, file = tmp_path / "out", tmp_path / "ranks.pftrace"
    assert main(["analyze", str(tmp_path / "job"), "-o", str(out), "--workers", "1"]) == 0
    assert main(["export", str(out), "--to", "perfetto", "-o", str(file)]) == 0
    assert {name.split(" ·")[0] for name in begins(file.read_bytes())} == {f"rank {rank}" for rank in range(4)}
    write_job(tmp_path / "other")
    assert main(["analyze", str(tmp_path / "other"), "-o", str(out), "--workers", "1"]) == 0
    assert main(["export", str(out), "--to", "perfetto", "-o", str(file)]) == 1
    assert "2 recordings" in capsys.readouterr().err
