"""Trace against trace: parts that close, kernels matched by range, order, name and shape, calls as samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.comparison.sides import NotComparableError
from rope_prof.analysis.diff.diff import TraceDiff, trace_diff
from rope_prof.analysis.diff.side import common_range, range_uses, trace_side
from rope_prof.errors import TraceError, UsageError
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace
from tests.analysis.test_other_threads import step
from tests.builders import Drawn, kernel, op, range_, trace

#: A call: a range of 1000 ns, its kernels as (name, start in the call, length).
Call = list[tuple[str, int, int]]


def steps(*calls: Call, name: str = "step", inner: str | None = None, grid: str = "8x1x1", **facts: object) -> Trace:
    """Calls a microsecond apart; each launch comes 5 ns before its kernel."""
    return trace(list(_drawn(calls, name, inner, grid)), **facts)


def _drawn(calls: tuple[Call, ...], name: str, inner: str | None, grid: str) -> Iterator[Drawn]:
    for number, call in enumerate(calls):
        zero = 1000 * number
        yield range_(name, zero, zero + 900)
        if inner:
            yield range_(inner, zero + 1, zero + 899)
        for kind_name, start, length in call:
            kind = "memcpy" if kind_name.startswith("copy") else "kernel"
            begin = zero + start
            yield kernel(begin, begin + length, name=kind_name, kind=kind, grid=grid, launched=(begin - 5, begin - 3))


def compared(base: Trace, cand: Trace, name: str | None = "step") -> TraceDiff:
    return trace_diff(trace_side(base, name), trace_side(cand, name))


def test_three_kernels_that_became_one_are_fused() -> None:
    chain: Call = [("gemm", 100, 50), ("a", 200, 10), ("b", 220, 10), ("c", 240, 10), ("gemm2", 300, 50)]
    fused: Call = [("gemm", 100, 50), ("abc", 200, 12), ("gemm2", 230, 50)]
    found = compared(steps(*[chain] * 8, inner="rope"), steps(*[fused] * 8, inner="rope"))
    row = next(row for row in found.kernels if row.change == "fused")
    assert (row.before, row.after, row.within) == (("a", "b", "c"), ("abc",), "rope")
    assert (row.count_before, row.count_after, row.delta_ns) == (3, 1, 12 - 30)
    assert [row.change for row in found.kernels if row is not found.kernels[0]] == ["same", "same"]
    assert found.before_ns == 250
    assert found.after_ns == 180
    assert (found.word, found.ratio) == ("FASTER", 250 / 180)


def test_gone_new_moved_and_other_shapes_are_told_apart() -> None:
    base = steps([("gone", 100, 10), ("stays", 150, 10)])
    cand = steps([("stays", 150, 10), ("new", 300, 30)])
    changes = {row.change: row for row in compared(base, cand).kernels}
    assert changes["gone"].before == ("gone",)
    assert changes["new"].after == ("new",)
    assert set(changes) == {"gone", "new", "same"}
    shaped = compared(steps([("k", 100, 10)]), steps([("k", 100, 20)], grid="16x1x1"))
    assert [row.change for row in shaped.kernels] == ["other shape"]
    assert "another launch grid" in " ".join(shaped.doubts)
    moved = compared(steps([("k", 100, 10)], inner="one"), steps([("k", 100, 10)], inner="other"))
    assert [(row.change, row.within) for row in moved.kernels] == [("moved", "other")]


def test_copies_are_a_part_of_their_own() -> None:
    found = compared(steps([("k", 100, 10)]), steps([("k", 100, 10), ("copy", 110, 40)]))
    parts = {term.part: term.delta_ns for term in found.terms if term.cause is None}
    assert parts == {"kernels": 0, "copies": 40}
    assert [(row.change, row.copies) for row in found.kernels if row.delta_ns] == [("new", True)]


def test_a_cause_names_the_range_that_holds_most_of_it() -> None:
    late: Call = [("a", 100, 10), ("b", 500, 10)]
    found = compared(steps(late, inner="rope"), steps([("a", 100, 10), ("b", 120, 10)], inner="rope"))
    term = found.terms[0]
    assert (term.part, term.cause, term.place, term.delta_ns) == ("idle", "host_late", "rope", 7 - 387 + 0)


def test_one_call_is_one_call() -> None:
    found = compared(steps([("k", 100, 10)]), steps([("k", 100, 20)]))
    assert (found.word, found.lo) == ("UNKNOWN", None)
    assert "1 call of the base" in found.doubts[0]


def test_without_a_range_the_whole_device_is_one_call() -> None:
    base, cand = steps([("k", 100, 10)], [("k", 100, 10)]), steps([("k", 100, 10)], [("k", 200, 10)])
    found = compared(base, cand, None)
    assert (found.before_ns, found.after_ns) == (1010, 1110)
    assert common_range(range_uses(base), range_uses(cand)) == "step"
    assert common_range(range_uses(base), range_uses(steps([("k", 100, 10)], name="other"))) is None


def test_numbered_ranges_are_one_family_and_recursion_counts_once() -> None:
    drawn = [range_("step#1", 0, 900), range_("step#2", 1000, 1900), range_("step#2", 1001, 1800)]
    drawn += [kernel(s, s + 10, launched=(s - 5, s - 3)) for s in (100, 1100)]
    side = trace_side(trace(drawn), "step#*")
    assert side.spans_ns == (10, 10)


def test_words_before_the_shared_name_are_taken_off() -> None:
    base = steps([("a", 100, 10), ("b", 120, 10)], name="unfused.step", inner="unfused.rope")
    cand = steps([("ab", 100, 10)], name="fused.step", inner="fused.rope")
    found = trace_diff(trace_side(base, "unfused.step"), trace_side(cand, "fused.step"))
    assert [(row.change, row.within) for row in found.kernels] == [("fused", "rope")]
    assert [one.name for one in found.ranges] == ["rope"]


def test_work_that_another_thread_launches_while_the_range_waits_is_its_own() -> None:
    side = trace_side(trace(*(step(k) for k in range(3))), "step#*")
    assert (side.events.height, side.calls, side.kernel_ns) == (90, 3, 3 * (10 * 30 + 20 * 40) * 1000)


def test_other_devices_are_refused_unless_asked_for() -> None:
    base = steps([("k", 100, 10)], device_names={"0": "NVIDIA H100"})
    cand = steps([("k", 100, 10)], device_names={"0": "NVIDIA H200"})
    with pytest.raises(NotComparableError, match=r"H100.*H200"):
        compared(base, cand)
    sides = trace_side(base, "step"), trace_side(cand, "step")
    waived = trace_diff(*sides, anyway=True)
    assert waived.after_ns == 10
    assert "the base ran on 'NVIDIA H100', the candidate on 'NVIDIA H200'" in waived.doubts


@pytest.mark.parametrize(("shapes", "told"), [("[[8, 4096]]", False), ("[[16, 4096]]", True)])
def test_operators_on_other_shapes_are_flagged(shapes: str, told: bool) -> None:
    base, cand = (
        trace(
            range_("step", 0, 900),
            op("aten::mul", 0, 50, external=7, input_dims=dims),
            kernel(100, 200, external=7, launched=(10, 12)),
        )
        for dims in ("[[8, 4096]]", shapes)
    )
    said = [doubt for doubt in compared(base, cand).doubts if "other shapes" in doubt]
    assert len(said) == told
    assert not told or "[[8, 4096]] against [[16, 4096]]" in said[0]


def test_a_range_that_is_open_at_the_end_is_no_call_of_a_side() -> None:
    opened = [range_("step", 5000, None), kernel(5100, 5900, launched=(5095, 5097))]
    calls: tuple[Call, ...] = ([("k", 100, 10)], [("k", 100, 10)])
    side = trace_side(trace(list(_drawn(calls, "step", None, "8x1x1")), opened), "step")
    assert (side.spans_ns, side.events.height) == ((10, 10), 2)
    with pytest.raises(UsageError, match="'step' is never closed in 'drawn'"):
        trace_side(trace(opened), "step")


def test_what_is_not_there_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="no range 'stop' in 'drawn'; it has 'step'"):
        trace_side(steps([("k", 100, 10)]), "stop")
    with pytest.raises(UsageError, match="no device '3'"):
        trace_side(steps([("k", 100, 10)]), "step", "3")
    with pytest.raises(UsageError, match="launched no GPU work"):
        trace_side(trace(range_("step", 0, 10), kernel(50, 60, launched=(40, 45))), "step")
    with pytest.raises(TraceError, match="no GPU event"):
        trace_side(trace(op("aten::mul", 0, 10)))


_NAMES = st.sampled_from(["a", "b", "c", "copy"])
_CALL = st.lists(st.tuples(_NAMES, st.integers(5, 800), st.integers(0, 80)), min_size=1, max_size=12)


@given(st.lists(_CALL, min_size=1, max_size=8), st.lists(_CALL, min_size=1, max_size=8))
@settings(max_examples=60)
def test_parts_and_kernels_close_exactly_and_swapping_turns_every_sign(before: list[Call], after: list[Call]) -> None:
    base, cand = steps(*before, inner="in"), steps(*after, inner="in")
    found, turned = compared(base, cand), compared(cand, base)
    assert sum((term.delta_ns for term in found.terms), Fraction(0)) == found.after_ns - found.before_ns
    work = sum((term.delta_ns for term in found.terms if term.part in ("kernels", "copies")), Fraction(0))
    assert sum((row.delta_ns for row in found.kernels), Fraction(0)) == work
    assert {(t.part, t.cause): -t.delta_ns for t in found.terms} == {
        (t.part, t.cause): t.delta_ns for t in turned.terms
    }
    counts = [
        sum((getattr(row, which) for row in found.kernels), Fraction(0)) for which in ("count_before", "count_after")
    ]
    assert counts == [Fraction(side.events.height, side.calls) for side in (found.base, found.cand)]


def test_a_trace_against_itself_differs_in_nothing() -> None:
    one = steps(*[[("a", 100, 10), ("b", 300, 10)]] * 8, inner="rope")
    found = compared(one, one)
    assert found.word == "SAME"
    assert {row.change for row in found.kernels} == {"same"}
    assert not any(part.delta_ns for part in (*found.terms, *found.kernels, *found.ranges))


def test_without_ranges_order_tells_what_was_fused() -> None:
    """The chain's kernels run elsewhere too: names alone took them for the same kernels, fewer of them."""
    chain: Call = [
        ("mul", 100, 9),
        ("gemm", 200, 50),
        ("mul", 300, 9),
        ("add", 310, 9),
        ("mul", 320, 9),
        ("attn", 400, 50),
    ]
    fused: Call = [("mul", 100, 9), ("gemm", 200, 50), ("rope", 300, 9), ("attn", 400, 50)]
    found = compared(steps(*[chain] * 8), steps(*[fused] * 8))
    rows = {row.change: row for row in found.kernels if row.change != "same"}
    assert list(rows) == ["fused"]
    assert (rows["fused"].before, rows["fused"].after) == (("mul", "add", "mul"), ("rope",))


def test_sides_that_run_nothing_alike_are_not_said_to_be_fused() -> None:
    many: Call = [(f"k{k}", 100 + 2 * k, 1) for k in range(300)]
    found = compared(steps(many), steps([("other", 100, 10)]))
    assert {row.change for row in found.kernels} == {"gone", "new"}
    assert len(found.kernels) == 301


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("step[DECODE bs=31 toks={k}]", "step[DECODE bs=31 toks=*]"),
        ("execute_{k}_context_0(sq0)_generation_32(sq32)", "execute_*_context_0_generation_32"),
        ("aten::copy_, op_id = {k}", "aten::copy_, op_id = *"),
    ],
)
def test_a_phase_is_picked_by_the_name_that_analyze_gives_it(name: str, family: str) -> None:
    drawn = [range_(name.format(k=k), 1000 * k, 1000 * k + 900) for k in range(3)]
    drawn += [kernel(1000 * k + 100, 1000 * k + 110, launched=(1000 * k + 5, 1000 * k + 7)) for k in range(3)]
    assert trace_side(trace(drawn), family).spans_ns == (10, 10, 10)
    alone = trace(drawn[0], drawn[3])
    assert common_range(range_uses(trace(drawn)), range_uses(alone)) == family
    assert trace_side(alone, family).spans_ns == (10,)


def test_the_shipped_decode_steps_say_what_fusing_changed(repository: Path) -> None:
    run = repository / "traces/h100-ernie28b"
    base, cand = (read_trace(run / f"end_to_end.{path}.decode.trace.json.gz") for path in ("unfused", "fused"))
    found = trace_diff(trace_side(base, "unfused.decode.step#*"), trace_side(cand, "fused.decode.step#*"))
    first = found.kernels[0]
    assert (first.change, first.within, first.after) == ("fused", "decode.rope#*", ("_mrope_kernel",))
    assert (first.count_before, first.count_after) == (28 * 25, 28)
    assert found.terms[0].place == "decode.rope#*"
    bare = trace_diff(*(trace_side(replace(one, ranges=one.ranges.clear())) for one in (base, cand)))
    assert (bare.kernels[0].change, bare.kernels[0].count_before, bare.kernels[0].count_after) == ("fused", 2800, 112)
    assert sum(term.delta_ns for term in found.terms) == found.after_ns - found.before_ns


def _stretches(one: Trace) -> Iterator[tuple[str | None, str]]:
    """What of a trace can be compared: each device as a whole, and each range that launched work there."""
    for device in one.gpu["device"].unique().sort().to_list():
        yield None, device
    yield from ((use.name, use.device) for use in range_uses(one)[:6])


@pytest.mark.parametrize("form", ["json.gz", "sqlite"])
def test_each_stretch_of_each_real_trace_closes_against_each_other_one(real_traces: Path, form: str) -> None:
    read = [read_trace(path) for path in sorted(real_traces.glob(f"*.{form}"))]
    sides = [trace_side(one, *stretch) for one in read if one.gpu.height for stretch in _stretches(one)]
    assert len(sides) >= 4
    for base, cand in zip(sides, [*sides[1:], sides[0]], strict=True):
        found = trace_diff(base, cand, anyway=True)
        assert sum((term.delta_ns for term in found.terms), Fraction(0)) == found.after_ns - found.before_ns
        for copies, part in ((False, "kernels"), (True, "copies")):
            rows = sum((row.delta_ns for row in found.kernels if row.copies == copies), Fraction(0))
            assert rows == sum((term.delta_ns for term in found.terms if term.part == part), Fraction(0))
        for side in (base, cand):
            assert side.span_ns == side.busy_ns + sum(side.idle_by_cause_ns.values())
            assert side.busy_ns == side.kernel_ns + side.copy_ns + side.overlap_ns
