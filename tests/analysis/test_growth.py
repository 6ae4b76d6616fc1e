"""Many threads take work in proportion: nothing looks through the spans of all of them for each of them."""

from __future__ import annotations

import pytest

from rope_prof.analysis.trace import gaps
from rope_prof.analysis.trace.analyze import analyze
from rope_prof.analysis.trace.spans import SpanSet, join
from tests.builders import Drawn, kernel, sync, trace

THREADS = 300


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
