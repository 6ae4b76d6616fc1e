"""Samples under another clock are counted; a time below the floor is named."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from rope_prof.analysis.run.conditions import other_clock, usual_clock
from rope_prof.analysis.run.rows import FLOOR_LIMIT, below_floor, summary
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
    (row,) = summary(plan, samples(unfused_eager=[300.0]), {})
    for share, under in ((None, False), (0.99, False), (FLOOR_LIMIT, False), (1.2, True)):
        found = replace(row, roofline_share=share)
        assert below_floor(found) is under
        assert any("less device time than one pass" in line for line in notes(plan, [found])) is under
