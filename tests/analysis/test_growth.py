"""Many threads and many ranges around the same launches take work in proportion to what the file holds."""

from __future__ import annotations

import pytest

from rope_prof.analysis.trace import gaps, pairs, shared
from rope_prof.analysis.trace.analyze import analyze
from rope_prof.analysis.trace.calls import numbered
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.pairs import timed
from rope_prof.analysis.trace.spans import InOrder, Int64s, SpanSet, in_order, join
from tests.builders import Drawn, kernel, range_, sync, trace

THREADS = 300
RANGES = 500


def _drawn(*, waits: bool) -> list[Drawn]:
    """Threads with one launch each on two streams in turns, and where it `waits` in a long synchronisation."""
    drawn = []
    for i in range(THREADS):
        at = 10 * i
        launch = {"launched": (at, at + 1), "correlation": i + 1, "thread": i + 1, "stream": 7 + i % 2}
        drawn.append(kernel(at + 5, at + 7, **launch))  # type: ignore[arg-type]
        drawn += [sync(at + 2, at + 10 * THREADS, thread=i + 1)] if waits else []
    return drawn


@pytest.mark.parametrize("waits", [False, True])
def test_spans_are_joined_in_proportion_to_the_threads(waits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    joined = 0

    def counted(*sets: SpanSet) -> SpanSet:
        nonlocal joined
        joined += sum(len(one.starts) for one in sets)
        return join(*sets)

    monkeypatch.setattr(gaps, "join", counted)
    answer = analyze(trace(*_drawn(waits=waits)))
    (device,) = answer.devices
    assert device.kernels == THREADS
    assert sum(device.idle_by_cause_ns.values()) == device.idle_ns > 0
    assert joined < 20 * THREADS  # every thread against every span would be THREADS times THREADS


@pytest.mark.parametrize("nested", [True, False])
def test_ranges_around_the_same_launches_do_not_each_look_at_all_of_them(
    nested: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = 0

    def counted(row: Int64s, *spans: Int64s) -> InOrder:
        nonlocal looked_at
        looked_at += len(row)
        return in_order(row, *spans)

    for module in (pairs, shared):
        monkeypatch.setattr(module, "in_order", counted)
    for name, value in {"FEW": 0, "MANY": 10 * RANGES, "CELL": 0}.items():
        monkeypatch.setattr(shared, name, value)
    drawn: list[Drawn] = []
    for k in range(RANGES):
        drawn.append(kernel(10 * k + 5, 10 * k + 9, launched=(10 * k + 1, 10 * k + 2), correlation=k + 1))
        end = 20 * RANGES - 10 * k if nested else 10 * k + 5 * RANGES
        drawn.append(range_(f"r{k}a", 10 * k, end))
    answer = analyze(trace(*drawn))
    assert len(answer.ranges) == RANGES
    assert max(use.kernels for use in answer.ranges) == (RANGES if nested else RANGES // 2)
    assert looked_at < RANGES**2 // 8  # of over a quarter of RANGES times RANGES pairs


def test_many_short_ranges_make_no_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell costs as much as thousands of pairs: ranges side by side, that hold little in common, get none."""
    monkeypatch.setattr(shared, "MANY", 0)
    drawn: list[Drawn] = []
    for k in range(RANGES):
        drawn.append(kernel(10 * k + 5, 10 * k + 9, launched=(10 * k + 1, 10 * k + 2), correlation=k + 1))
        drawn.append(range_(f"r{k}a", 10 * k, 10 * k + 9))
    held = trace(*drawn)
    for few in (shared.FEW, 0):
        monkeypatch.setattr(shared, "FEW", few)
        (one,) = shared.accounts(numbered(held.ranges), launched(held), timed(launched(held)))
        assert one.totals.height == RANGES and one.alike == ()
