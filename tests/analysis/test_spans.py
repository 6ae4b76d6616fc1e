from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.trace.spans import frame_union, gaps, join, total_time, union
from tests.builders import kernel, trace

SPANS = st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 20)), max_size=20)


def array(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)


def frame(spans: list[tuple[int, int]]) -> pl.DataFrame:
    return pl.DataFrame(spans, schema={"start_ns": pl.Int64, "dur_ns": pl.Int64}, orient="row")


@given(SPANS, st.randoms(use_true_random=False))
def test_union_is_the_covered_instants_and_order_free(spans: list[tuple[int, int]], rng: object) -> None:
    covered = {t for start, length in spans for t in range(start, start + length)}
    held = union(array([s for s, _ in spans]), array([s + n for s, n in spans]))
    assert held.total == len(covered)
    instants = np.arange(-60, 80)
    assert held.holds(instants).tolist() == [t in covered for t in instants.tolist()]
    assert held.measure(instants).tolist() == [sum(c < t for c in covered) for t in instants.tolist()]
    mixed = list(spans)
    rng.shuffle(mixed)  # type: ignore[attr-defined]
    assert frame_union(frame(mixed)).total == held.total
    again = join(held, held)
    assert (again.starts.tolist(), again.ends.tolist()) == (held.starts.tolist(), held.ends.tolist())


@given(SPANS)
def test_busy_and_gaps_fill_the_window(spans: list[tuple[int, int]]) -> None:
    held = frame(spans)
    found = gaps(held)
    window = max((s + n for s, n in spans), default=0) - min((s for s, _ in spans), default=0)
    assert frame_union(held).total + int(found["dur_ns"].sum()) == window
    starts, lengths = held["start_ns"], held["dur_ns"]
    for start, length, before, after in found.iter_rows():
        assert starts[before] + lengths[before] == start
        assert starts[after] == start + length


def test_a_gap_ends_the_latest_event_not_the_previous_row() -> None:
    held = trace(kernel(0, 100), kernel(10, 20), kernel(120, 130)).gpu
    assert gaps(held).rows() == [(100, 20, 0, 2)]


def test_groups_have_gaps_of_their_own() -> None:
    held = trace(kernel(0, 10, stream=1), kernel(5, 30, stream=2), kernel(20, 25, stream=1)).gpu
    assert gaps(held).rows() == []
    assert gaps(held, by=["stream"]).rows() == [(10, 10, 0, 2)]


def test_totals_are_exact_where_int64_would_overflow() -> None:
    assert total_time(frame([(0, 1 << 61)] * 16)) == 16 << 61
