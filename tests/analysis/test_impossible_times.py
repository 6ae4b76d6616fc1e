"""Times that cannot be, each a finding; overlaps that real cards make, none."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.model.trace import Trace
from tests.builders import Drawn, graph, kernel, sync, trace

US = 1000
H100, A100, MI300, PVC = "NVIDIA H100", "NVIDIA A100-SXM4-80GB", "AMD Instinct MI300X", "Intel Data Center GPU Max 1550"
DOUBTS = {"impossible_overlap", "ends_after_sync", "kernel_before_launch", "clock_shift"}


def drawn(spans: list[tuple[int, int]], *more: Drawn, card: str = H100, by: str = "cudaLaunchKernel") -> Trace:
    """Kernels in µs on one stream, launched one after the other."""
    rows = [
        kernel(a * US, b * US, launched=(k * US, k * US + 500), correlation=k + 1, by=by)
        for k, (a, b) in enumerate(spans)
    ]
    return trace(rows, *more, device_names={"0": card})


def codes(of: Trace) -> dict[str, int]:
    return {found.code: found.count for found in analyze(of).integrity.findings}


ROW = [(100 + 30 * k, 125 + 30 * k) for k in range(60)]


def stretched(first: int, count: int, end: int) -> list[tuple[int, int]]:
    return [(a, end if first <= k < first + count else b) for k, (a, b) in enumerate(ROW)]


@pytest.mark.parametrize("card", [H100, A100, MI300])
@pytest.mark.parametrize("seed", range(20))
def test_durations_of_a_stream_that_overrun_their_followers(card: str, seed: int) -> None:
    """Law: eight or more that end together far behind their followers are found on every card."""
    draw = Random(seed)
    count = draw.randint(8, 20)
    found = codes(drawn(stretched(draw.randint(0, 30), count, 100 + 30 * 60 + draw.randint(0, 3000)), card=card))
    assert found["impossible_overlap"] >= 1
    assert analyze(drawn(stretched(5, count, 4000), card=card)).devices[0].idle_share is None


@pytest.mark.parametrize("card", [A100, MI300, "Tesla V100-DGXS-32GB", "NVIDIA GeForce RTX 3090"])
@pytest.mark.parametrize("holds", [2, 3, 5, 11])
def test_an_event_that_holds_several_launches_where_they_cannot_overlap(card: str, holds: int) -> None:
    assert codes(drawn(stretched(10, 1, ROW[10 + holds][1] + 2), card=card))["impossible_overlap"] >= 1


@pytest.mark.parametrize("card", [H100, "NVIDIA B200", ""])
@pytest.mark.parametrize("holds", [4, 6, 8, 11, 30])
def test_an_event_that_holds_more_launches_than_early_ones_ever_do(card: str, holds: int) -> None:
    assert codes(drawn(stretched(10, 1, ROW[10 + holds][1] + 2), card=card))["impossible_overlap"] >= 1
    assert not DOUBTS & codes(drawn(stretched(10, 1, ROW[12][1] + 2), card=card)).keys()


def test_properties_tell_the_card_where_its_name_does_not() -> None:
    facts = {"metadata": {"deviceProperties": [{"id": 0, "name": "", "computeMajor": 8}]}}
    rows = [kernel(a, b, launched=(k, k + 1), correlation=k + 1) for k, (a, b) in enumerate(stretched(10, 1, 500))]
    assert "impossible_overlap" in codes(trace(rows, **facts))
    facts["metadata"]["deviceProperties"][0]["computeMajor"] = 9
    assert "impossible_overlap" not in codes(trace(rows, **facts))


@pytest.mark.parametrize("seed", range(20))
def test_programmatic_overlap_is_sound(seed: int) -> None:
    """Each kernel may begin when the one before has begun, and end with it."""
    draw, at, end, spans = Random(seed), 100, 100, []
    for _ in range(80):
        at = draw.randint(max(at, end - 6), end + 3)
        end = max(end, at + draw.randint(4, 12))
        spans.append((at, end))
    assert not DOUBTS & codes(drawn(spans, card="NVIDIA B200")).keys()


def test_out_of_order_queues_are_not_judged() -> None:
    assert not DOUBTS & codes(drawn(stretched(10, 8, 1900), card=PVC, by="urEnqueueKernelLaunch")).keys()


def replays(stretch: int | None = None, by: int = 1, **more: Any) -> list[Drawn]:
    parts: list[Drawn] = []
    for k in range(8):
        at = 1000 + 300 * k
        factor = by if k == stretch else 1
        spans = [(US * (at + 20 * n * factor), US * (at + (20 * n + 18) * factor)) for n in range(10)]
        parts += graph((US * (100 + k), US * (101 + k)), *spans, correlation=k + 1, **more)
    return parts


@pytest.mark.parametrize("card", [H100, A100, MI300])
@pytest.mark.parametrize("by", [2, 3, 10])
def test_whole_graph_launches_that_are_stretched_over_the_next(card: str, by: int) -> None:
    names = {"device_names": {"0": card}}
    assert codes(trace(replays(), **names)) == {}
    assert codes(trace(replays(3, by), **names))["impossible_overlap"] >= 1


def test_the_last_launch_that_is_stretched_outlives_the_synchronisation() -> None:
    waited = sync(2000 * US, 3300 * US)
    assert codes(trace(replays(), waited)) == {}
    assert codes(trace(replays(7, 2), waited))["ends_after_sync"] >= 1


@pytest.mark.parametrize("shift", [-100, -40, 30, 200, 5000])
def test_a_clock_that_is_off_by_a_constant(shift: int) -> None:
    """Kernels 8 µs after their launches, on a device that is idle then, and a synchronisation 20 µs after the last."""
    rows = [
        kernel((100 * k + 8) * US, (100 * k + 30) * US, launched=(100 * k * US, (100 * k + 3) * US)) for k in range(40)
    ]
    waited = sync(3910 * US, 3950 * US)
    assert codes(trace(rows, waited)) == {}
    for one in rows:
        one.rows["gpu"][0]["start_ns"] += shift * US
    assert {"kernel_before_launch", "ends_after_sync"} & codes(trace(rows, waited)).keys()
    assert DOUBTS & codes(trace(rows)).keys() or 0 < shift < 50


def test_a_full_queue_is_no_shift_of_the_clock() -> None:
    rows = [
        kernel(US * (500 + 31 * k), US * (530 + 31 * k), launched=(US * 31 * k, US * (31 * k + 3))) for k in range(200)
    ]
    assert codes(trace(rows)) == {}


def test_a_few_starts_a_fraction_early_leave_the_share_with_its_bound() -> None:
    rows = [
        kernel(US * (100 * k + 10), US * (100 * k + 40), launched=(US * 100 * k, US * (100 * k + 3)), correlation=k + 1)
        for k in range(1000)
    ]
    sound = analyze(trace(rows)).devices[0]
    assert (sound.idle_share is not None, sound.idle_share_bound) == (True, None)
    for k in (300, 700):
        rows[k].rows["gpu"][0]["start_ns"] = US * 100 * k - 400
    answer = analyze(trace(rows))
    assert {f.code: f.count for f in answer.integrity.findings} == {"early_starts": 2}
    use = answer.devices[0]
    assert use.idle_share == use.idle_ns / use.span_ns
    assert use.idle_share_bound == 800 / use.span_ns
    assert answer.integrity.verdict == "suspect"


def branched(card: str, stretch: tuple[int, int] | None = None, branch: bool = False) -> Trace:
    """Ten replays of a graph of twelve nodes of 10 µs; one of them lasts over six others, or in each replay the first
    does, as a branch of its own."""
    drawn = []
    for r in range(10):
        at = 200 * US * r
        spans = [(at + (5 + 12 * k) * US, at + (15 + 12 * k) * US) for k in range(12)]
        if stretch and stretch[0] == r:
            spans[stretch[1]] = (spans[stretch[1]][0], spans[stretch[1]][0] + 80 * US)
        if branch:
            spans[0] = (spans[0][0], spans[0][0] + 80 * US)
        nodes = graph((at, at + 1 * US), *spans, correlation=r + 1)
        for k, node in enumerate(nodes):
            node.rows["gpu"][0] |= {"name": f"node{k}", "graph_node": k + 1, "graph": 3}
        drawn.append(nodes)
    return trace(*drawn, device_names={"0": card})


@pytest.mark.parametrize("card", [H100, A100, MI300])
def test_a_node_that_lasts_over_others_in_one_replay_alone_is_impossible(card: str) -> None:
    assert codes(branched(card)) == {}
    found = codes(branched(card, stretch=(4, 2)))
    assert found["impossible_overlap"] == 1
    assert codes(branched(card, branch=True)).keys() == {"stream_overlap"}


def test_a_device_that_stands_still_before_each_launch_that_waits_equally_long_has_a_late_clock() -> None:
    def row(late: int, pause: int) -> Trace:
        step = 30 + pause
        return trace(
            kernel((step * k + late) * US, (step * k + late + 30) * US, launched=(step * k * US, step * k * US + 500))
            for k in range(60)
        )

    assert codes(row(500, 20)).keys() == {"clock_shift"}
    assert codes(row(10, 20)) == {}
    assert codes(row(500, 2)) == {}  # a full queue: the device pauses for two microseconds
