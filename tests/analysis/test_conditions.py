"""Samples under another clock are counted; a time below the floor is named."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from rope_prof.analysis.run.capture import CaptureFigures
from rope_prof.analysis.run.conditions import other_clock, usual_clock
from rope_prof.analysis.run.rows import FLOOR_LIMIT, summary
from rope_prof.model.run import Ceiling
from rope_prof.views.words.notes import notes
from tests.runs import facts, key, run, samples


def test_samples_of_another_clock_are_counted_by_key() -> None:
    frame = samples(unfused_eager=[300.0] * 5, fused_eager=[20.0] * 5)
    assert usual_clock(frame) is None
    assert other_clock(frame) == {}
    clocks = [1980, 1980, 1965, 1410, None, 1980, 1995, 1980, 1980, 2100]
    known = frame.with_columns(sm_clock_mhz=pl.Series(clocks, dtype=pl.Int64))
    assert usual_clock(known) == 1980
    assert other_clock(known) == {key().name: 1, key("fused").name: 1}
    plan = run(facts(), facts("fused"))
    rows = summary(plan, known, {})
    assert [row.other_clock for row in rows] == [1, 1]
    assert "2 of 10 samples were taken under another clock of the GPU" in notes(plan, rows)
    none = summary(plan, frame, {})
    assert [row.other_clock for row in none] == [None, None]
    assert not any("another clock" in line for line in notes(plan, none))


def test_less_time_than_one_pass_is_named() -> None:
    plan = run(facts())
    ceiling = Ceiling(name="in_place", case=plan.keys[0].key.case, method="mul_", bytes_moved=1, status="measured")
    plan = replace(plan, ceilings=(ceiling,))
    for floor, under in ((100.0, False), (300.0, False), (300.0 * FLOOR_LIMIT, False), (360.0, True)):
        taken = samples(unfused_eager=[300.0])
        floors = taken.with_columns(pl.lit(ceiling.key_name).alias("key"), (pl.col("ns") * floor / 300).cast(pl.Int64))
        for clocks in (["wall"], ["device"]):
            frame = pl.concat([taken, floors])
            if clocks == ["device"]:
                slow = taken.with_columns(pl.col("ns") * 2)
                frame = pl.concat([slow, frame.with_columns(pl.lit("device").alias("clock"))])
            (row,) = summary(plan, frame, {})
            assert row.below_floor is under
            assert any("less time than one pass" in line for line in notes(plan, [row])) is under
    assert summary(plan, samples(unfused_eager=[300.0]), {})[0].below_floor is None


def test_a_pass_that_others_have_held_up_is_no_floor_of_the_hosts_clock() -> None:
    """Of 196,608 bytes it was seen to take 12 ms; at the rate of the copy, 11 GB/s, they take 18 µs."""
    plan = run(facts())
    one, other = (
        Ceiling(name=name, case=plan.keys[0].key.case, method="any", bytes_moved=moved, status="measured")  # type: ignore[arg-type]
        for name, moved in (("in_place", 196_608), ("copy", 1 << 27))
    )
    plan = replace(plan, ceilings=(one, other))
    for call_ns, under in ((300_000.0, False), (10_000.0, True)):
        taken = samples(unfused_eager=[call_ns])
        calls = taken["calls"][0]
        passes = [
            taken.with_columns(pl.lit(name).alias("key"), pl.lit(ns * calls).alias("ns"))
            for name, ns in ((one.key_name, 12_000_000), (other.key_name, 12_000_000))
        ]
        (row,) = summary(plan, pl.concat([taken, *passes], how="vertical_relaxed"), {})
        assert row.below_floor is under


def test_a_capture_that_is_busy_for_longer_than_a_call_takes_is_not_trusted() -> None:
    plan = run(facts())
    (row,) = summary(plan, samples(unfused_eager=[300.0]), {})
    assert row.busy_over_wall is None
    assert row.wall_ns is not None
    for share, over in ((0.5, False), (1.04, False), (1.06, True)):
        busy = share * row.wall_ns.median
        figures = CaptureFigures(
            calls=1, kernels_per_call=1.0, kernel_ns=busy, busy_ns=busy, period_ns=None, bubble_raw_ns=None
        )
        (found,) = summary(plan, samples(unfused_eager=[300.0]), {row.key: figures})
        assert found.busy_over_wall is over
        assert any("the capture is not to be trusted" in line for line in notes(plan, [found])) is over
