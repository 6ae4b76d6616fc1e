"""Ceilings take the best way, floors the larger bound; shares are as they are, even over 1."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rope_prof.analysis.run.ceilings import ceilings
from rope_prof.analysis.run.floors import Floor, roofline
from rope_prof.analysis.run.rows import summary
from tests.built_runs import (
    BYTES_PER_NS,
    EMPTY_GAP_NS,
    FUSED,
    HOT_GAP_NS,
    LAUNCH_NS,
    NODE_BUSY_NS,
    NODE_GAP_NS,
    PASS_NS,
    UNFUSED,
    Built,
    built,
    on_two_ranks,
)


def floors(made: Built) -> dict[tuple[str, str], Floor]:
    case = made.run.keys[0].key.case
    rows = summary(made.run, made.samples, made.captures)
    return {(one.path, one.mode): one for one in roofline(rows, ceilings(made.run, made.samples, case))}


def test_the_best_way_of_each_ceiling_holds() -> None:
    made = built()
    found = ceilings(made.run, made.samples, made.run.keys[0].key.case)
    assert found.copy_bytes_per_s == pytest.approx(BYTES_PER_NS * 1e9, rel=1e-3)
    assert found.in_place_ns == pytest.approx(PASS_NS)
    assert found.empty_launch_ns == pytest.approx(LAUNCH_NS)
    assert found.graph_node_ns == pytest.approx(NODE_BUSY_NS - 200)
    assert found.methods == {"copy": "eager", "graph_node": "overlap", "in_place": "scale", "empty_launch": "driver"}
    assert sum(one.best for one in found.measured) == 4


def test_the_gap_of_a_chain_is_that_of_nodes_that_wait() -> None:
    made = built()
    found = ceilings(made.run, made.samples, made.run.keys[0].key.case)
    assert found.graph_gap_ns == pytest.approx({facts.key.l2: NODE_GAP_NS for facts in made.run.keys})


@pytest.mark.parametrize(
    ("methods", "gaps"),
    [
        (("write.cold", "write.hot", "serial", "overlap"), {"cold": NODE_GAP_NS, "hot": HOT_GAP_NS}),
        (("serial", "overlap"), {"cold": EMPTY_GAP_NS, "hot": EMPTY_GAP_NS}),
    ],
)
def test_each_l2_state_has_the_gap_of_its_own_replays(methods: tuple[str, ...], gaps: dict[str, float]) -> None:
    """Older recordings have the empty node alone, for both."""
    made = built()
    both = [replace(facts, key=replace(facts.key, l2=state)) for facts in made.run.keys for state in ("cold", "hot")]
    limits = tuple(one for one in made.run.ceilings if one.name != "graph_node" or one.method in methods)
    found = ceilings(replace(made.run, keys=tuple(both), ceilings=limits), made.samples, both[0].key.case)
    assert found.graph_gap_ns == pytest.approx(gaps)


def test_each_rank_is_held_against_its_own_card() -> None:
    made = on_two_ranks(built(), 2.0)
    case = made.run.keys[0].key.case
    rows = summary(made.run, made.samples, made.captures)
    first, second = (ceilings(made.run, made.samples, case, rank) for rank in (0, 1))
    assert (first.in_place_ns, second.in_place_ns) == (pytest.approx(PASS_NS), pytest.approx(2 * PASS_NS))
    assert second.graph_gap_ns == pytest.approx({"cold": 2 * NODE_GAP_NS})
    for one, two in zip(roofline(rows, first), roofline(rows, second), strict=True):
        assert (one.rank, two.rank) == (0, 1)
        assert one.share == pytest.approx(two.share, rel=1e-3)
        assert one.won == two.won or one.won == pytest.approx(two.won, rel=1e-3)
    checks = {(row.path, row.mode, row.rank): row.bubble_by_replay_ns for row in rows}
    assert checks["unfused", "eager", 1] == pytest.approx(2 * (checks["unfused", "eager", 0] or 0), rel=1e-3)


def test_the_gap_is_unknown_where_the_nodes_own_time_was_not_traced() -> None:
    made = built()
    bare = replace(made.run, ceilings=tuple(replace(one, busy_ns=None) for one in made.run.ceilings))
    assert ceilings(bare, made.samples, bare.keys[0].key.case).graph_gap_ns == {}


def test_the_floor_is_the_larger_of_launch_and_bytes() -> None:
    found = floors(built())
    assert found["fused", "eager"].floor_ns == pytest.approx(LAUNCH_NS)
    assert found["fused", "graph"].floor_ns == pytest.approx(PASS_NS)


def test_share_and_win_are_measured_against_the_chain_in_the_same_mode() -> None:
    found = floors(built())
    eager = found["fused", "eager"]
    base, mine = UNFUSED.wall_ns, FUSED.wall_ns
    assert eager.share == pytest.approx(LAUNCH_NS / mine, rel=1e-3)
    assert eager.won == pytest.approx((base - mine) / (base - LAUNCH_NS), rel=1e-3)
    graph = found["fused", "graph"]
    assert graph.won == pytest.approx((UNFUSED.replay_ns - FUSED.replay_ns) / (UNFUSED.replay_ns - PASS_NS), rel=1e-3)
    assert found["unfused", "eager"].won is None


def test_a_path_better_than_the_best_known_way_is_shown_as_it_is() -> None:
    found = floors(built({"unfused": UNFUSED, "fused": replace(FUSED, busy_ns=1000, host_ns=100)}))
    assert found["fused", "graph"].share == pytest.approx(PASS_NS / (1000 + NODE_GAP_NS), rel=1e-3)
    assert (found["fused", "graph"].won or 0) > 1


def test_without_ceilings_there_is_no_floor_and_no_share() -> None:
    for one in floors(built(ceilings=False)).values():
        assert (one.floor_ns, one.share, one.won) == (None, None, None)


def test_a_pass_through_a_cold_cache_bounds_no_hot_call() -> None:
    made = built()
    hot = tuple(replace(one, key=replace(one.key, l2="hot")) for one in made.run.keys)
    names = {one.key.name: two.key.name for one, two in zip(made.run.keys, hot, strict=True)}
    both = replace(made.run, keys=(*made.run.keys, *hot))
    warm = made.samples.with_columns(made.samples["key"].replace(names))
    captures = made.captures | {names[name]: one for name, one in made.captures.items() if name in names}
    rows = summary(both, made.samples.vstack(warm), captures)
    assert {row.byte_floor_ns is None for row in rows if row.l2 == "hot"} == {True}
    assert {row.byte_floor_ns is None for row in rows if row.l2 == "cold"} == {False}
    found = roofline(rows, ceilings(both, made.samples, both.keys[0].key.case))
    assert {one.floor_ns is None for one in found if one.l2 == "hot"} == {True}
