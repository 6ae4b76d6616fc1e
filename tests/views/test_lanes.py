"""Spans go to the first lane with room for them, however many lanes there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rope_prof.views.perfetto.encode import number, numbers
from rope_prof.views.perfetto.packets import Slice, lanes

_SPANS = st.lists(st.tuples(st.integers(0, 20), st.one_of(st.none(), st.integers(0, 10))), max_size=14)


def _first_fit(slices: list[Slice], nest: bool) -> list[list[Slice]]:
    """The same by looking through every lane."""

    def end(one: Slice) -> float:
        return float("inf") if one.end_ns is None else one.end_ns

    found: list[list[Slice]] = []
    for one in sorted(slices, key=lambda s: (s.start_ns, -end(s))):
        for lane in found:
            opened = [other for other in lane if end(other) > one.start_ns]
            if not opened or (nest and all(end(one) <= end(other) for other in opened)):
                lane.append(one)
                break
        else:
            found.append([one])
    return found


@given(_SPANS, st.booleans())
def test_a_span_takes_the_first_lane_that_has_room(spans: list[tuple[int, int | None]], nest: bool) -> None:
    slices = [Slice(at, None if ns is None else at + ns, str(k), "c") for k, (at, ns) in enumerate(spans)]
    assert lanes(slices, nest=nest) == _first_fit(slices, nest)


@given(st.lists(st.integers(0, 63).flatmap(lambda bits: st.integers(-1, (1 << bits) - 1))), st.sampled_from([8, 30]))
def test_numbers_written_at_once_are_those_written_one_by_one(values: list[int], field: int) -> None:
    assert numbers(field, values) == [number(field, value) for value in values]
