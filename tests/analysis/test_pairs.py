"""Calls and their gaps as numbers: each gap is judged once, and every range still gets its own sum."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.trace import shared
from rope_prof.analysis.trace.accounting import others_on
from rope_prof.analysis.trace.calls import call_events, call_frame, last_begun, numbered
from rope_prof.analysis.trace.gaps import host, idle_by_cause, segments
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.pairs import FOREVER, Gaps, once_each, pairs, run_gaps, runs, timed
from rope_prof.analysis.trace.ranges import range_use
from rope_prof.analysis.trace.spans import gaps, reach_of
from rope_prof.model.trace import Trace
from tests.builders import Drawn, kernel, overhead, range_, sync, trace


@st.composite
def nested(draw: st.DrawFn) -> Trace:
    """Ranges inside ranges, on two threads, with kernels of two devices and three streams."""
    drawn: list[Drawn] = []
    for k in range(draw(st.integers(1, 14))):
        start, length = draw(st.integers(0, 200)), draw(st.integers(0, 30))
        begun = draw(st.integers(-50, 200))
        where = {"stream": draw(st.integers(1, 3)), "device": draw(st.sampled_from("001"))}
        number, thread = draw(st.sampled_from([k + 1, k + 1, 77])), draw(st.integers(1, 2))
        kind = draw(st.sampled_from(["kernel", "kernel", "memcpy"]))
        made = (begun, begun + 3)
        drawn.append(
            kernel(start, start + length, kind=kind, correlation=number, thread=thread, launched=made, **where)
        )
    for depth, thread in ((d, t) for d in range(draw(st.integers(1, 4))) for t in (1, 2)):
        drawn.append(range_(f"depth {depth}", -60 + 10 * depth, 210 - 40 * depth, thread=thread))
    drawn.append(range_("open", draw(st.integers(-60, 200)), None))
    drawn += [sync(20, 60), sync(100, 140, thread=2), overhead(50, 70)]
    return trace(*drawn)


@settings(max_examples=40)
@given(nested())
def test_a_range_gets_what_each_of_its_calls_alone_would(held: Trace) -> None:
    events = launched(held)
    expected: dict[tuple[str, str], Counter[str]] = {}
    for row in call_frame(held, ".*").filter(pl.col("device").is_not_null()).iter_rows(named=True):
        own = call_events(held, row)
        rungs = others_on(events.filter(pl.col("device") == row["device"]))
        (alone,) = idle_by_cause(segments(gaps(own), own), host(held), 1, rungs)
        expected.setdefault((row["range"], row["device"]), Counter()).update(alone)
    found = range_use(held.ranges, events, host(held))
    assert {(use.name, use.device): use.idle_by_cause_ns for use in found} == {k: dict(v) for k, v in expected.items()}


@settings(max_examples=30)
@given(nested(), st.lists(st.tuples(st.integers(-60, 200), st.integers(1, 250), st.integers(1, 2)), max_size=9))
def test_calls_that_hold_much_in_common_get_what_each_alone_would(held: Trace, more: list[tuple[int, ...]]) -> None:
    crossing = trace(*(range_(f"x{k % 3}", lo, lo + ns, thread=of) for k, (lo, ns, of) in enumerate(more))).ranges
    held = replace(held, ranges=pl.concat([held.ranges, crossing]))
    events = launched(held)
    alone = range_use(held.ranges, events, host(held)), call_frame(held, ".*")
    for size, few in ((1, 0), (3, 2), (1000, 0)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shared, "FEW", few)
            patch.setattr(shared, "cell_size", lambda lane, size=size: size if len(lane.calls) else None)
            assert range_use(held.ranges, events, host(held)) == alone[0]
            assert call_frame(held, ".*").sort("call", "device").equals(alone[1].sort("call", "device"))


@settings(max_examples=40)
@given(nested())
def test_the_last_range_begun_is_found_without_looking_at_each_pair(held: Trace) -> None:
    ordered, events = numbered(held.ranges), launched(held)
    last = np.full(events.height, -1, np.int64)
    for number, rows in pairs(ordered, events):
        np.maximum.at(last, rows, number)
    assert last_begun(ordered, events).to_list() == last.tolist()


@settings(max_examples=40)
@given(nested(), st.integers(1, 5))
def test_where_the_pieces_are_cut_changes_nothing(held: Trace, most: int) -> None:
    events = launched(held)
    whole = [np.concatenate(part) for part in zip(*pairs(numbered(held.ranges), events), strict=True)]
    cut = [np.concatenate(part) for part in zip(*pairs(numbered(held.ranges), events, most), strict=True)]
    assert [part.tolist() for part in cut] == [part.tolist() for part in whole]
    for calls, _ in pairs(numbered(held.ranges), events, most):
        assert len(calls) <= most or len(set(calls.tolist())) == 1


@settings(max_examples=40)
@given(nested())
def test_each_gap_is_kept_once_and_every_gap_finds_its_own(held: Trace) -> None:
    events = launched(held)
    arrays = timed(events)
    for calls, rows in pairs(numbered(held.ranges), events):
        found = run_gaps(runs(calls, rows, arrays))
        kept, place = once_each(found)
        assert sides(found) == sides(found.of(kept[place]))
        assert len(kept) <= len(found.start)


def sides(found: Gaps) -> list[tuple[int, ...]]:
    return list(zip(*(part.tolist() for part in (found.before, found.after, found.start, found.end)), strict=True))


def test_nested_ranges_share_their_gaps() -> None:
    held = trace(
        *(range_(name, -10 - k, 50 + k) for k, name in enumerate("abc")),
        *(kernel(100 + 20 * k, 110 + 20 * k, launched=(k, k + 1)) for k in range(5)),
    )
    events = launched(held)
    arrays = timed(events)
    ((calls, rows),) = pairs(numbered(held.ranges), events)
    found = run_gaps(runs(calls, rows, arrays))
    assert (len(found.start), len(once_each(found)[0])) == (12, 4)


def test_the_running_end_is_the_same_where_groups_do_not_fit_one_axis() -> None:
    far = FOREVER // 2
    starts, ends = np.array([0, 5, far, 1, 2, far]), np.array([9, 7, far + 1, 3, 8, far + 2])
    opens = np.array([True, False, False, True, False, False])
    assert reach_of(starts, ends, opens).tolist() == [9, 9, far + 1, 3, 8, far + 2]
    near = np.where(starts == far, 20, starts), np.where(ends >= far, ends - far + 20, ends)
    assert reach_of(*near, opens).tolist() == [9, 9, 21, 3, 8, 22]
