"""Laws of the decomposition: terms find a known truth, add up, invert; the residual fails where something is hidden."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from built_runs import BYTES_PER_NS, FUSED, NODE_GAP_NS, UNFUSED, Built, Truth, built, on_two_ranks
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import WRONG

from rope_prof.analysis.run.decomposition import Decomposition, decompose, decompositions


def split(made: Built, base: str = "unfused", cand: str = "fused", mode: str = "eager") -> Decomposition:
    found = decompose(made.run, made.samples, made.captures, made.key(base, mode), made.key(cand, mode))
    assert found is not None
    return found


def saved(found: Decomposition) -> dict[str, float]:
    return {term.name: term.saved_ns for term in found.terms}


def test_it_finds_the_truth_that_the_run_was_made_from() -> None:
    found = split(built())
    traffic = (UNFUSED.bytes_moved or 0) - (FUSED.bytes_moved or 0)
    assert saved(found) == {
        "host bubbles": pytest.approx(UNFUSED.host_ns - FUSED.host_ns, rel=1e-3),
        "traffic": pytest.approx(traffic / BYTES_PER_NS, rel=1e-3),
        "inefficiency": pytest.approx(UNFUSED.busy_ns - FUSED.busy_ns - traffic / BYTES_PER_NS, rel=1e-2),
        "device gaps": pytest.approx(24 * NODE_GAP_NS, rel=1e-3),
    }
    assert found.residual is not None
    assert found.residual.saved_ns == pytest.approx(0, abs=1)
    assert found.closes
    assert found.reason is None


_TRUTHS = st.builds(
    Truth,
    host_ns=st.floats(1_000, 500_000),
    busy_ns=st.floats(1_000, 400_000),
    kernels=st.integers(1, 40),
    bytes_moved=st.integers(1, 10**9),
    extra_ns=st.floats(-500, 50_000),
)


@settings(max_examples=25, deadline=None)
@given(_TRUTHS, _TRUTHS)
def test_terms_and_residual_add_up_to_the_wall_that_is_saved(base: Truth, cand: Truth) -> None:
    made = built({"unfused": base, "fused": cand}, rounds=8, noise=0.2)
    found = split(made)
    assert found.residual is not None
    total = sum(saved(found).values()) + found.residual.saved_ns
    assert total == pytest.approx(found.total.saved_ns, abs=1e-3)
    assert sum(part.saved_ns for part in found.parts) == pytest.approx(found.residual.saved_ns, abs=1e-3)


@settings(max_examples=15, deadline=None)
@given(_TRUTHS, _TRUTHS)
def test_swapping_the_sides_changes_every_sign(base: Truth, cand: Truth) -> None:
    made = built({"unfused": base, "fused": cand}, rounds=8, noise=0.2)
    there, back = split(made), split(made, "fused", "unfused")
    assert saved(there) == {name: pytest.approx(-ns) for name, ns in saved(back).items()}
    assert there.total.saved_ns == pytest.approx(-back.total.saved_ns)
    assert there.closes == back.closes


def test_time_that_no_term_accounts_for_fails_it_and_the_part_is_named() -> None:
    hidden = replace(UNFUSED, extra_ns=40_000)
    found = split(built({"unfused": hidden, "fused": FUSED}))
    assert found.residual is not None
    assert found.residual.saved_ns == pytest.approx(40_000, rel=1e-3)
    assert not found.closes
    assert found.reason is not None
    assert "the residual is 9.9% of the difference" in found.reason
    assert "40 µs of it lie in 'device'" in found.reason


def test_a_chain_whose_replay_shows_wider_gaps_than_the_nodes_is_named() -> None:
    hidden = replace(UNFUSED, extra_ns=40_000)
    made = built({"unfused": hidden, "fused": FUSED})
    name = made.key("unfused", "graph").name
    traced = replace(made.captures[name], replay_ns=UNFUSED.busy_ns + 25 * 1_700.0)
    reason = split(Built(made.run, made.samples, made.captures | {name: traced})).reason or ""
    assert (
        f"a kernel of unfused starts 1700 ns after the one before, a node of the measured chain {NODE_GAP_NS:.0f} ns"
        in reason
    )
    assert "a kernel of fused starts" not in reason, "one kernel has none before it"
    even = replace(made.captures[name], replay_ns=UNFUSED.busy_ns + 25 * NODE_GAP_NS)
    assert "starts" not in (split(Built(made.run, made.samples, made.captures | {name: even})).reason or "")


def test_gaps_are_named_on_the_side_alone_that_has_the_time_left_over() -> None:
    made = built({"unfused": UNFUSED, "fused": replace(UNFUSED, busy_ns=10_000, extra_ns=40_000)})
    gaps = {
        name: replace(figures, replay_ns=(figures.busy_ns or 0) + 25 * 1_700.0)
        for name, figures in made.captures.items()
        if ".graph." in name
    }
    reason = split(Built(made.run, made.samples, made.captures | gaps)).reason or ""
    assert "a kernel of fused starts 1700 ns" in reason
    assert "a kernel of unfused starts" not in reason


def test_where_little_is_saved_the_residual_is_held_against_the_call_too() -> None:
    near = replace(UNFUSED, busy_ns=UNFUSED.busy_ns - 10_000, extra_ns=2_000)
    reason = split(built({"unfused": UNFUSED, "fused": near})).reason or ""
    wall = UNFUSED.replay_ns + UNFUSED.host_ns
    saved = 10_000 - 2_000
    assert f"only {saved / wall:.1%} of a call of unfused eager, and the residual {2_000 / wall:.1%} of it" in reason
    hidden = built({"unfused": replace(UNFUSED, extra_ns=40_000), "fused": FUSED})
    assert "only" not in (split(hidden).reason or "")


def test_a_profiler_that_slows_the_kernels_is_named() -> None:
    made = built()
    name = made.key("fused", "eager").name
    slow = replace(made.captures[name], busy_ns=60_000.0, busy_each_ns=(60_000.0,) * 28)
    found = split(Built(made.run, made.samples, made.captures | {name: slow}))
    assert not found.closes
    assert "the kernels of fused eager are busy 60 µs in the trace" in (found.reason or "")


def test_intervals_hold_the_truth_under_drift_that_meets_all_alike() -> None:
    inside = 0
    for seed in range(40):
        host = split(built(noise=0.2, seed=seed)).terms[0]
        assert host.lo is not None
        assert host.hi is not None
        assert host.lo < host.hi
        inside += host.lo <= UNFUSED.host_ns - FUSED.host_ns <= host.hi
    assert inside >= 34  # of 40 at 95 %: 38 expected, and about three standard deviations below


def test_the_same_run_gives_the_same_intervals() -> None:
    made = built(noise=0.2)
    assert split(made) == split(made)


def test_under_six_rounds_there_are_values_and_no_intervals() -> None:
    found = split(built(rounds=5))
    assert all((term.lo, term.hi) == (None, None) for term in (*found.terms, found.total))
    assert found.closes


def test_in_mode_graph_there_are_no_host_bubbles() -> None:
    found = split(built(), mode="graph")
    assert saved(found)["host bubbles"] == 0
    assert found.total.saved_ns == pytest.approx(UNFUSED.replay_ns - FUSED.replay_ns, rel=1e-3)


@pytest.mark.parametrize(
    ("made", "reason"),
    [(built(graphs=False), "has no replay of a CUDA graph"), (built(ceilings=False), "graph node was not measured")],
)
def test_without_graphs_or_ceilings_two_terms_are_given_by_difference(made: Built, reason: str) -> None:
    found = split(made)
    assert [(term.name, term.how) for term in found.terms] == [("bubbles", "by difference"), ("busy", "traced")]
    assert sum(saved(found).values()) == pytest.approx(found.total.saved_ns)
    assert (found.residual, found.residual_share, found.closes) == (None, None, False)
    assert found.reason is not None
    assert reason in found.reason


def test_unknown_bytes_leave_busy_whole_and_the_residual_as_it_was() -> None:
    made = built({"unfused": replace(UNFUSED, bytes_moved=None), "fused": FUSED})
    found = split(made)
    assert saved(found)["busy"] == pytest.approx(UNFUSED.busy_ns - FUSED.busy_ns)
    assert "traffic" not in saved(found)
    assert found.closes


def test_a_path_that_is_wrong_or_was_not_captured_has_none() -> None:
    made = built()
    wrong = tuple(
        replace(one, status="wrong", accuracy=WRONG) if one.key.path == "fused" else one for one in made.run.keys
    )
    bad = Built(replace(made.run, keys=wrong), made.samples, made.captures)
    assert decompose(bad.run, bad.samples, bad.captures, bad.key("unfused", "eager"), bad.key("fused", "eager")) is None
    assert decompositions(made.run, made.samples, {}) == ()
    assert decompositions(bad.run, bad.samples, bad.captures) == ()


def test_two_l2_states_have_two_terms_since_no_node_stands_for_both() -> None:
    made = built()
    hot = tuple(
        replace(one, key=replace(one.key, l2="hot")) if one.key.path == "fused" else one for one in made.run.keys
    )
    names = {one.key.name: two.key.name for one, two in zip(made.run.keys, hot, strict=True)}
    samples = made.samples.with_columns(pl.col("key").replace(names))
    captures = {names[name]: figures for name, figures in made.captures.items()}
    found = decompose(replace(made.run, keys=hot), samples, captures, hot[0].key, hot[2].key)
    assert found is not None and not found.closes and found.residual is None
    assert found.reason is not None and "unfused is cold and fused is hot" in found.reason


def test_each_rank_is_explained_by_the_ceilings_of_its_own_card() -> None:
    made = on_two_ranks(built(), 2.0)
    split = {(one.cand.mode, one.cand.rank): one for one in decompositions(made.run, made.samples, made.captures)}
    for mode in ("eager", "graph"):
        first, second = split[mode, 0], split[mode, 1]
        assert first.closes and second.closes
        for name in ("host bubbles", "traffic", "device gaps"):
            assert saved(second)[name] == pytest.approx(2 * saved(first)[name], rel=1e-3)


def test_a_key_that_the_run_lacks_is_an_error() -> None:
    made = built(graphs=False)
    with pytest.raises(KeyError):
        decompose(made.run, made.samples, made.captures, made.key("unfused", "eager"), made.key("fused", "compile"))


def test_every_path_is_held_against_unfused_in_its_own_mode() -> None:
    made = built({"unfused": UNFUSED, "per-token": FUSED, "fused": FUSED})
    found = [
        (one.base.mode, one.cand.path, one.cand.mode) for one in decompositions(made.run, made.samples, made.captures)
    ]
    assert found == [(mode, path, mode) for path in ("per-token", "fused") for mode in ("eager", "graph")]
