"""The ranks as pictures: a heat map, panels, and one Perfetto file on one clock."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace as Packets

from rope_prof.analysis.fixes.fix import Fixes
from rope_prof.analysis.ranks.ranks import Recording, common_zero, ranks_report
from rope_prof.analysis.ranks.rows import row_set
from rope_prof.analysis.trace.analyze import analyze
from rope_prof.cli import main
from rope_prof.model.trace import Trace
from rope_prof.views.blocks.ranks import loss_blocks, rank_table, summary_blocks
from rope_prof.views.draw.palette import DARK, LIGHT
from rope_prof.views.draw.ranks import heat_figure
from rope_prof.views.page.blocks import blocks
from rope_prof.views.perfetto.ranks import ranks_trace
from tests.builders import kineto_json, range_, trace
from tests.ranks.drawn_ranks import ALL_REDUCE, BASE, rank_trace, write_job

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
        held = row_set(drawn, analyze(drawn), Fixes(), name="t.json")
        traces[str(rank)] = drawn
        rows.append(held.with_columns(source=pl.lit(f"/j/{rank}.json"), folder=pl.lit("/j")))
    whole = pl.concat(rows)
    if not collectives:
        whole = whole.filter(pl.col("row") != "collective")
    (one,) = ranks_report(whole).recordings
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


def groups(data: bytes) -> dict[str, list[str]]:
    """Each group at the top -> the groups right under it."""
    packets = Packets()
    packets.ParseFromString(data)
    tracks = [packet.track_descriptor for packet in packets.packet if packet.HasField("track_descriptor")]
    tops = {track.uuid: track.name for track in tracks if not track.HasField("parent_uuid")}
    return {name: [track.name for track in tracks if track.parent_uuid == top] for top, name in tops.items()}


def metadata(data: bytes) -> dict[str, str]:
    """What the file says of itself."""
    packets = Packets()
    packets.ParseFromString(data)
    return {one.name: one.string_value for packet in packets.packet for one in packet.chrome_events.metadata}


def test_all_ranks_lie_on_one_clock_so_that_collectives_end_together() -> None:
    recording, traces = job()
    found = begins(ranks_trace([(recording, traces)]).data)
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
    data = ranks_trace([(recording, {"1": traces["1"], "9": traces["0"]})]).data
    assert {name.split(" ·")[0] for name in begins(data)} == {"rank 1"}
    with pytest.raises(ValueError, match="no rank"):
        ranks_trace([(recording, {})])


def test_several_recordings_are_groups_that_begin_at_one_instant() -> None:
    """However far apart they were made: each keeps its own clock, the names of its tracks tell whose they are."""
    (first, ours), (second, others) = job(), job(based=False)
    first, second = replace(first, name="mon"), replace(second, name="tue")
    empty = replace(second, name="wed", ranks=tuple(replace(rank, start_ns=None) for rank in second.ranks))
    made = ranks_trace([(first, ours), (second, others), (empty, others)])
    assert made.left_out == ("wed",)
    assert groups(made.data) == {"mon": [f"rank {k}" for k in range(4)], "tue": [f"rank {k}" for k in range(4)]}
    found = begins(made.data)
    work = {name: [at for word, at in slices if word == "k"] for name, slices in found.items() if "stream" in name}
    assert sorted(name.split(" · stream")[0] for name in work) == [
        f"{day} · rank {rank}" for day in ("mon", "tue") for rank in range(4)
    ]
    assert len({tuple(one) for name, one in work.items() if name.startswith("mon")}) == 1
    assert {one[0] for one in work.values()} == {min(at for one in work.values() for at in one)}
    assert min(at for slices in found.values() for _, at in slices) >= 0
    facts = metadata(made.data)
    assert [facts[f"rope_prof.{k}.recording"] for k in (1, 2)] == ["mon", "tue"]
    assert facts["rope_prof.left_out.1"] == "wed"
    assert "8 collectives" in facts["rope_prof.1.clock"]
    assert "rope_prof.1.late.2" in facts
    alone = ranks_trace([(first, ours)])
    assert metadata(alone.data)["rope_prof.recording"] == "mon"
    assert alone.left_out == ()


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
    report = ranks_report(pl.DataFrame(schema=row_set(rank_trace(0), analyze(rank_trace(0)), Fixes(), name="x").schema))
    text = blocks([*summary_blocks(report, recording), *loss_blocks(recording)], LIGHT)
    assert "rank 2 is late" in text
    assert "<b>rope" not in text
    table = rank_table(recording.ranks)
    assert table["rank"].to_list() == ["0", "1", "2", "3"]
    assert table["costs the others, µs"].to_list() == [0.0, 0.0, 24.0, 0.0]
    assert table["why"].null_count() == 4


def test_export_draws_the_ranks_of_an_analysis(tmp_path: Path) -> None:
    write_job(tmp_path / "job", late={2: 3_000})
    out, file = tmp_path / "out", tmp_path / "ranks.pftrace"
    assert main(["analyze", str(tmp_path / "job"), "-o", str(out), "--workers", "1"]) == 0
    assert main(["export", str(out), "--to", "perfetto", "-o", str(file)]) == 0
    assert {name.split(" ·")[0] for name in begins(file.read_bytes())} == {f"rank {rank}" for rank in range(4)}


def test_export_draws_all_recordings_of_an_analysis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_job(tmp_path / "mon", late={2: 3_000})
    write_job(tmp_path / "tue", 2)
    write_job(tmp_path / "wed", 1)
    (tmp_path / "thu").mkdir()
    (tmp_path / "thu/rank0.json").write_bytes(kineto_json(trace(range_("host alone", 0, 10))))
    out, file = tmp_path / "out", tmp_path / "all.pftrace"
    days = [str(tmp_path / day) for day in ("mon", "tue", "wed", "thu")]
    assert main(["analyze", *days, "-o", str(out), "--workers", "1"]) == 0
    capsys.readouterr()
    export = ["export", str(out), "--to", "perfetto", "-o", str(file)]
    assert main(export) == 0
    assert "thu: not in it, none of its ranks has a GPU event" in capsys.readouterr().out
    assert {name: len(ranks) for name, ranks in groups(file.read_bytes()).items()} == {"mon": 4, "tue": 2, "wed": 1}


@pytest.mark.parametrize(("sizes", "named", "first"), [((4, 1), "1", "export"), ((4, 2), "2", "analyze")])
def test_too_many_events_name_the_command_for_one_recording(
    sizes: tuple[int, int],
    named: str,
    first: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for size in sizes:
        write_job(tmp_path / str(size), size)
    out = tmp_path / "out"
    assert main(["analyze", *(str(tmp_path / str(size)) for size in sizes), "-o", str(out), "--workers", "1"]) == 0
    monkeypatch.setattr("rope_prof.commands.export_ranks.MOST_EVENTS", 120)
    capsys.readouterr()
    assert main(["export", str(out), "--to", "perfetto", "-o", str(tmp_path / "all.pftrace")]) == 1
    said = capsys.readouterr().err
    assert "events, more than the 120 that one Perfetto file can show" in said
    seen, _, command = said.partition(" by: python -m rope_prof ")
    assert seen.endswith(f"take out one of its 2 recordings, as {named!r}")
    assert command.startswith(first)
    assert main(shlex.split(command)) == 0
    if first == "analyze":
        assert main(["export", f"{out}-one", "--to", "perfetto", "-o", f"{out}-one.pftrace"]) == 0
    assert Path(f"{out}-one.pftrace").stat().st_size
    monkeypatch.setattr("rope_prof.commands.export_ranks.MOST_EVENTS", 10)
    assert main(["export", str(out), "--to", "perfetto", "-o", str(tmp_path / "all.pftrace")]) == 1
    assert "analyze fewer ranks" in capsys.readouterr().err
