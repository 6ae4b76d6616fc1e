from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.fixes.fixes import losses
from rope_prof.analysis.ranks.clock import Collective, clocks
from rope_prof.analysis.ranks.ranks import ranks_report, recorded_apart
from rope_prof.analysis.ranks.rows import no_rows, row_set
from rope_prof.analysis.trace.analyze import analyze
from rope_prof.views.blocks.ranks import ranks_blocks
from tests.on_terminal import on_terminal
from tests.ranks.drawn_ranks import BASE, STEP_NS, rank_trace


def of(
    rank: int, size: int = 4, *, folder: str = "/jobs/a", name: str | None = None, offset: int = 0, **more: Any
) -> pl.DataFrame:
    drawn = replace(
        rank_trace(rank, size, **more),
        base_time_ns=BASE + offset,
        metadata={"distributedInfo": {"rank": rank, "world_size": size}},
    )
    file = name or f"rank{rank}.json"
    answer = analyze(drawn)
    held = row_set(drawn, answer, losses(drawn, answer)[1], name=file)
    return held.with_columns(source=pl.lit(f"{folder}/{file}"), folder=pl.lit(folder))


def job(size: int = 4, offsets: dict[int, int] | None = None, **more: Any) -> pl.DataFrame:
    return pl.concat([of(rank, size, offset=(offsets or {}).get(rank, 0), **more) for rank in range(size)])


def printed(rows: pl.DataFrame, width: int = 80) -> str:
    return on_terminal(ranks_blocks(ranks_report(rows)), width)


def test_even_ranks_have_no_straggler_and_their_totals() -> None:
    (one,) = ranks_report(job()).recordings
    assert [rank.label for rank in one.ranks] == ["0", "1", "2", "3"]
    assert one.stragglers == ()
    assert one.notes == ()
    assert {rank.busy_ns for rank in one.ranks} == {8 * 6_000}
    for rank in one.ranks:
        assert rank.busy_ns + rank.idle_ns == rank.span_ns  # type: ignore[operator]
        assert sum(rank.idle_by_cause_ns.values()) == rank.idle_ns


def test_the_late_rank_its_cost_and_its_range_are_named() -> None:
    """All leave the all-reduce together, so that busy times are even; the range before it is not."""
    (one,) = ranks_report(job(late={2: 3_000, 1: 1_000})).recordings
    (late,) = one.stragglers
    assert (late.rank, late.range) == ("2", "rope")
    assert late.cost_ns == 8 * 2_000  # until rank 1 came they would have waited anyway
    assert late.excess_ns == 8 * 3_000
    assert "8 of 8" in late.how
    assert len({rank.busy_ns for rank in one.ranks}) == 1
    across = {each.name: each for each in one.ranges}["rope"]
    assert across.call_ns == (5_000.0, 6_000.0, 8_000.0, 5_000.0)
    assert (across.worst, across.median_ns) == ("2", 5_500.0)


def test_a_late_rank_is_a_thing_to_fix_that_leads_to_its_own_timeline() -> None:
    (one,) = ranks_report(job(offsets={2: 5_000}, late={2: 3_000})).recordings
    fix = next(fix for fix in one.fixes if fix.kind == "rank")
    assert (fix.kind, fix.devices, fix.hi_ns, fix.count) == ("rank", ("2",), 24_000, 8)
    assert (fix.within, fix.each) == ("rope", 24_000)
    drawn = rank_trace(2, 4, late={2: 3_000})
    came = drawn.gpu.filter(pl.col("name").str.contains("nccl"))["start_ns"] - (analyze(drawn).zero_ns or 0)
    assert fix.place.start_ns + fix.place.dur_ns in came.to_list()
    assert fix.place.dur_ns == 3_000
    text = printed(job(late={2: 3_000}), 1_000)
    assert "Three things to fix" in text
    assert "rank 2 is late, last to 8 of 8 collectives; it loses 24.0 µs in rope" in text
    assert "any_trace?trace=%2Fjobs%2Fa%2Frank2.json&trace_zoom=" in text


def test_losses_of_ranks_are_one_list_the_wait_for_a_late_rank_behind_that_rank() -> None:
    """Each rank's launches are late alike, which is one loss; of the exposed all-reduce 24 of 32 µs are rank 2."""
    (one,) = ranks_report(job(late={2: 3_000})).recordings
    launches, late, talk = one.fixes
    assert [fix.kind for fix in one.fixes] == ["launches", "rank", "communication"]
    assert (launches.ranks, launches.behind_ns) == (("0", "1", "2", "3"), 0)
    assert launches.place.source == "/jobs/a/rank0.json"
    assert (late.devices, late.ranks) == (("2",), ())
    assert (talk.hi_ns, talk.behind_ns, sorted(talk.ranks)) == (32_000, 24_000, ["0", "1", "2", "3"])
    assert [fix["share"] for fix in ranks_report(job(late={2: 3_000})).as_json()["recordings"][0]["fixes"]] == [
        fix.share for fix in one.fixes
    ]
    text = printed(job(late={2: 3_000}), 1_000)
    assert "of rank 0, 3 more ranks too: 7 launches come too late" in text
    assert "up to 24.0 µs of it waiting for a late rank" in text


@settings(max_examples=25)
@given(st.lists(st.integers(-(10**12), 10**12), min_size=2, max_size=6), st.integers(0, 3_000))
def test_clocks_are_told_from_the_ends_of_collectives_exactly(offsets: list[int], late: int) -> None:
    begins = [k * STEP_NS + 1_751_410_836_000_000_000 for k in range(9)]
    ranks = [
        {
            "c": Collective(
                starts_ns=[b + o + (late if not r else 0) for b in begins], ends_ns=[b + o + 5_000 for b in begins]
            )
        }
        for r, o in enumerate(offsets)
    ]
    told = clocks(ranks)
    assert told.collectives == 9
    found = [clock.offset_ns for clock in told.clocks]
    assert [a - found[0] for a in found] == [o - offsets[0] for o in offsets]
    assert all(clock.spread_ns == 0 for clock in told.clocks)
    assert [one.last for one in told.arrivals][1:] == [0] * (len(offsets) - 1)
    assert told.arrivals[0].cost_ns == 9 * late


def test_a_clock_that_goes_ahead_makes_nobody_late() -> None:
    (one,) = ranks_report(job(offsets={3: 5_000_000}, late={1: 3_000})).recordings
    assert [late.rank for late in one.stragglers] == ["1"]
    assert one.ranks[3].clock is not None
    assert one.ranks[0].clock is not None
    assert one.ranks[3].clock.offset_ns - one.ranks[0].clock.offset_ns == 5_000_000


def test_collectives_that_do_not_end_together_say_nothing() -> None:
    import random

    chance = random.Random(0)
    ends = [[k * 1000 + chance.randrange(100_000) for k in range(20)] for _ in range(2)]
    told = clocks([{"c": Collective(starts_ns=sorted(e), ends_ns=sorted(e))} for e in ends])
    assert told.clocks == ()
    assert told.reason is not None
    assert "not of one group" in told.reason
    assert clocks([{"c": Collective(starts_ns=[1], ends_ns=[2])}] * 2).clocks == ()
    assert clocks([{}, {}]).reason is not None


def test_without_collectives_the_busiest_is_late() -> None:
    rows = job(late={2: 3_000}).filter(pl.col("row") != "collective")
    rows = rows.with_columns(
        busy_ns=pl.when((pl.col("row") == "device") & (pl.col("rank") == 2)).then(90_000).otherwise("busy_ns")
    )
    (one,) = ranks_report(rows).recordings
    assert [late.rank for late in one.stragglers] == ["2"]
    assert "no collectives" in one.stragglers[0].how


def test_two_recordings_in_one_folder_are_told_apart_by_their_time() -> None:
    later = [of(rank, name=f"again{rank}.json", offset=60_000_000_000) for rank in range(4)]
    found = ranks_report(pl.concat([*later, job()])).recordings
    assert [len(one.ranks) for one in found] == [4, 4]
    assert all("again" in rank.source for rank in found[1].ranks)
    assert all("2 recordings" in one.notes[0] for one in found)


def test_a_rank_that_the_first_recording_lacks_stays_with_the_second() -> None:
    first = [of(rank) for rank in (0, 1, 2)]
    second = [of(rank, name=f"again{rank}.json", offset=60_000_000_000) for rank in range(4)]
    one, two = ranks_report(pl.concat([*first, *second])).recordings
    assert [rank.label for rank in one.ranks] == ["0", "1", "2"]
    assert [rank.label for rank in two.ranks] == ["0", "1", "2", "3"]
    assert "1 of 4 ranks have no trace here: 3" in one.notes


def test_without_times_recordings_are_told_apart_by_name() -> None:
    traces = [{"rank": r, "source": f"{r}{n}", "wall_clock": False, "start_ns": None} for n in "ba" for r in (0, 1)]
    apart, note = recorded_apart(traces)
    assert [[t["source"] for t in part] for part in apart] == [["0a", "1a"], ["0b", "1b"]]
    assert note is not None
    assert "by their names" in note


def test_folders_of_one_name_stay_apart() -> None:
    found = ranks_report(pl.concat([job(), job(folder="/other/a")])).recordings
    assert [one.name for one in found] == ["jobs/a", "other/a"]


def test_an_unusable_rank_is_a_row_and_the_others_are_told() -> None:
    cut = no_rows("done", "unreadable", "it is empty [bold]", name="rank3.json")
    cut = cut.with_columns(source=pl.lit("/jobs/a/rank3.json"), folder=pl.lit("/jobs/a"))
    rows = pl.concat([*(of(rank) for rank in range(3)), cut])
    report = ranks_report(rows)
    assert report.verdicts == {"sound": 3, "unreadable": 1}
    (one,) = report.recordings
    assert one.ranks[3].busy_ns is None
    assert len(one.clocks.clocks) == 3
    assert "it is empty [bold]" in printed(rows)


def test_traces_of_no_known_rank_are_not_compared() -> None:
    rows = pl.concat([of(rank, name=f"x{rank}.json", folder="/x") for rank in range(2)])
    rows = rows.with_columns(rank=pl.lit(None, dtype=pl.Int64))
    (one,) = ranks_report(rows).recordings
    assert [rank.label for rank in one.ranks] == ["x0.json", "x1.json"]
    assert one.stragglers == ()
    assert "which rank" in one.notes[0]


def test_the_report_is_plain_json() -> None:
    said = json.loads(json.dumps(ranks_report(job(late={2: 3_000})).as_json()))
    assert said["schema_version"] == 1
    assert said["traces"] == 4
    assert said["recordings"][0]["stragglers"][0]["rank"] == "2"
    assert said["recordings"][0]["ranges"][0]["calls"] == [8, 8, 8, 8]


@pytest.mark.parametrize("size", [2, 4, 40])
def test_tables_fit_eighty_columns_and_cut_no_figure(size: int) -> None:
    text = printed(job(size, late={1: 3_000}, range_name="[bold]a.range.of.a.long.name.forward"))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "rank 1 is late" in " ".join(text.split())
    assert "[bold]a" in "".join(text.split())
    assert ("8 more ranks" in text) == (size == 40)
