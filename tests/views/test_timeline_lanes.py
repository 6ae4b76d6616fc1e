"""Lanes: spans of a lane never overlap, none is lost, and a cut says in sum what the lane holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.views.timeline.lanes import Lane, Names, cut, depth_of, lane, lanes_of

SPANS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60)), max_size=60)


def lanes(spans: list[tuple[int, int]]) -> list[Lane]:
    frame = pl.DataFrame(
        {
            "start_ns": [start for start, _ in spans],
            "dur_ns": [length for _, length in spans],
            "name": [f"k{i % 5}" for i in range(len(spans))],
            "thread": [0] * len(spans),
            "tone": [0] * len(spans),
        },
        schema={"start_ns": pl.Int64, "dur_ns": pl.Int64, "name": pl.String, "thread": pl.Int64, "tone": pl.Int64},
    )
    return list(lanes_of(frame, ["thread"], "kernel", {(0,): "stream 0"}, Names(), 1000))


@given(SPANS)
def test_no_two_spans_of_a_lane_overlap_and_every_span_is_on_one(spans: list[tuple[int, int]]) -> None:
    found = lanes(spans)
    for one in found:
        assert np.all(one.starts[1:] >= one.ends[:-1])
    rows = sorted(row for one in found for row in one.rows.tolist())
    assert rows == list(range(len(spans)))
    for one in found:
        assert [(s, e - s) for s, e in zip(one.starts.tolist(), one.ends.tolist(), strict=True)] == [
            spans[row] for row in one.rows.tolist()
        ]


def test_an_outer_span_lies_above_the_ones_it_holds() -> None:
    assert depth_of(np.array([0, 1, 2, 20]), np.array([10, 5, 4, 30])).tolist() == [0, 1, 2, 0]


def test_a_span_that_is_never_closed_reaches_to_the_end_and_a_negative_length_is_none() -> None:
    frame = pl.DataFrame(
        {"start_ns": [5, 9, None], "dur_ns": [None, -4, 1], "name": ["open", "back", "lost"], "t": [1, 1, 1]},
    ).with_columns(tone=pl.lit(4))
    found = list(lanes_of(frame, ["t"], "range", {(1,): "ranges"}, Names(), 100))
    spans = sorted((s, e) for one in found for s, e in zip(one.starts.tolist(), one.ends.tolist(), strict=True))
    assert spans == [(5, 100), (9, 9)]


@given(SPANS, st.integers(0, 400), st.integers(1, 300), st.floats(0.5, 80), st.integers(0, 20))
def test_a_cut_holds_every_span_of_the_window_once(
    spans: list[tuple[int, int]], lo: int, length: int, pixel: float, keep: int
) -> None:
    for one in lanes(spans):
        first, last = one.slice(lo, lo + length)
        found = cut(one, lo, lo + length, pixel, keep=keep)
        part = found.part
        assert part.counts.sum() == last - first
        assert part.busy.sum() == (one.ends - one.starts)[first:last].sum()
        assert np.all(part.starts[1:] >= part.ends[:-1])
        assert found.exact == bool(np.all(part.counts == 1))
        single = part.counts == 1
        assert np.array_equal(part.starts[single], one.starts[part.items[single]])
        merged = ~single
        assert np.all((part.ends - part.starts)[merged] <= 3 * max(pixel, 1.0) + 1)
        assert np.all((one.ends - one.starts)[part.items[merged]] < max(1.5 * pixel, 1.0))


@given(SPANS, st.integers(0, 400), st.integers(1, 300))
def test_the_slice_is_what_touches_the_window(spans: list[tuple[int, int]], lo: int, length: int) -> None:
    hi = lo + length
    for one in lanes(spans):
        first, last = one.slice(lo, hi)
        inside = (one.ends > lo) & (one.starts < hi)
        assert np.array_equal(np.flatnonzero(inside), np.arange(first, last)[inside[first:last]])
        assert inside[first:last].sum() == inside.sum()


def long(count: int, period: int = 1000, length: int = 700) -> Lane:
    starts = np.arange(count) * period
    codes = np.arange(count) % 7
    return lane("", "kernel", starts, starts + length, codes, np.zeros(count, np.int64), np.arange(count))


def test_a_million_spans_are_cut_to_what_a_screen_can_show() -> None:
    part = cut(long(1_000_000), 0, 1_000_000_000, 1_000_000_000 / 1200).part
    assert len(part.starts) <= 2 * 1200
    assert part.counts.sum() == 1_000_000
    assert part.busy.sum() == 700_000_000


@pytest.mark.parametrize("share", [1.0, 0.3, 0.01, 0.0005])
def test_a_long_lane_is_cut_from_what_was_merged_before_as_from_its_spans(share: float) -> None:
    whole = long(50_000)
    assert whole.levels
    bare = replace(whole, levels=())
    lo, hi = 7_000_300, 7_000_300 + int(42_000_000 * share)
    pixel = (hi - lo) / 1000
    fast, slow = (cut(one, lo, hi, pixel, marks=one.codes == 3) for one in (whole, bare))
    assert fast.exact == slow.exact
    assert fast.part.counts.sum() == pytest.approx(slow.part.counts.sum(), abs=2 * pixel / 1000 + 2)
    assert len(fast.part.starts) <= 2 * 1000 + 600
    assert np.all(fast.part.starts[1:] >= fast.part.ends[:-1])
    assert np.all((fast.part.ends - fast.part.starts)[fast.part.counts > 1] <= 3 * pixel)


@pytest.mark.parametrize(("wanted", "hit"), [(3, True), (4, False)])
def test_a_merged_block_knows_whether_it_holds_the_wanted_name(wanted: int, hit: bool) -> None:
    starts = np.arange(100) * 10
    codes = np.zeros(100, np.int64)
    codes[50] = 3
    one = lane("", "kernel", starts, starts + 5, codes, codes, codes)
    found = cut(one, 0, 1000, 200.0, keep=10, marks=one.codes == wanted)
    assert not found.exact
    assert found.hit.sum() == hit
