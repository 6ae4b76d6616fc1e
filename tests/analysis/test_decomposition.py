"""Laws of the decomposition: terms find a known truth, add up, invert; the residual fails where something is hidden."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.run.decomposition import Decomposition, decompose, decompositions
from tests.built_runs import (
    BYTES_PER_NS,
    EMPTY_BUSY_NS,
    EMPTY_GAP_NS,
    FUSED,
    HOT_GAP_NS,
    NODE_GAP_NS,
    STREAM_GAP_NS,
    UNFUSED,
    Built,
    Truth,
    built,
    on_two_ranks,
)
from tests.runs import WRONG


def split(made: Built, base: str = "unfused", cand: str = "fused", mode: str = "eager") -> Decomposition:
    found = decompose(made.run, made.samples, made.captures, made.key(base, mode), made.key(cand, mode))
    assert found is not None
    return found


def without_device_clock(made: Built) -> Built:
    return Built(made.run, made.samples.filter(pl.col("clock") == "wall"), made.captures)


def saved(found: Decomposition) -> dict[str, float]:
    return {term.name: term.saved_ns for term in found.terms}


def test_it_finds_the_truth_that_the_run_was_made_from() -> None:
    found = split(built())
    traffic = (UNFUSED.bytes_moved or 0) - (FUSED.bytes_moved or 0)
    assert saved(found) == {
        "host bubbles": pytest.approx(UNFUSED.host_ns - FUSED.host_ns, rel=1e-3),
        "traffic": pytest.approx(traffic / BYTES_PER_NS, rel=1e-3),
        "inefficiency": pytest.approx(UNFUSED.busy_ns - FUSED.busy_ns - traffic / BYTES_PER_NS, rel=1e-2),
        "device gaps": pytest.approx(24 * STREAM_GAP_NS, rel=1e-3),
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


@settings(max_examples=25)
@given(_TRUTHS, _TRUTHS)
def test_terms_and_residual_add_up_to_the_wall_that_is_saved(base: Truth, cand: Truth) -> None:
    made = built({"unfused": base, "fused": cand}, rounds=8, noise=0.2)
    found = split(made)
    assert found.residual is not None
    total = sum(saved(found).values()) + found.residual.saved_ns
    assert total == pytest.approx(found.total.saved_ns, abs=1e-3)
    assert sum(part.saved_ns for part in found.parts) == pytest.approx(found.residual.saved_ns, abs=1e-3)


@settings(max_examples=15)
@given(_TRUTHS, _TRUTHS)
def test_swapping_the_sides_changes_every_sign(base: Truth, cand: Truth) -> None:
    made = built({"unfused": base, "fused": cand}, rounds=8, noise=0.2)
    there, back = split(made), split(made, "fused", "unfused")
    assert saved(there) == {name: pytest.approx(-ns) for name, ns in saved(back).items()}
    assert there.total.saved_ns == pytest.approx(-back.total.saved_ns)
    assert there.closes == back.closes


def test_time_that_no_term_accounts_for_fails_the_side_that_has_it() -> None:
    """40 µs are a tenth of what is saved of the wall, over a quarter of the device's part: that is the yardstick."""
    hidden = replace(UNFUSED, extra_ns=40_000)
    found = split(built({"unfused": hidden, "fused": FUSED}))
    assert found.residual is not None
    assert found.residual.saved_ns == pytest.approx(40_000, rel=1e-3)
    assert [side.closes for side in found.sides] == [False, True]
    assert found.sides[0].share == pytest.approx(40_000 / hidden.stream_ns, rel=1e-3)
    assert not found.closes
    assert "of unfused eager's 140 µs on the device busy 70 and gaps 30 leave 40 µs (28.6%; expected" in (
        found.reason or ""
    )


def test_sides_that_are_off_alike_do_not_close_though_their_residuals_cancel() -> None:
    both = {"unfused": replace(UNFUSED, extra_ns=20_000), "fused": replace(FUSED, extra_ns=20_000)}
    found = split(built(both))
    assert found.residual is not None and found.residual.saved_ns == pytest.approx(0, abs=1)
    assert [part.saved_ns for part in found.parts] == pytest.approx([20_000, -20_000], rel=1e-3)
    assert [side.closes for side in found.sides] == [False, False]


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("path", ["unfused", "fused"])
def test_bytes_that_cannot_be_close_nothing(path: str, mode: str) -> None:
    truths = {"unfused": UNFUSED, "fused": FUSED}
    many = replace(truths[path], bytes_moved=10 * (truths[path].bytes_moved or 0))
    found = split(built(truths | {path: many}), mode=mode)
    assert not found.closes
    assert f"{path} is said to move" in (found.reason or "") or f"{path} {mode} is said to move" in (found.reason or "")


def no_gaps(made: Built) -> Built:
    """As if a launch, and a node, cost nothing beyond their own busy time: each ceiling's device time is that alone."""
    own = {
        c.key_name: c.busy_ns or EMPTY_BUSY_NS for c in made.run.ceilings if c.name in ("graph_node", "empty_launch")
    }
    of = (pl.col("calls") * pl.col("key").replace_strict(own, default=None)).round().cast(made.samples.schema["ns"])
    frame = made.samples.with_columns(
        ns=pl.when(pl.col("clock") == "device").then(of).otherwise(None).fill_null(pl.col("ns"))
    )
    return replace(made, samples=frame)


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_device_gaps_that_are_none_close_nothing(mode: str) -> None:
    found = split(no_gaps(built()), mode=mode)
    assert [side.gaps_ns for side in found.sides] == pytest.approx([0, 0], abs=1)
    assert [side.closes for side in found.sides] == [False, mode == "graph"]
    assert not found.closes


def test_launches_that_overlap_have_no_gaps() -> None:
    """As the captured replay shows: kernels that take longer together than their union wait for none before."""
    truth = replace(FUSED, kernels=1, extra_ns=-STREAM_GAP_NS)
    made = built({"unfused": UNFUSED, "fused": truth})
    assert not split(made).closes
    name = made.key("fused", "graph").name
    beside = replace(made.captures[name], kernel_ns=1.3 * FUSED.busy_ns)
    found = split(Built(made.run, made.samples, made.captures | {name: beside}))
    assert found.closes and found.sides[1].gaps_ns == 0
    assert "launches overlap" in next(term.how for term in found.terms if term.name == "device gaps")


def test_under_compile_the_same_kernels_overlap_as_in_the_replay_and_the_compilers_own_do_not() -> None:
    truth = replace(FUSED, kernels=1, extra_ns=-STREAM_GAP_NS)
    made = built({"unfused": UNFUSED, "fused": truth})
    names = {facts.key.name: facts.key.name.replace(".eager.", ".compile.") for facts in made.run.keys}
    compiled = tuple(
        replace(facts, key=replace(facts.key, mode="compile")) if facts.key.mode == "eager" else facts
        for facts in made.run.keys
    )
    samples = made.samples.with_columns(pl.col("key").replace(names))
    captures = {names[name]: figures for name, figures in made.captures.items()}
    replay, call = made.key("fused", "graph").name, made.key("fused", "compile").name
    beside = replace(captures[replay], kernel_ns=1.3 * FUSED.busy_ns, names=("flush", "kernel"))
    for found, closes in ((("kernel",), True), (("triton_poi_0",), False), ((), False)):
        told = captures | {replay: beside, call: replace(captures[call], names=found)}
        one = split(Built(replace(made.run, keys=compiled), samples, told), mode="compile")
        assert one.sides[1].closes == closes, found


def test_a_node_that_the_profiler_lengthens_beyond_its_period_is_no_longer_than_that() -> None:
    """As on an H200: empty nodes 505 ns apart, each traced as busy for 717. A launch's own time is 505 at most."""
    period = EMPTY_BUSY_NS + EMPTY_GAP_NS
    made = built({"unfused": replace(UNFUSED, extra_ns=-25 * EMPTY_GAP_NS), "fused": FUSED})
    longer = tuple(replace(one, busy_ns=period + 212) if one.method == "serial" else one for one in made.run.ceilings)
    found = split(replace(made, run=replace(made.run, ceilings=longer)))
    assert found.sides[0].gaps_ns == pytest.approx(25 * (STREAM_GAP_NS - EMPTY_GAP_NS))
    assert found.sides[0].residual_ns == pytest.approx(0, abs=1)


def test_a_residual_whose_interval_reaches_under_the_limit_asks_for_more_rounds() -> None:
    hidden = replace(UNFUSED, extra_ns=0.055 * UNFUSED.stream_ns)
    wide = split(built({"unfused": hidden, "fused": FUSED}, rounds=8, noise=0.3)).reason or ""
    sure = split(built({"unfused": replace(UNFUSED, extra_ns=40_000), "fused": FUSED})).reason or ""
    assert "more rounds would tell" in wide
    assert sure and "more rounds" not in sure


def test_a_chain_whose_replay_shows_wider_gaps_than_the_nodes_is_named() -> None:
    made = built({"unfused": replace(UNFUSED, extra_ns=40_000), "fused": FUSED})
    name = made.key("unfused", "graph").name
    traced = replace(made.captures[name], replay_ns=UNFUSED.busy_ns + 25 * 1_700.0)
    reason = split(Built(made.run, made.samples, made.captures | {name: traced}), mode="graph").reason or ""
    assert "and in its captured replay a kernel waits 1700 ns for the one before" in reason
    even = replace(made.captures[name], replay_ns=UNFUSED.busy_ns + 25 * NODE_GAP_NS)
    again = split(Built(made.run, made.samples, made.captures | {name: even}), mode="graph").reason or ""
    assert again and "waits" not in again


def test_a_profiler_that_slows_the_kernels_is_named() -> None:
    made = built()
    name = made.key("fused", "eager").name
    slow = replace(made.captures[name], busy_ns=60_000.0, busy_each_ns=(60_000.0,) * 28)
    found = split(Built(made.run, made.samples, made.captures | {name: slow}))
    assert not found.closes
    assert "its kernels are busy longer in the trace than they take unprofiled" in (found.reason or "")


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
    [(without_device_clock(built()), "has no device time"), (built(ceilings=False), "no empty launch was timed")],
)
def test_without_a_device_clock_or_ceilings_two_terms_are_given_by_difference(made: Built, reason: str) -> None:
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


def test_each_l2_state_has_nodes_of_its_own() -> None:
    """Baseline cold, candidate hot: each side's gaps are those of a node in its state."""
    made = built()
    hot = tuple(
        replace(one, key=replace(one.key, l2="hot")) if one.key.path == "fused" else one for one in made.run.keys
    )
    names = {one.key.name: two.key.name for one, two in zip(made.run.keys, hot, strict=True)}
    samples = made.samples.with_columns(pl.col("key").replace(names))
    captures = {names[name]: figures for name, figures in made.captures.items()}
    found = decompose(replace(made.run, keys=hot), samples, captures, hot[1].key, hot[3].key)
    assert found is not None and found.residual is not None
    assert [side.gaps_ns for side in found.sides] == pytest.approx([25 * NODE_GAP_NS, HOT_GAP_NS], rel=1e-3)


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
