"""Replays of one graph hold the same nodes, or there was no time for what is missing."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.model.trace import Trace
from tests.builders import Drawn, call, graph, range_, trace

IDS, NODES, RANGES = "graph and node ids", "node ids", "ranges"


def replay(k: int, nodes: list[int], *, ids: str) -> list[Drawn]:
    """Launch `k` at 1000 k, its nodes of 17 ns at their places, 18 ns apart."""
    at, drawn = 1000 * (k + 1), []
    for place, node in enumerate(nodes):
        start = at + 20 + 18 * node
        more: dict[str, Any] = {"name": f"k{node % 7}"}
        if ids != RANGES:
            more |= {"graph_node": 100 + node}
        if ids == IDS:
            more |= {"graph": 3}
        drawn += graph((at, at + 5), (start, start + 17), correlation=k + 1, **more) if place == 0 else []
        if place:
            head = graph((at, at + 5), (start, start + 17), correlation=k + 1, **more)[0]
            drawn.append(Drawn({"gpu": head.rows["gpu"]}))
    return [*drawn, range_(f"step#{k}", at - 10, at + 10)]


def codes(drawn: Trace) -> dict[str, int]:
    return {found.code: found.count for found in analyze(drawn).integrity.findings}


@pytest.mark.parametrize("ids", [IDS, NODES, RANGES])
def test_whole_replays_are_sound(ids: str) -> None:
    assert codes(trace(*(replay(k, list(range(20)), ids=ids) for k in range(6)))) == {}


@pytest.mark.parametrize("ids", [IDS, NODES, RANGES])
@pytest.mark.parametrize("seed", range(40))
def test_each_node_that_is_taken_out_is_missed(ids: str, seed: int) -> None:
    """Law: of at least one whole replay and any others, every node that is taken out is counted."""
    draw = Random(seed)
    parts, lost = [], 0
    for k in range(6):
        nodes = list(range(20))
        if k != seed % 6 and draw.random() < 0.6:
            gone = draw.sample(nodes, draw.randint(1, 19))
            nodes = [n for n in nodes if n not in gone]
            lost += len(gone)
        parts.append(replay(k, nodes, ids=ids))
    found = codes(trace(*parts, window_end_ns=20_000))
    assert found.get("missing_graph_kernels", 0) == lost


def test_with_ids_no_replay_need_be_whole() -> None:
    parts = [replay(k, [n for n in range(20) if n % 6 != k], ids=IDS) for k in range(6)]
    assert codes(trace(*parts, window_end_ns=20_000)) == {"missing_graph_kernels": 20}


@pytest.mark.parametrize("ids", [IDS, NODES, RANGES])
def test_nodes_that_there_was_no_time_for_did_not_run(ids: str) -> None:
    """A conditional body in the middle: what follows comes at once, and so does the next replay."""
    parts = []
    for k in range(6):
        nodes = list(range(20)) if k % 2 else [n for n in range(20) if not 5 <= n < 15]
        at, count = 1000 + 180 * k, len(nodes)
        for place, node in enumerate(nodes):
            start = 10_000 + 400 * k + (400 // count) * place
            more: dict[str, Any] = {"name": f"k{node}"}
            more |= {"graph_node": 100 + node} if ids != RANGES else {}
            more |= {"graph": 3} if ids == IDS else {}
            parts.append(graph((at, at + 5), (start, start + 400 // count), correlation=k + 1, **more)[:1])
            if place:
                parts[-1][0].rows.pop("calls")
        parts.append([range_(f"step#{k}", at - 10, at + 10)])
    assert codes(trace(*parts, window_end_ns=13_000)) == {"graph_replays_differ": 30}


def test_loops_and_body_graphs_are_excepted() -> None:
    looped = [replay(k, [*range(20), *([3, 3] if k % 2 else [])], ids=IDS) for k in range(4)]
    assert "missing_graph_kernels" not in codes(trace(*looped))
    other = []
    for k in range(4):
        other.append(replay(k, list(range(20)), ids=IDS))
        if k % 2:
            body = graph((1000 * (k + 1), 1), (1000 * (k + 1) + 500, 1000 * (k + 1) + 510), correlation=k + 1)[0]
            body.rows["gpu"][0] |= {"graph": 4, "graph_node": 900}
            other.append([Drawn({"gpu": body.rows["gpu"]})])
    assert codes(trace(*other)) == {}


def test_graphs_without_ids_and_ranges_prove_nothing() -> None:
    parts = [[d for d in replay(k, list(range(20 - k)), ids=RANGES) if "ranges" not in d.rows] for k in range(4)]
    assert codes(trace(*parts)) == {}


def test_different_graphs_at_one_place_of_a_range_are_not_held_against_each_other() -> None:
    drawn = trace(*(replay(k, [0, 1, 2 + k], ids=RANGES) for k in range(4)))
    assert codes(drawn) == {}


def test_the_replay_that_lasts_to_the_windows_end_may_be_cut() -> None:
    parts = [replay(k, list(range(20)), ids=IDS) for k in range(3)] + [replay(3, list(range(10)), ids=IDS)]
    assert "missing_graph_kernels" not in codes(trace(*parts, window_end_ns=4000 + 20 + 18 * 10))
    assert codes(trace(*parts, call("cudaMalloc", 8000, 8001)))["missing_graph_kernels"] == 10
